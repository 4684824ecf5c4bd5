// The page: its controls, and what they change.

const state = { score: 0, colour: "score", card: null, unticked: new Map(FACETS.map((facet) => [facet, new Set()])) };
const tables = DATA.scores.length
  ? DATA.scores.map(readScores)
  : [readScores({ protocol: "no protocol", task: "score", real: [], predicted: null })];
let charts = null;
let shown = [];
let colours = null;
const scores = () => tables[state.score];

const tell = (text) => {
  byId("status").textContent = text;
};
const tellCount = () => tell(`${shown.length.toLocaleString("en")} of ${COUNT.toLocaleString("en")} cards shown`);

function choose(card) {
  state.card = card;
  tellCount();
  ringCard(charts, scores(), card);
  showCard(card, tables, scores(), choose);
  if (card === null) return;
  drawGraph(charts, card);
  history.replaceState(null, "", `#${DATA.hashes[card]}`);
}

function filter() {
  shown = shownCards(scores(), state.unticked);
  showCards(charts, scores(), shown, colours);
  tellCount();
  const value = scores().value;
  const best = shown
    .filter((card) => !Number.isNaN(value[card]))
    .sort((a, b) => value[b] - value[a])
    .slice(0, 10);
  byId("best").replaceChildren(
    ...best.map((card) =>
      element("li", {}, cardButton(card, choose, scoreText(scores(), card)), element("small", {}, TEXTS[card])),
    ),
  );
}

function recolour() {
  colours = colourCards(COLOURINGS[state.colour], scores());
  const { kinds, palette, low, high } = colours;
  const chip = (colour, text) =>
    element("span", {}, element("i", { className: "chip", style: `background:${colour}` }), text);
  const parts = (kinds ?? []).map((kind, i) => chip(palette[i], `${kind}`));
  if (!kinds) {
    const bar = element("i", { className: "ramp chip", style: `background:linear-gradient(to right,${palette})` });
    parts.push(element("span", {}, `≤ ${low.toFixed(1)}`, bar, `≥ ${high.toFixed(1)}`));
  }
  const counts = ORIGINS.map((_, origin) => scores().origin.filter((one) => one === origin).length);
  const marks = ORIGINS.map(
    (name, origin) =>
      counts[origin] && element("span", {}, element("b", { className: "mark" }, DATA.marks[name]), name),
  );
  byId("legend").replaceChildren(`${COLOURINGS[state.colour].name}:`, ...parts, ...marks.filter(Boolean).reverse());
}

function redraw() {
  const { table } = scores();
  byId("frontier-note").textContent =
    `${table.task} under ${table.protocol}; solid: the best trained card, of those shown, that is no larger, by its ` +
    "reading; dotted: the best mean predicted, where there is one. Below the axis is at most a twentieth of the " +
    "trained cards and a hundredth of the predicted ones.";
  recolour();
  fitFrontier(charts, scores());
  filter();
  choose(state.card);
}

function makeFacets() {
  byId("facets").replaceChildren(
    ...FACETS.map((facet) => {
      const boxes = valuesOf(facet).map((value) => {
        const box = element("input", { type: "checkbox", checked: true });
        box.onchange = () => {
          state.unticked.get(facet)[box.checked ? "delete" : "add"](value);
          filter();
        };
        return element("label", {}, box, `${value}`);
      });
      return element("fieldset", {}, element("legend", {}, facet.name), ...boxes);
    }),
  );
}

function makeControls() {
  const groups = Map.groupBy
    ? Map.groupBy(tables.keys(), (i) => tables[i].table.protocol)
    : new Map([["", [...tables.keys()]]]);
  byId("score").append(
    ...[...groups].map(([protocol, items]) =>
      element(
        "optgroup",
        { label: protocol },
        ...items.map((i) => element("option", { value: i }, `${tables[i].table.task}, ${tables[i].table.protocol}`)),
      ),
    ),
  );
  byId("colour").append(
    ...Object.entries(COLOURINGS).map(([key, { name }]) => element("option", { value: key }, name)),
  );
  byId("names").append(...Object.values(DATA.names).map((name) => element("option", { value: name })));
  byId("score").onchange = (event) => {
    state.score = Number(event.target.value);
    redraw();
  };
  byId("colour").onchange = (event) => {
    state.colour = event.target.value;
    recolour();
    filter();
  };
  byId("find").onchange = (event) => search(event.target.value);
  byId("controls").onsubmit = (event) => {
    event.preventDefault();
    search(byId("find").value);
  };
  byId("reset").onclick = () => {
    for (const values of state.unticked.values()) values.clear();
    for (const box of byId("facets").querySelectorAll("input")) box.checked = true;
    filter();
  };
  byId("copy").onclick = copyCard;
  byId("map").onkeydown = walk;
}

async function copyCard() {
  try {
    await navigator.clipboard.writeText(toJson(state.card));
    tell("Copied");
  } catch {
    tell("Could not copy"); // there is no clipboard, or the browser does not lend it
  }
}

function search(text) {
  const card = findCard(text);
  if (card !== null) choose(card);
  else if (text.trim()) tell(`No card ${text.trim().slice(0, 24)} here`);
  else tellCount();
}

function walk(event) {
  const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const way = ways[event.key];
  if (!way || !shown.length) return;
  event.preventDefault();
  const card = state.card === null ? shown[0] : nextCard(state.card, way, shown);
  if (card !== null) choose(card);
}

// The card shown that is nearest to where a chart was clicked, if it is within a finger's breadth.
function tap(name, event) {
  const chart = charts[name];
  const pixels = (range, length) => length / (range.end - range.start);
  const across = pixels(chart.x_range, chart.inner_width);
  const up = pixels(chart.y_range, chart.inner_height);
  const [xs, ys] = name === "map" ? [DATA.x, DATA.y] : [DATA.parameters.map((n) => n / 1e6), scores().value];
  const distance = (card) => Math.hypot((xs[card] - event.x) * across, (ys[card] - event.y) * up);
  const near = shown.filter((card) => distance(card) < 14);
  const least = Math.min(...near.map(distance));
  const same = near.filter((card) => distance(card) < least + 0.5); // of cards in one place the next one each time
  if (same.length) choose(same[(same.indexOf(state.card) + 1) % same.length]);
}

function makeMethods() {
  byId("curves-section").hidden = !DATA.runs;
  if (!DATA.runs) return;
  byId("curves-note").textContent = DATA.runs.caption;
  byId("methods").replaceChildren(
    ...Object.entries(DATA.runs.methods).map(([name, { colour, dash, mark }]) => {
      const box = element("input", { type: "checkbox", checked: true });
      box.onchange = () => {
        for (const one of charts.curves.renderers) if (methodOf(one) === name) one.visible = box.checked;
      };
      const under = dash === "dashdot" ? "double" : dash;
      const line = `color: ${colour === DATA.ink ? "var(--ink)" : colour}; border-bottom: 3px ${under}`;
      return element(
        "label",
        {},
        box,
        element("b", { className: "line", ariaHidden: "true", style: line }, mark),
        name,
      );
    }),
  );
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
  if (!charts) return;
  paint(charts);
  recolour();
  filter();
}

function fillTexts() {
  const { space, map, sources } = DATA;
  byId("heading").textContent = `Space ${space.name}: ${space.size.toLocaleString("en")} encoders`;
  const outside = COUNT - space.size;
  byId("lead").textContent =
    `flexnas-bench ${DATA.version}. Every score says whether it was published, measured or predicted.` +
    (outside ? ` Beside the space are ${outside.toLocaleString("en")} trained cards that are not of it.` : "");
  byId("map-note").textContent =
    `Two principal axes of ${map.embedding}, ${Math.round(100 * map.share)} % of the variance.`;
  byId("note").textContent = DATA.note;
  byId("sources").replaceChildren(
    ...Object.entries(sources).map(([key, { citation, licence }]) =>
      element("li", {}, `${key}: ${citation} Licence: ${licence}.`),
    ),
  );
}

const frame = () => new Promise((done) => requestAnimationFrame(done));
const painted = async () => {
  await frame();
  await frame();
};

// Fits the map to a window of another size, unless its reader has moved it.
async function refit() {
  await painted(); // as only then its new size is known
  if (isFitted(charts)) fitMap(charts);
}

async function start() {
  setTheme(window.matchMedia?.("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  byId("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  fillTexts();
  makeFacets();
  makeControls();
  makeMethods();
  charts = await embedCharts();
  const narrow = document.documentElement.clientWidth < 800;
  byId("filters").open = !narrow;
  if (narrow) charts.map.height = byId("map").clientWidth;
  paint(charts);
  redraw();
  search(location.hash.slice(1));
  window.onhashchange = () => search(location.hash.slice(1));
  window.onresize = refit;
  await painted();
  fitMap(charts);
  await painted();
  document.documentElement.dataset.ready = Math.round(performance.now());
}

window.explorer = { tap };
start();
