"""Writes docs/findings.md: what the shipped scores and runs say about claims of the FlexiBERT paper.

    python benchmarks/findings.py                 # a minute
    python benchmarks/findings.py --out FILE

Every number and every verdict of the page is computed here from data/; what the paper's text says stands below. The
page names searches whose runs are not in data/runs/.
"""

import argparse
import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from shipping import ROOT

from flexnas_bench import Benchmark, EncoderLayer, ModelCard, load_benchmark, load_published, load_space
from flexnas_bench.figures.paper.techniques import TECHNIQUES, WITH_VECTORS
from flexnas_bench.results import DEFAULT_PROTOCOL, GLUE8, PREDICTED
from flexnas_bench.searching.analysis import CONFIDENCE, estimate, paired_difference, paired_test
from flexnas_bench.searching.comparison import Comparison
from flexnas_bench.storage import data_folder, write_bytes
from flexnas_bench.surrogate.judging import Interval
from flexnas_bench.surrogate.table import shipped_predictions
from flexnas_bench.surrogate.trained import Trained

Array = NDArray[np.float64]
Runs = Mapping[str, Comparison]
RUNS = ("figure-3a", "figure-3b", "figure-3c", "pool", "pool-t2v", "pool-ablations", "g1-ablations")
METHODS = tuple(TECHNIQUES.values())
STEPS = (20, 40, 100)
RESAMPLES = 4_000

#: What the text of the paper says, as published.
RICHER = "6 % better, averaged across all models (section 4.3)"
BEST_RICHER = "3 % better than the best homogeneous model (section 4.3)"
SMALLER = "2.6x smaller"
VECTORS = "9 % better on average (section 4.3)"
BOSHNAS_AHEAD = "13 %"
MIXED = "the best models of the expanded space outperform homogeneous ones of as many parameters (section 4.3)"
FAVOURED = (
    "The predictions are a process over weighted one-hot features, which may favour searches with one-hot vectors."
)
PREFERRED = "DCT; more heads and a smaller hidden size; wider and fewer feed-forward networks"
PARTS = {
    "second order": "needed, converges faster (section 4.3)",
    "heteroscedasticity": "needed (section 4.3)",
}


class Claim(NamedTuple):
    """A line of the summary: what the paper says, what is found here, and whether these agree."""

    question: str
    paper: str
    here: str
    verdict: str


class Section(NamedTuple):
    """A section of the page, and its lines of the summary."""

    text: str
    claims: Sequence[Claim] = ()


class Gain(NamedTuple):
    """Points that one has more than another by paired seeds, and p of Wilcoxon's signed-rank test."""

    effect: Interval
    p: float


# How things are said


def verdict(effect: Interval) -> str:
    """What an effect, positive as the paper claims it, says about the claim."""
    if effect.low > 0:
        return "agrees"
    return "disagrees" if effect.high < 0 else "open"


def cell(effect: Interval) -> str:
    """An effect with its interval."""
    return f"{effect.value:+.2f} ({effect.low:+.2f} to {effect.high:+.2f})"


def judged(effect: Interval) -> str:
    """An effect with its interval and its verdict."""
    return f"{cell(effect)}, {verdict(effect)}"


def likely(p: float) -> str:
    """A p value."""
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def together(*blocks: str) -> str:
    """Blocks one below another, those that are paragraphs or items of a list in lines of at most 120 characters."""
    return "\n\n".join(
        block if block.startswith(("#", "|")) else "\n".join(map(_filled, block.splitlines())) for block in blocks
    )


def _filled(line: str) -> str:
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


# Searches


def shipped_runs(folder: Path) -> dict[str, Comparison]:
    """The runs that are there, by name."""
    paths = {name: folder / f"{name}.parquet" for name in RUNS}
    return {name: Comparison.read([path]) for name, path in paths.items() if path.exists()}


def not_shipped(title: str, runs: Runs, names: Sequence[str], question: str, paper: str) -> Section | None:
    """What stands in place of a section whose runs are not all there."""
    missing = [f"`data/runs/{name}.parquet`" for name in names if name not in runs]
    if not missing:
        return None
    text = f"These runs are not shipped yet, so nothing is said here: {', '.join(missing)} (`make experiments`)."
    return Section(together(title, text), [Claim(question, paper, "", "not shipped yet")])


def gain(one: pd.DataFrame, other: pd.DataFrame, step: int) -> Gain:
    """What runs have more than others of the same seeds after so many evaluations."""
    difference = paired_difference(one, other)[step].to_numpy()
    found = estimate(difference)
    return Gain(Interval(float(found.mean), float(found.low), float(found.high)), paired_test(difference))


def mean_of(runs: Comparison, methods: Sequence[str]) -> pd.DataFrame:
    """Mean over methods of what they are judged by at their ends, or so far: a row a seed and a column a step."""
    return sum((runs.judged_at_end[name] for name in methods[1:]), runs.judged_at_end[methods[0]]) / len(methods)


def last_step(runs: Comparison) -> int:
    """The last evaluation that all methods have."""
    return min(int(frame["step"].max()) for frame in runs.frames.values())


def about(bench: Benchmark, runs: Comparison) -> str:
    """Origin, protocol and source of the scores of runs, what is judged, and the number of seeds."""
    frame, problem = next(iter(runs.frames.values())), runs.problem
    (origin,) = frame["origin"].unique()
    result = bench.query(str(frame["card_hash"].iloc[0]), problem["task"], problem["protocol"], problem["kind"])
    return (
        f"Scores: {problem['task']} of `{problem['space']}`, origin {origin}"
        f"{', each drawn with the noise of a training' if problem['noisy'] else ''}, protocol `{problem['protocol']}`; "
        f"source {'the surrogate of ' if origin == PREDICTED else ''}`{result.source}`. Judged by: "
        f"{'expected value of the card recommended' if problem['noisy'] else 'best score so far'}; "
        f"{min(frame['seed'].nunique() for frame in runs.frames.values())} seeds."
    )


def bars(letters: str, methods: Sequence[str]) -> pd.DataFrame:
    """Figure 3 of the paper, on its scale from 0 to 1: a row a method, a column a panel."""
    found = load_published("fig3").pivot(index="technique", columns="panel", values="glue_score")
    return found.rename(index=TECHNIQUES).loc[list(methods), list(letters)]


def percent(first: Iterable[float], second: Iterable[float]) -> float:
    """By how many percent the second are higher, mean over methods."""
    return 100 * float(np.mean([after / before - 1 for before, after in zip(first, second, strict=True)]))


def panels(first: Comparison, second: Comparison, letters: str, methods: Sequence[str]) -> tuple[str, Gain, float]:
    """Two panels of Figure 3: a row a method, and the gain of the mean of all of these, also in percent."""
    step = min(map(last_step, (first, second)))
    theirs = bars(letters, methods)
    rows, ends = [], {}
    for name in methods:
        found = gain(second.judged_at_end[name], first.judged_at_end[name], step)
        ends[name] = [float(one.judged_at_end[name][step].mean()) for one in (first, second)]
        published = theirs.loc[name, letters[1]] - theirs.loc[name, letters[0]]
        values = (f"{end:.2f}" for end in ends[name])
        rows.append([name, *values, judged(found.effect), likely(found.p), f"{published:+.3f}"])
    whole = gain(mean_of(second, methods), mean_of(first, methods), step)
    published = (theirs[letters[1]] - theirs[letters[0]]).mean()
    rows.append(["mean", "", "", judged(whole.effect), likely(whole.p), f"{published:+.3f}"])
    less = f"({letters[1]}) less ({letters[0]})"
    head = ["method", f"({letters[0]})", f"({letters[1]})", less, "p", f"{less}, as published"]
    return table(head, rows), whole, percent(*zip(*ends.values(), strict=True))


def richer_searches(bench: Benchmark, runs: Runs) -> Section:
    """Figure 3(a) against Figure 3(b)."""
    title, question = "### Searches of homogeneous cards and of G1", "1. Richer space: searches"
    if nothing := not_shipped(title, runs, ("figure-3a", "figure-3b"), question, RICHER):
        return nothing
    first, second = runs["figure-3a"], runs["figure-3b"]
    found, whole, higher = panels(first, second, "ab", METHODS)
    theirs = bars("ab", METHODS)
    text = together(
        title,
        f"{about(bench, second)} With one-hot vectors, after {last_step(second)} evaluations of (a) homogeneous cards, "
        "(b) G1. The first cards of a seed differ between the spaces, so pairing takes away little.",
        found,
        f"The paper: {RICHER}; its bars are {percent(theirs['a'], theirs['b']):.1f} % higher in (b) in the mean. Here "
        f"it is {higher:+.2f} %: {verdict(whole.effect)}.",
    )
    return Section(text, [Claim(question, RICHER, f"mean of all {cell(whole.effect)}", verdict(whole.effect))])


def vector_searches(bench: Benchmark, runs: Runs) -> Section:
    """Figure 3(b) against Figure 3(c)."""
    title, question = "### Searches of G1, predicted scores", "2. T2v: searches of G1"
    if nothing := not_shipped(title, runs, ("figure-3b", "figure-3c"), question, VECTORS):
        return nothing
    first, second = runs["figure-3b"], runs["figure-3c"]
    found, whole, higher = panels(first, second, "bc", WITH_VECTORS)
    theirs, control = bars("bc", METHODS), bars("bc", [name for name in METHODS if name not in WITH_VECTORS])
    ahead = gain(second.judged_at_end["boshnas"], first.judged_at_end["bananas"], last_step(second)).effect
    text = together(
        title,
        f"{about(bench, second)} After {last_step(second)} evaluations with (b) one-hot vectors, (c) T2v; for one seed "
        f"with the same first cards. {', '.join(control.index)} look at no vectors: their runs are the same in both.",
        found,
        f"The paper: {VECTORS}; its bars are {percent(theirs['b'], theirs['c']):.1f} % higher in (c) in the mean of "
        f"all, and {percent(control['b'], control['c']):.1f} % in that of those that look at no vectors. Here "
        f"it is {higher:+.2f} % for those that look at vectors: {verdict(whole.effect)}. The paper has BOSHNAS with "
        f"T2v {BOSHNAS_AHEAD} ahead of BANANAS with one-hot vectors; here by {judged(ahead)}.",
        FAVOURED,
    )
    here = f"mean of {', '.join(WITH_VECTORS)} {cell(whole.effect)}"
    return Section(text, [Claim(question, VECTORS, here, verdict(whole.effect))])


def vectors_on_trained_cards(bench: Benchmark, runs: Runs) -> Section:
    """T2v against one-hot vectors on the pool."""
    title, question = "### Searches of trained cards", "2. T2v: searches of trained cards"
    if nothing := not_shipped(title, runs, ("pool", "pool-t2v"), question, VECTORS):
        return nothing
    plain, other = runs["pool"], runs["pool-t2v"]
    named = [f"{name}, T2v" for name in WITH_VECTORS]
    tables = {**plain.judged, **other.judged, "mean": mean_of(plain, WITH_VECTORS), "mean, T2v": mean_of(other, named)}
    pairs = [Pair(name, f"{name}, T2v", name) for name in WITH_VECTORS]
    pairs.append(Pair("mean", "mean, T2v", "mean", question, VECTORS))
    return gains(f"{title}\n\n{together(about(bench, other), placed())}", tables, pairs, "T2v less one-hot vectors")


def placed() -> str:
    """What T2v sees of trained cards."""
    pool, g1 = load_space("pool"), load_space("g1")
    return (
        f"{sum(card not in g1 for card in pool)} of the {pool.size} cards are outside G1. T2v places them by the node "
        "part of their distances, which does not see the order of layers."
    )


class Pair(NamedTuple):
    """Two methods, the first of which has what the paper recommends; and a question of the summary, if it is one."""

    what: str
    one: str
    other: str
    question: str = ""
    paper: str = ""


def gains(begin: str, tables: Mapping[str, pd.DataFrame], pairs: Sequence[Pair], head: str) -> Section:
    """A table of what the first of each pair has more than the second, at `STEPS`, or at the end of shorter runs."""
    last = min(int(tables[name].columns.max()) for pair in pairs for name in (pair.one, pair.other))
    steps = [step for step in STEPS if step <= last] or [last]
    rows, claims = [], []
    for what, one, other, question, paper in pairs:
        found = [gain(tables[one], tables[other], step) for step in steps]
        rows.append([what, *(text for each in found for text in (judged(each.effect), likely(each.p)))])
        if question:
            here = "; ".join(f"at {step}: {cell(each.effect)}" for step, each in zip(steps, found, strict=True))
            claims.append(Claim(question, paper, here, ", ".join(verdict(each.effect) for each in found)))
    columns = [text for step in steps for text in (f"at {step}", "p")]
    return Section(together(begin, table([head, *columns], rows)), claims)


def ablations(
    bench: Benchmark, runs: Runs, pairs: Sequence[Pair], head: str, notes: Sequence[str] = ("", "")
) -> list[Section]:
    """What parts of BOSHNAS gain, on trained cards and on predicted scores; the question of a pair is completed."""
    found = []
    problems = {"pool-ablations": "trained cards", "g1-ablations": "G1, predicted scores"}
    for (name, where), note in zip(problems.items(), notes, strict=True):
        title = f"### BOSHNAS, searches of {where}"
        asked = [pair._replace(question=f"{pair.question}: BOSHNAS on {where}") for pair in pairs]
        nothing = not_shipped(title, runs, [name], asked[0].question, asked[0].paper)
        found.append(
            nothing
            or gains(f"{title}\n\n{together(f'{about(bench, runs[name])} {note}')}", runs[name].judged, asked, head)
        )
    return found


def published_parts() -> str:
    """What the paper's Figure 4(b) and Table 3 have for BOSHNAS more than for its ablations."""
    curves = load_published("fig4")
    curves = curves[curves["panel"] == "4b"].pivot(index="technique", columns="models_trained", values="best_glue")
    scores = load_published("table3").set_index("model")["Avg"]
    lines = []
    for part, (label, mark) in zip(PARTS, (("W/o 2nd-order grad", "S."), ("W/o heteroscedastic", "H.")), strict=True):
        less = curves.loc["BOSHNAS"] - curves.loc[label]
        points = scores["FlexiBERT-Mini"] - scores[f"FlexiBERT-Mini w/o {mark}"]
        lines.append(f"{part} {less[20]:+.2f} at 20 models and {less[40]:+.2f} at 40, {points:+.1f} in Table 3")
    return f"The paper's Figure 4(b), on its own scale, has {'; '.join(lines)} (a card found by each variant)."


# Predicted scores


def predicted_best(bench: Benchmark) -> Section:
    """The best of G1 against the best homogeneous card, as predicted."""
    cards = shipped_predictions(GLUE8, DEFAULT_PROTOCOL)
    cards = cards.assign(millions=[bench.card(digest).parameters / 1e6 for digest in cards.index])
    spaces = {"homogeneous": cards[cards.index.isin([card.hash for card in load_space("homogeneous")])], "G1": cards}
    plain, best = (space.loc[space["mean"].idxmax()] for space in spaces.values())
    effect, most = predicted_difference(plain, best)
    equal = cards[cards["mean"] >= plain["mean"]]["millions"].min()
    rows = [
        [name, f"{len(space):,}", f"{row['mean']:.2f}", f"{row['epistemic_std']:.2f}", f"{row['millions']:.2f}M"]
        for (name, space), row in zip(spaces.items(), (plain, best), strict=True)
    ]
    text = together(
        "### Predicted scores of all cards",
        f"Scores: {GLUE8} of `g1`, origin {PREDICTED}, protocol `{DEFAULT_PROTOCOL}`; source the surrogate of "
        f"`{bench.query(str(cards.index[0]), kind='surrogate').source}`. Nobody trained these cards. The epistemic "
        "deviation says how unsure the surrogate is of what a card scores on average.",
        table(["space", "cards", "best predicted", "epistemic deviation", "parameters"], rows),
        f"The paper: {BEST_RICHER}. Here the best of G1 is predicted {effect.value:+.2f} points higher, "
        f"{100 * effect.value / plain['mean']:+.2f} %. G1 holds the homogeneous cards, so it could not be lower, and "
        "the best of many predictions is partly luck. The deviation of the difference is at most the sum of both, "
        f"{most:.2f}; with that the 90 % interval is {effect.low:+.2f} to {effect.high:+.2f}: {verdict(effect)}.",
        f"The smallest card of G1 that is predicted at least as good as the best homogeneous one has {equal:.2f}M "
        f"parameters, {plain['millions'] / equal:.2f}x smaller (predicted). The paper: {SMALLER}.",
    )
    return Section(
        text, [Claim("1. Richer space: best card", BEST_RICHER, f"{cell(effect)}, predicted", verdict(effect))]
    )


def predicted_difference(one: pd.Series, other: pd.Series) -> tuple[Interval, float]:
    """What another card is predicted to have more, and the largest deviation that this may have: the sum of both."""
    middle, most = float(other["mean"] - one["mean"]), float(one["epistemic_std"] + other["epistemic_std"])
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * most
    return Interval(middle, middle - reach, middle + reach), most


# Trained cards


#: What a layer may have. Of operations with their parameters SDP is what is left, so its effect is zero.
FEATURES: Mapping[str, Callable[[EncoderLayer], bool]] = {
    "WMA": lambda layer: layer.parameter == "WMA",
    "DFT": lambda layer: layer.parameter == "DFT",
    "DCT": lambda layer: layer.parameter == "DCT",
    "kernel 5": lambda layer: layer.parameter == 5,
    "kernel 9": lambda layer: layer.parameter == 9,
    "four heads": lambda layer: layer.heads == 4,
    "wide": lambda layer: layer.feed_forward[0] == 1024,
    "single": lambda layer: len(layer.feed_forward) == 1,
}
DCT = {"DCT": 1.0, **dict.fromkeys(("WMA", "DFT", "kernel 5", "kernel 9"), -1 / 5)}
#: Rules of section 4.4 as weighted features.
RULES: Mapping[str, Mapping[str, float]] = {
    "DCT, not another operation": DCT,
    "four heads, not two": {"four heads": 1.0},
    "feed-forward networks 1024 wide, not 512": {"wide": 1.0},
    "one feed-forward network, not three": {"single": 1.0},
    "all four": {**DCT, "four heads": 1.0, "wide": 1.0, "single": 1.0},
}
CONTRASTS = {**RULES, "DCT, not DFT": {"DCT": 1.0, "DFT": -1.0}}
MIXES: Mapping[str, Callable[[EncoderLayer], object]] = {
    "operations": lambda layer: layer.operation,
    "heads": lambda layer: layer.heads,
    "feed-forward stacks": lambda layer: layer.feed_forward,
}
HALVES = ("shallower", "deeper")
MOVED, DEEPER, SHALLOWER = "deeper rather than shallower", "in the deeper half", "in the shallower half"
WHERE: Mapping[str, Mapping[str, float]] = {
    MOVED: {"deeper": 1.0, "shallower": -1.0},
    DEEPER: {"deeper": 1.0},
    SHALLOWER: {"shallower": 1.0},
}
#: Weights of columns of `trained_cards`, by what their sum is called.
Weights = Mapping[Hashable, Mapping[str, float]]


def trained_cards(trained: Sequence[Trained]) -> pd.DataFrame:
    """A row a card with a training that did not fail: score, and what its two halves have."""
    return pd.DataFrame([{"score": one.fine, **described(one.card)} for one in trained if one.scores])


def described(card: ModelCard) -> dict[str, object]:
    """Depth, hidden size, the share of layers of each half that have a feature, and how many values a card mixes."""
    middle = card.num_layers // 2
    halves = dict(zip(HALVES, (card.layers[:middle], card.layers[middle:]), strict=True))
    shares = {
        f"{half} {name}": sum(map(has, layers)) / len(layers)
        for half, layers in halves.items()
        for name, has in FEATURES.items()
    }
    mixed = {f"mixed {name}": len(set(map(value, card.layers))) for name, value in MIXES.items()}
    return {"depth": card.num_layers, "hidden": card.layers[0].hidden, **shares, **mixed}


def samples(cards: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The cards that are looked at, by name."""
    deep = cards[cards["depth"] == 4]
    return {
        "all": cards,
        "two layers": cards[cards["depth"] == 2],
        "four layers": deep,
        "four layers, 256 wide": deep[deep["hidden"] == 256],
    }


def effects(cards: pd.DataFrame, weights: Weights, mixed: bool = False) -> list[Interval]:
    """Sums of weighted effects of what halves have, in points.

    By least squares with a level for each depth and hidden size, so that no effect is one of size.

    Args:
        cards: as `trained_cards`.
        weights: of columns, for each sum.
        mixed: whether what cards mix counts beside the features.
    """
    columns = [f"{half} {name}" for half in HALVES for name in FEATURES]
    columns += [f"mixed {name}" for name in MIXES] if mixed else []
    levels = pd.get_dummies(cards["depth"] * 10_000 + cards["hidden"])
    x = np.hstack([levels.to_numpy(np.float64), cards[columns].to_numpy(np.float64)])
    chosen = pd.DataFrame(list(weights.values()), columns=[*levels.columns, *columns]).fillna(0.0)
    return combinations(x, cards["score"].to_numpy(np.float64), chosen.to_numpy(np.float64))


def combinations(x: Array, y: Array, weights: Array) -> list[Interval]:
    """Linear combinations `(m, p)` of the least-squares coefficients of `y` `(n,)` on `x` `(n, p)`.

    Intervals are 90 % percentiles of rows drawn again; they hold the noise of `y`, whether or not it is the same
    everywhere.
    """
    n, p = x.shape
    times = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    products = x[:, :, None] * np.column_stack([x, y])[:, None, :]
    moments = (times @ products.reshape(n, -1)).reshape(-1, p, p + 1)
    drawn = np.linalg.solve(moments[:, :, :p], moments[:, :, p:])[:, :, 0] @ weights.T
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    value = weights @ np.linalg.lstsq(x, y)[0]
    return [Interval(*map(float, one)) for one in zip(value, low, high, strict=True)]


def across(cards: pd.DataFrame, weights: Weights, mixed: bool = False) -> pd.DataFrame:
    """Effects in each sample: a row a sum, a column a sample."""
    found = {name: effects(some, weights, mixed) for name, some in samples(cards).items()}
    return pd.DataFrame({name: pd.Series(dict(zip(weights, column, strict=True))) for name, column in found.items()})


def by_half() -> Weights:
    """The rules as weights of columns, by where it is that they ask for something and by their names."""
    return {
        (where, rule): {f"{half} {name}": sign * weight for half, sign in halves.items() for name, weight in of.items()}
        for where, halves in WHERE.items()
        for rule, of in CONTRASTS.items()
    }


def effect_table(head: str, found: pd.DataFrame, cards: pd.DataFrame, show: Callable[[Interval], str]) -> str:
    """A row a sum, a column a sample with its number of cards."""
    sizes = [f"{name} ({len(some)})" for name, some in samples(cards).items()]
    return table([head, *sizes], [[str(name), *map(show, row)] for name, row in found.iterrows()])


def trained_scores(bench: Benchmark) -> str:
    """Origin, protocol and source of the scores of trained cards."""
    best = bench.best(GLUE8)
    return f"Scores: {GLUE8}, origin {best.origin}, protocol `{best.protocol}`; source `{best.source}`."


def mixing(bench: Benchmark) -> Section:
    """Whether trained cards that mix more do better than what their layers are worth one by one."""
    cards = trained_cards(bench.trained())
    found = across(cards, {name: {f"mixed {name}": 1.0} for name in MIXES}, mixed=True)
    claims = [
        Claim(f"1. Richer space: mixed {name}", MIXED, f"four layers: {cell(effect)}", verdict(effect))
        for name, effect in found["four layers"].items()
    ]
    text = together(
        "### Mixing, on trained cards",
        f"{trained_scores(bench)} The paper: {MIXED}. Points for one more operation, number of heads or feed-forward "
        "stack in a card, by the regression of section 4, in which each half of a card has what its layers are worth: "
        "at zero, a mixed card is worth what its layers are. This is about mixed cards in the mean, where a search "
        "looks for the best one.",
        effect_table("one more of", found, cards, judged),
    )
    return Section(text, claims)


def rules(bench: Benchmark) -> Section:
    """The rules of section 4.4."""
    trained = bench.trained()
    cards = trained_cards(trained)
    found = across(cards, by_half())
    moved = found.loc[MOVED]
    chosen = ["four layers", "four layers, 256 wide"]
    shown = {MOVED: judged, DEEPER: judged, SHALLOWER: cell}  # the paper says nothing of shallower layers
    claims = [
        Claim(
            f"4. In deeper layers: {rule}",
            "preferable (section 4.4)",
            "; ".join(f"{name}: {cell(moved.loc[rule, name])}" for name in chosen),
            ", ".join(verdict(moved.loc[rule, name]) for name in chosen),
        )
        for rule in RULES
    ]
    text = together(
        "## 4. Which rules for good cards hold on trained cards?",
        method(bench, trained, cards, found.size),
        *(effect_table(where, found.loc[where], cards, show) for where, show in shown.items()),
        *failures(trained),
    )
    narrow = Claim("4. In deeper layers: smaller hidden size", "preferable (section 4.4)", "", "no such trained cards")
    return Section(text, [*claims, narrow])


def method(bench: Benchmark, trained: Sequence[Trained], cards: pd.DataFrame, count: int) -> str:
    """How the effects are estimated, and of what."""
    failed = sum(len(one.failed_scores) for one in trained)
    flexible = sum(len({layer.hidden for layer in one.card.layers}) > 1 for one in trained)
    return (
        f"{trained_scores(bench)} {sum(one.trainings for one in trained)} trainings of {len(trained)} cards, of which "
        f"{failed} failed (`surrogate/failures.py`) and are apart, below; {len(cards)} cards are left.\n\n"
        f"The paper reads three rules off its best cards (section 4.4), without effect sizes. In deeper layers it "
        f"prefers: {PREFERRED}.\n\n"
        "- Least squares of the score on what each half of a card has: the share of its layers with each operation and "
        "parameter, with four heads, with wide and with single feed-forward networks; and a level for each depth and "
        "hidden size. Replicates of a card are averaged. Intervals are over cards, drawn again.\n"
        "- *In the deeper half* is what a card gains if all layers of that half have it and none had, the other half "
        "being as it is. *Deeper rather than shallower* is what it gains if its deeper half has it and its shallower "
        "half does not, and not the other way round: as many layers have it, and there are as many parameters. A rule "
        "about deeper layers needs both. What helps in either half alike is no such rule.\n"
        "- The paper's best cards have four layers; a card of two has halves of one. Columns share cards, and *all* is "
        "a mean over depths whose effects differ.\n"
        f"- {flexible} of the {len(trained)} cards have layers of different hidden sizes, so a smaller hidden size of "
        "deeper layers cannot be tested. Heads are tested at one hidden size.\n"
        "- Predictions are no evidence here, as they follow from these same scores. The surrogate is not asked.\n"
        f"- Of the {count} intervals one in ten would miss zero if there were no effects at all."
    )


def failures(trained: Sequence[Trained]) -> list[str]:
    """How often trainings fail, by what the last layer has, for depths at which any failed: a sentence and a table."""
    depths = sorted({one.card.num_layers for one in trained if one.failed_scores})
    rows = []
    for name in ("DCT", "four heads", "wide", "single"):
        cells = []
        for has in (True, False):
            some = [t for t in trained if t.card.num_layers in depths and FEATURES[name](t.card.layers[-1]) is has]
            bad, tried = sum(len(t.failed_scores) for t in some), sum(t.trainings for t in some)
            low, high = binomtest(bad, tried).proportion_ci(CONFIDENCE, "wilson")
            cells.append(f"{bad} of {tried}: {100 * bad / tried:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
        rows.append([name, *cells])
    return [
        f"All trainings that failed are of cards of {' or '.join(map(str, depths))} layers. How often they failed, by "
        "what the last layer has (90 % intervals by Wilson):",
        table(["last layer", "with it", "without it"], rows),
    ]


# The page


def page(bench: Benchmark, runs: Runs) -> str:
    """All of it."""
    vectors = [Pair("T2v less one-hot vectors", "with t2v-g1-d16", "boshnas", "2. T2v", VECTORS)]
    parts = [
        Pair(part, "boshnas", f"without {part}", f"3. {part.capitalize()}", paper) for part, paper in PARTS.items()
    ]
    sections = [
        Section("## 1. Does a richer space help?"),
        richer_searches(bench, runs),
        predicted_best(bench),
        mixing(bench),
        Section("## 2. Does Transformer2vec help a search?"),
        vector_searches(bench, runs),
        vectors_on_trained_cards(bench, runs),
        *ablations(bench, runs, vectors, "embedding", (placed(), FAVOURED)),
        Section(together("## 3. Do second-order gradients and a heteroscedastic model help?", published_parts())),
        *ablations(bench, runs, parts, "BOSHNAS less BOSHNAS without"),
        rules(bench),
    ]
    claims = [claim for section in sections for claim in section.claims]
    blocks = [begin(), table(["question", "the paper", "here, points", "verdict"], claims)]
    return "\n\n".join([*blocks, *(section.text for section in sections), sources(bench)]) + "\n"


def begin() -> str:
    """What comes before the summary."""
    return together(
        "# Findings",
        "What the scores and runs shipped here say about claims of the FlexiBERT paper (Tuli et al., JAIR 77, 2023). "
        "`python benchmarks/findings.py` makes this page from `data/`, with all numbers and verdicts.",
        f"- Effects are in points of {GLUE8} (the mean of eight tasks, x100) with 90 % intervals, positive where the "
        "paper says so. A claim *agrees* with what is here where the whole interval is above zero, *disagrees* where "
        "it is below, and is *open* where it holds zero; the interval alone decides. Several verdicts are in the order "
        "of their effects. p is that of Wilcoxon's signed-rank test over seeds.\n"
        "- Scores of the paper are means of nine tasks, of another training recipe, and not public. So directions are "
        "compared, and not sizes.\n"
        "- Predicted scores are a model's, of cards that nobody trained; each section says which scores it has.\n"
        "- Intervals of searches are over seeds: how the result varies when the search is run again on the same "
        "scores. They hold neither the error of predictions nor, on trained cards, the noise of a training. Intervals "
        "of regressions are over cards, and hold that noise.",
        "## In short",
    )


def sources(bench: Benchmark) -> str:
    """Citation and licence of the scores, and of what is quoted."""
    keys = (bench.best(GLUE8).source, str(load_published("fig3")["source"].iloc[0]))
    lines = [f"- `{key}`: {bench.sources[key]['citation']} Licence: {bench.sources[key]['licence']}." for key in keys]
    return together("## Sources", "\n".join(lines))


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "findings.md", metavar="FILE")
    options = parser.parse_args()
    write_bytes(options.out, page(load_benchmark(), shipped_runs(data_folder() / "runs")).encode())
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()
