import json
import re
import time

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from flexnas_bench import ModelCard, load_benchmark, load_embedding, load_space
from flexnas_bench.card import names_by_hash
from flexnas_bench.figures.paper.frontier import frontier
from flexnas_bench.figures.styles import COLOURS
from flexnas_bench.graph import BlockGraph
from tests.report.conftest import open_page

MINI = ModelCard.named("flexibert-mini")


def text(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector).text


def rows(browser, table):
    found = browser.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr")
    return [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "td, th")] for row in found]


def source(browser, name):
    """Columns of a chart's data."""
    return browser.execute_script(
        f"return Object.fromEntries(Object.entries(charts.data['{name}'].data).map(([k, v]) => [k, [...v]]))"
    )


def find(browser, wanted):
    box = browser.find_element(By.ID, "find")
    box.clear()
    box.send_keys(wanted, Keys.ENTER)


def tick(browser, facet, value):
    browser.find_element(By.XPATH, f"//fieldset[legend='{facet}']//label[normalize-space()='{value}']/input").click()


def shown(browser):
    return int(text(browser, "#status").split()[0].replace(",", ""))


def test_it_is_one_file_that_asks_for_nothing_else(page, explorer):
    assert page.stat().st_size < 8e6
    assert [entry["name"] for entry in explorer.execute_script("return performance.getEntriesByType('resource')")] == []


def test_it_says_how_it_was_made_and_whose_the_scores_are(page, explorer):
    assert "Made by flexnas-bench report --space g1 --embedding t2v-g1-d16" in text(explorer, "footer")
    assert "Serianni" in text(explorer, "#sources")
    assert "9,312 encoders" in text(explorer, "#heading")


def test_the_map_has_the_two_widest_axes_of_the_vectors(explorer):
    matrix = load_embedding("t2v-g1-d16", "g1").matrix.astype(float)
    points = np.array(explorer.execute_script("return [DATA.x, DATA.y]"))[:, :9_312]
    assert np.linalg.eigvalsh(np.cov(matrix.T))[:-3:-1] == pytest.approx(points.var(axis=1, ddof=1), rel=1e-4)
    assert np.corrcoef(points)[0, 1] == pytest.approx(0, abs=1e-4)
    pairs = np.random.default_rng(0).integers(9_312, size=(2, 1_000))
    apart = np.linalg.norm(matrix[pairs[0]] - matrix[pairs[1]], axis=1)
    assert (np.linalg.norm(points[:, pairs[0]] - points[:, pairs[1]], axis=0) <= apart + 0.01).all()


def test_predicted_and_published_scores_are_told_apart(explorer):
    bench = load_benchmark()
    published, predicted = source(explorer, "cards-published"), source(explorer, "cards-predicted")
    assert len(published["x"]) == 491
    assert sorted(published["value"]) == pytest.approx(sorted(bench.query_many(bench.hashes())), abs=0.006)
    assert len(predicted["x"]) == 9_312 - sum(card in load_space("g1") for card in load_space("pool"))
    assert all("predicted" in score for score in predicted["score"])
    assert not any("predicted" in score for score in published["score"])


def test_a_card_has_its_facts_scores_neighbours_and_graph(explorer):
    find(explorer, "flexibert-mini")
    assert text(explorer, "#card-heading") == "flexibert-mini"
    assert text(explorer, "#card-hash") == MINI.hash
    assert f"{MINI.parameters / 1e6:.2f}M parameters" in text(explorer, "#card-facts")
    assert [row[1:] for row in rows(explorer, "card-layers")] == [
        [
            f"{layer.operation}-{layer.parameter}",
            str(layer.hidden),
            str(layer.heads),
            "-".join(map(str, layer.feed_forward)),
        ]
        for layer in MINI.layers
    ]
    graph = BlockGraph.of(MINI.layers)
    assert len(source(explorer, "nodes")["x"]) == len(graph.labels)
    assert len(source(explorer, "edges")["xs"]) == len(graph.edges)
    space = load_space("g1")
    assert len(rows(explorer, "card-neighbors")) == len(space.neighbors(MINI))


def test_scores_are_those_of_the_benchmark(explorer):
    bench = load_benchmark()
    find(explorer, "flexibert-mini")
    table = rows(explorer, "card-scores")
    at = table.index(["electra-owt-100k: predicted, out of support, from scores of nas-bench-bert-2023"])
    assert at > 0  # below those of trainings
    for task in ("glue8", "rte"):
        found = bench.query(MINI, task, kind="surrogate")
        assert [task, f"{found.value:.2f}", f"± {found.std:.2f}"] in table[at : at + 10]
    find(explorer, "bert-tiny")
    table = rows(explorer, "card-scores")
    at = table.index(["cpu-lite: measured, 2 trainings, flexnas-bench"])
    found = bench.query("bert-tiny", "rte", "cpu-lite")
    assert ["rte", f"{found.value:.2f}", f"± {found.std:.2f}"] in table[at:]


def test_scores_from_transferred_weights_say_whose(explorer):
    bench = load_benchmark()
    table = bench.to_frame("rte", "cpu-lite")
    for row in table[table["init"] != "scratch"].itertuples():
        find(explorer, row.card_hash)
        shown = rows(explorer, "card-scores")
        (at,) = (i for i, cells in enumerate(shown) if "from weights of" in cells[0])
        donor = names_by_hash()[row.init]
        assert shown[at] == [f"cpu-lite, from weights of {donor}: measured, 1 training, flexnas-bench"]
        assert ["rte", f"{bench.query(row.card_hash, 'rte', 'cpu-lite', init=row.init).value:.2f}", ""] in shown[at:]


def test_cards_outside_the_space_have_its_nearest_cards_as_neighbours(explorer):
    space, embedding = load_space("g1"), load_embedding("t2v-g1-d16", "g1")
    hashes, neighbors = explorer.execute_script("return [DATA.hashes, DATA.neighbors]")
    assert len(neighbors) == len(hashes) > space.size
    outside = embedding.vectors([load_benchmark().card(digest) for digest in hashes[space.size :]])
    apart = cdist(outside.astype(float), embedding.matrix.astype(float))
    near = np.array(neighbors[space.size :])
    assert near.shape == (len(outside), 10)
    assert all(len(set(row)) == 10 for row in near.tolist())
    assert np.take_along_axis(apart, near, axis=1) == pytest.approx(np.sort(apart, axis=1)[:, :10], abs=1e-4)
    deep = explorer.execute_script("return DATA.cards.map((card) => card.length)")
    card = next(i for i in range(len(near)) if any(deep[j] != deep[space.size + i] for j in near[i])) + space.size
    find(explorer, hashes[card])
    assert text(explorer, "#neighbors-note").startswith("Nearest in t2v-g1-d16; glue8, ")
    names = [what for what, *_ in rows(explorer, "card-neighbors")]
    assert len(set(names)) == 10
    assert any(" layers: " in name for name in names)


def test_a_trained_card_and_a_predicted_one_have_no_difference(explorer):
    hashes, neighbors = explorer.execute_script("return [DATA.hashes, DATA.neighbors]")
    trained = set(load_benchmark().hashes())
    kinds = [{hashes[other] in trained for other in near} for near in neighbors[:9_312]]
    card = next(i for i, found in enumerate(kinds) if hashes[i] in trained and len(found) == 2)
    find(explorer, hashes[card])
    assert "difference between two trained or two predicted cards alone" in text(explorer, "#neighbors-note")
    found = rows(explorer, "card-neighbors")
    assert {("published" in points, difference != "") for _, points, difference in found} == {
        (True, True),
        (False, False),
    }
    find(explorer, "flexibert-mini")  # predicted, as are others
    found = rows(explorer, "card-neighbors")
    assert all((difference != "") == ("predicted" in points) for _, points, difference in found)
    assert any(difference for *_, difference in found)


def test_the_axis_and_the_colours_are_fair_to_trained_cards(explorer):
    kinds = [np.sort(source(explorer, f"cards-{name}")["value"]) for name in ("published", "predicted")]

    def at(values, share):
        return values[min(int(share * len(values)), len(values) - 1)]

    low, high = min(at(kinds[0], 0.05), at(kinds[1], 0.01)), max(values[-1] for values in kinds)
    start, end = explorer.execute_script("const { start, end } = charts.frontier.y_range; return [start, end]")
    assert [start, end] == pytest.approx([low - 0.04 * (high - low), high + 0.04 * (high - low)])
    assert (kinds[0] < start).mean() <= 0.05
    assert "at most a twentieth of the trained cards" in text(explorer, "#frontier-note")
    limits = explorer.execute_script("const { low, high } = charts.data.colours; return [low, high]")
    lows = [at(one, share) for one, share in zip(kinds, (0.05, 0.02), strict=True)]
    assert limits == pytest.approx([min(lows), max(at(one, 0.98) for one in kinds)])


def test_a_filter_shows_the_cards_that_the_space_has(explorer):
    everything = shown(explorer)
    tick(explorer, "Place", "trained, outside")
    assert shown(explorer) == 9_312
    tick(explorer, "Hidden sizes", "128")
    wide = sum(all(layer.hidden == 256 for layer in card.layers) for card in load_space("g1"))
    assert (
        shown(explorer)
        == wide
        == len(source(explorer, "cards-predicted")["x"]) + len(source(explorer, "cards-published")["x"])
    )
    tick(explorer, "Operations", "SA-SDP")
    assert shown(explorer) < wide
    explorer.find_element(By.ID, "reset").click()
    assert shown(explorer) == everything


def test_the_frontier_is_that_of_the_cards_shown(explorer):
    tick(explorer, "Layers", "4")
    dots, edge = source(explorer, "cards-predicted"), source(explorer, "edge-predicted")
    sizes, values = np.array(dots["parameters"]), np.array(dots["value"])
    best = frontier(sizes, values)
    assert edge["parameters"] == sizes[best].tolist()
    assert edge["value"] == values[best].tolist()


def test_hovering_says_what_a_card_is(explorer):
    x, y = explorer.execute_script(
        "const [view] = Bokeh.index.roots.filter((one) => one.model === charts.map);"
        "const box = view.el.getBoundingClientRect(), i = DATA.hashes.indexOf(arguments[0]);"
        "return [box.x + view.frame.x_scale.compute(DATA.x[i]), box.y + view.frame.y_scale.compute(DATA.y[i])]",
        MINI.hash,
    )
    assert tips(explorer) == ""
    chart = explorer.find_element(By.ID, "map")
    middle = chart.rect["x"] + chart.rect["width"] / 2, chart.rect["y"] + chart.rect["height"] / 2
    ActionChains(explorer).move_to_element_with_offset(chart, round(x - middle[0]), round(y - middle[1])).perform()
    WebDriverWait(explorer, 10).until(lambda one: "flexibert-mini" in tips(one))
    predicted = load_benchmark().query(MINI, kind="surrogate")
    assert f"glue8 {predicted.value:.2f} ± {predicted.std:.2f}, predicted" in tips(explorer)


def tips(browser):
    """What stands at the pointer."""
    script = """
        const all = (node) => [node, ...node.querySelectorAll("*")];
        const roots = (node) => all(node).flatMap((one) => (one.shadowRoot ? inside(one) : []));
        const inside = (one) => [one.shadowRoot, ...[...one.shadowRoot.children].flatMap(roots)];
        const found = roots(document.body).flatMap((root) => [...root.querySelectorAll(".tip")]);
        return found.map((tip) => tip.textContent).join(" | ");
    """
    return browser.execute_script(script)


def test_the_keyboard_walks_from_card_to_card(explorer):
    find(explorer, "flexibert-mini")
    explorer.find_element(By.ID, "map").send_keys(Keys.ARROW_RIGHT)
    x = source(explorer, "ring")["x"][0]
    assert text(explorer, "#card-heading") != "flexibert-mini"
    assert x > explorer.execute_script("return DATA.x[1109]")
    explorer.find_element(By.ID, "map").send_keys(Keys.ARROW_LEFT)
    assert source(explorer, "ring")["x"][0] < x
    before = text(explorer, "#card-hash")
    explorer.find_element(By.CSS_SELECTOR, "#card-neighbors button").send_keys(Keys.ENTER)
    neighbors = {card.hash for card in load_space("g1").neighbors(load_benchmark().card(before))}
    assert text(explorer, "#card-hash") in neighbors


def test_a_card_is_found_however_it_is_named(explorer):
    for wanted in (str(load_space("g1").index(MINI)), MINI.hash, MINI.hash[:8], MINI.to_json()):
        find(explorer, "bert-tiny")
        assert text(explorer, "#card-heading") == "bert-tiny"
        find(explorer, wanted)
        assert text(explorer, "#card-heading") == "flexibert-mini"
        assert explorer.current_url.endswith(f"#{MINI.hash}")


def test_a_link_opens_on_a_card(chromium, page):
    open_page(chromium, f"{page.as_uri()}#{MINI.hash}")
    assert text(chromium, "#card-heading") == "flexibert-mini"
    find(chromium, "no such card")
    assert "No card no such card" in text(chromium, "#status")


def test_the_status_counts_the_cards_again_once_a_card_is_chosen(explorer):
    counted = text(explorer, "#status")
    find(explorer, "nonsense")
    assert text(explorer, "#status") == "No card nonsense here"
    find(explorer, "bert-tiny")
    assert text(explorer, "#status") == counted
    find(explorer, "nonsense")
    explorer.find_element(By.CSS_SELECTOR, "#best button").click()
    assert text(explorer, "#status") == counted


@pytest.mark.parametrize(
    ("clipboard", "says"),
    [
        ("undefined", "Could not copy"),
        ("{ writeText: () => Promise.reject(new Error('no')) }", "Could not copy"),
        ("{ writeText: async (text) => { window.copied = text; } }", "Copied"),
    ],
)
def test_it_says_whether_a_card_was_copied(explorer, clipboard, says):
    explorer.execute_script(f"Object.defineProperty(navigator, 'clipboard', {{ value: {clipboard} }})")
    find(explorer, "flexibert-mini")
    explorer.find_element(By.ID, "copy").click()
    WebDriverWait(explorer, 10).until(lambda one: text(one, "#status") == says)
    copied = explorer.execute_script("return window.copied ?? null")
    assert (copied and ModelCard.from_json(copied)) == (MINI if says == "Copied" else None)
    find(explorer, "bert-tiny")
    assert "cards shown" in text(explorer, "#status")


def test_a_window_of_another_size_leaves_what_the_reader_looks_at(explorer):
    def seen():
        """The ranges of the map, and the width and the height of what shows them."""
        ends = "[x_range.start, x_range.end, y_range.start, y_range.end]"
        script = "const { x_range, y_range, inner_width, inner_height } = charts.map;"
        return explorer.execute_script(f"{script} return [{ends}, inner_width, inner_height]")

    whole, wide, _ = seen()
    explorer.set_window_size(1300, 2300)
    WebDriverWait(explorer, 10).until(lambda _: seen()[0] != whole)
    (left, right, bottom, top), width, height = seen()
    assert width < wide
    assert (right - left) / width == pytest.approx((top - bottom) / height)
    explorer.execute_script("charts.map.x_range.setv({ start: 0, end: 1 })")
    explorer.set_window_size(1500, 2300)
    WebDriverWait(explorer, 10).until(lambda _: seen()[1] == wide)
    time.sleep(0.3)  # a refit would come two frames later
    assert seen()[0] == [0, 1, bottom, top]


def test_colours_and_marks_are_those_of_the_figures(explorer):
    palette, marks = explorer.execute_script("return [DATA.palette, Object.entries(DATA.marks)]")
    assert palette == [colour for colour in COLOURS if colour != "#000000"]
    assert marks == [["unknown", "○"], ["predicted", "●"], ["published", "■"], ["measured", "◆"]]
    Select(explorer.find_element(By.ID, "colour")).select_by_visible_text("layers")
    assert explorer.execute_script("return charts.data.colours.palette") == palette[:2]
    assert [one.text for one in explorer.find_elements(By.CSS_SELECTOR, "#legend .mark")] == ["■", "●", "○"]


def test_measured_scores_leave_the_others_unknown(explorer):
    Select(explorer.find_element(By.ID, "score")).select_by_visible_text("rte, cpu-lite")
    measured, unknown = source(explorer, "cards-measured"), source(explorer, "cards-unknown")
    bench = load_benchmark()
    assert len(measured["x"]) == len(set(bench.hashes("rte", "cpu-lite")))
    assert all(value is None for value in unknown["value"])
    assert source(explorer, "cards-predicted")["x"] == []


def test_methods_can_be_hidden(explorer):
    assert "predicted scores" in text(explorer, "#curves-note")
    visible = "return charts.curves.renderers.filter((one) => one.visible).length"
    before = explorer.execute_script(visible)
    explorer.find_element(By.XPATH, "//*[@id='methods']//label[contains(., 'random')]/input").click()
    assert explorer.execute_script(visible) == before - 4  # its runs, their mean, its interval and its marks


def test_methods_are_told_apart_without_colour(explorer):
    marks = explorer.execute_script(
        "return charts.curves.renderers.filter((one) => one.name.startsWith('mark:')).map((one) => one.glyph.marker)"
    )
    written = [one.text for one in explorer.find_elements(By.CSS_SELECTOR, "#methods .line")]
    assert len(set(map(str, marks))) == len(set(written)) == len(written) > 5


def test_light_and_dark(explorer):
    explorer.find_element(By.ID, "theme").click()
    theme = explorer.execute_script("return document.documentElement.dataset.theme")
    assert theme == "dark"
    background = explorer.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background))) < 40
    assert explorer.execute_script("return charts.frontier.left[0].major_label_text_color") == "#e8eaed"
    explorer.find_element(By.ID, "theme").click()
    assert explorer.execute_script("return charts.frontier.left[0].major_label_text_color") == "#1b1f24"


def test_a_narrow_window_needs_no_scrolling_sideways(chromium, page):
    chromium.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        open_page(chromium, f"{page.as_uri()}#{MINI.hash}")
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= 390
    finally:
        chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_control_has_a_name(explorer):
    controls = explorer.find_elements(By.CSS_SELECTOR, "input, select, button")
    assert len(controls) > 30
    assert [one.get_attribute("outerHTML") for one in controls if one.is_displayed() and not one.accessible_name] == []


def test_the_data_of_the_page_is_strict_json(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
