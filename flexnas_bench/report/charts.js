// The charts: Bokeh's models, filled and coloured.

// The method whose runs, mean, interval or marks something shows.
const methodOf = ({ name }) => name.slice(name.indexOf(":") + 1);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isDark = () => document.documentElement.dataset.theme === "dark";

async function embedCharts() {
  const json = JSON.parse(document.getElementById("document").textContent);
  const ids = Object.keys(DATA.roots);
  await Bokeh.embed.embed_items({ page: json }, [{ docid: "page", roots: DATA.roots, root_ids: ids }]);
  const model = (name) => Bokeh.documents[0].get_model_by_name(name);
  const roots = Object.fromEntries(Object.values(DATA.roots).map((name) => [name, model(name)]));
  const named = [
    ...ORIGINS.map((name) => `cards-${name}`),
    "ring",
    "edge-real",
    "edge-predicted",
    "frames",
    "edges",
    "heads",
    "nodes",
    "projections",
    "colours",
  ];
  return { ...roots, data: Object.fromEntries(named.map((name) => [name, model(name)])) };
}

// What dots may be coloured by; numbers go along the ramp, other things have a colour each.
const COLOURINGS = {
  score: { name: "score", number: true, of: (card, scores) => scores.value[card] },
  parameters: { name: "parameters (millions)", number: true, of: (card) => DATA.parameters[card] / 1e6 },
  layers: { name: "layers", of: (card) => DATA.cards[card].length },
  operation: { name: "operation of most layers", of: (card) => mostCommon(layersOf(card).map((layer) => layer.o)) },
  hidden: {
    name: "hidden sizes",
    of: (card) =>
      unique(layersOf(card).map((layer) => layer.h))
        .sort(byValue)
        .join("-"),
  },
};

function mostCommon(values) {
  const counts = unique(values).map((value) => [values.filter((other) => other === value).length, value]);
  counts.sort((a, b) => b[0] - a[0]);
  return counts.length > 1 && counts[0][0] === counts[1][0] ? "two as often" : counts[0][1];
}

// Limits of values that are as fair to the few trained cards as to the others: of the quantiles of either kind, whose
// shares are given, the lower of the two lows and the higher of the two highs; [0, 1] if no value is known.
function fairLimits(values, scores, { trained, others }) {
  const known = (kind) => values.filter((value, card) => !Number.isNaN(value) && isTrained(scores, card) === kind);
  const found = [...quantiles(known(true), trained), ...quantiles(known(false), others)];
  return found.length ? extent(found) : [0, 1];
}

// A value for each share, none if there are no values.
function quantiles(values, shares) {
  const sorted = values.slice().sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return sorted.length ? shares.map(at) : [];
}

// A number for each card and the colours of these numbers, and what a legend says of them.
function colourCards(colouring, scores) {
  const values = Array.from({ length: COUNT }, (_, card) => colouring.of(card, scores));
  if (!colouring.number) {
    const kinds = unique(values).sort(byValue);
    const palette = kinds.map((_, i) => DATA.palette[i % DATA.palette.length]);
    const numbers = new Map(kinds.map((kind, i) => [kind, i]));
    return { shades: values.map((value) => numbers.get(value)), palette, low: -0.5, high: kinds.length - 0.5, kinds };
  }
  const [low, high] = fairLimits(values, scores, { trained: [0.05, 0.98], others: [0.02, 0.98] });
  const palette = isDark() ? DATA.ramp.slice(60) : DATA.ramp.slice(0, 226); // as far as the background lets it be seen
  return { shades: values, palette, low, high };
}

// Shows some of the cards, and the frontiers of those of them that were trained and of the predicted ones.
function showCards(charts, scores, shown, { shades, palette, low, high }) {
  charts.data.colours.setv({ palette, low, high: Math.max(high, low + 1e-9), nan_color: style("--soft") });
  const pick = (cards, values) => cards.map((card) => values[card]);
  const millions = (cards) => cards.map((card) => DATA.parameters[card] / 1e6);
  ORIGINS.forEach((name, origin) => {
    const cards = shown.filter((card) => scores.origin[card] === origin);
    charts.data[`cards-${name}`].data = {
      x: pick(cards, DATA.x),
      y: pick(cards, DATA.y),
      parameters: millions(cards),
      value: pick(cards, scores.value),
      shade: pick(cards, shades),
      title: cards.map(nameOf),
      text: pick(cards, TEXTS),
      score: cards.map((card) => scoreText(scores, card)),
    };
  });
  const edges = {
    real: (card) => isTrained(scores, card),
    predicted: (card) => scores.origin[card] === PREDICTED,
  };
  for (const [kind, is] of Object.entries(edges)) {
    const cards = frontierOf(shown.filter(is), scores.value);
    charts.data[`edge-${kind}`].data = { parameters: millions(cards), value: pick(cards, scores.value) };
  }
}

const extent = (values) =>
  values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);

function setRange(range, [low, high]) {
  const margin = 0.04 * (high - low) || 1;
  range.setv({ start: low - margin, end: high + margin, reset_start: low - margin, reset_end: high + margin });
}

const rangesOf = ({ map }) => [map.x_range, map.y_range].flatMap(({ start, end }) => [start, end]);
let fitted = []; // the ranges of the map as it was last fitted
const isFitted = (charts) => rangesOf(charts).every((end, i) => end === fitted[i]);

// All of the map, a unit as long in both directions.
function fitMap(charts) {
  const { map } = charts;
  const [x, y] = [extent(DATA.x), extent(DATA.y)];
  const [width, height] = [x[1] - x[0] || 1, y[1] - y[0] || 1];
  const unit = Math.max(width / (map.inner_width || 1), height / (map.inner_height || 1));
  const widened = ([low, high], length) => [(low + high - unit * length) / 2, (low + high + unit * length) / 2];
  setRange(map.x_range, widened(x, map.inner_width || 1));
  setRange(map.y_range, widened(y, map.inner_height || 1));
  fitted = rangesOf(charts);
}

function fitFrontier({ frontier }, scores) {
  const sizes = DATA.parameters.filter((_, card) => scores.origin[card] !== UNKNOWN);
  setRange(
    frontier.x_range,
    extent(sizes).map((n) => n / 1e6),
  );
  setRange(frontier.y_range, fairLimits(scores.value, scores, { trained: [0.05, 1], others: [0.01, 1] }));
  frontier.left[0].axis_label = `${scores.table.task} (points)`;
}

function ringCard(charts, scores, card) {
  const one = (value) => (card === null ? [] : [value]);
  charts.data.ring.data = {
    x: one(DATA.x[card]),
    y: one(DATA.y[card]),
    parameters: one(DATA.parameters[card] / 1e6),
    value: one(scores.value[card]),
  };
}

// The block graph of a card: the parts of its layers one below the other, each hung on the one before.
function graphOf(card) {
  const columns = { frames: [], edges: [], heads: [], nodes: [], projections: [] };
  const node = (y, text) => columns.nodes.push({ x: 0, y, width: 2, colour: "#ffffff", text });
  const edge = (corners) => {
    columns.edges.push({ xs: corners.map(([x]) => x), ys: corners.map(([, y]) => y) });
    columns.heads.push({ x: corners.at(-1)[0], y: corners.at(-1)[1] + 0.06 });
  };
  const layers = layersOf(card);
  let top = 0;
  let before = 0.75;
  node(before, "input");
  layers.forEach((layer, i) => {
    const lower = top,
      bottom = top - layer.height;
    columns.nodes.push(
      ...layer.nodes.map((part) => ({ ...part, y: lower + part.y, text: part.text.split("\n").at(-1) })),
    );
    // what starts above a layer starts at the node before it
    for (const corners of layer.edges) edge(corners.map(([x, y]) => [x, y > 0 ? before : lower + y]));
    const next = layers[i + 1]?.h ?? layer.h;
    const projection = `projection: ${next === layer.h ? "identity" : `h${layer.h} to h${next}`}`;
    columns.projections.push({ x: 0, y: bottom + 0.35, text: projection });
    const title = `layer ${i + 1}: ${layer.title}`;
    columns.frames.push({
      x: 0,
      y: (top + bottom) / 2,
      height: layer.height,
      title_x: -3.45,
      title_y: top - 0.27,
      title,
    });
    before = top + layer.nodes.at(-1).y;
    top = bottom - 0.5;
  });
  node(top - 0.1, "output");
  edge([
    [0, before],
    [0, top + 0.18],
  ]);
  return columns;
}

function drawGraph(charts, card) {
  const columns = graphOf(card);
  for (const [name, rows] of Object.entries(columns)) {
    const keys = Object.keys(charts.data[name].data);
    charts.data[name].data = Object.fromEntries(keys.map((key) => [key, rows.map((row) => row[key])]));
  }
  const bottom = columns.nodes.at(-1).y - 0.5;
  charts.graph.y_range.setv({ start: bottom, end: 1.25, reset_start: bottom, reset_end: 1.25 });
  charts.graph.height = Math.round(40 + 24 * (1.25 - bottom));
}

// Colours that depend on whether the page is light or dark.
function paint(charts) {
  const [ink, soft, rule, accent, panel] = ["--ink", "--soft", "--rule", "--accent", "--panel"].map(style);
  const glyphs = {
    outlined: { line_color: ink },
    "ring-dots": { line_color: accent },
    "edge-steps": { line_color: ink },
    "edge-lines": { line_color: soft },
    arrows: { line_color: soft, fill_color: soft },
    frame: { line_color: soft, fill_color: soft },
    projection: { line_color: soft, fill_color: panel },
    "soft-text": { text_color: soft },
  };
  for (const chart of [charts.map, charts.frontier, charts.curves, charts.graph].filter(Boolean)) {
    const axis = {
      axis_label_text_color: ink,
      major_label_text_color: ink,
      axis_line_color: rule,
      major_tick_line_color: rule,
      minor_tick_line_color: null,
    };
    for (const one of [...chart.below, ...chart.left]) one.setv(axis);
    for (const grid of chart.center) grid.setv({ grid_line_color: rule });
    for (const { name, glyph } of chart.renderers) glyph.setv(glyphs[name] ?? {});
  }
  for (const renderer of charts.curves?.renderers ?? []) {
    const { glyph } = renderer;
    const colour = DATA.runs.methods[methodOf(renderer)].colour;
    const own = colour === DATA.ink ? ink : colour;
    if ("fill_color" in glyph) glyph.setv({ fill_color: own });
    if ("line_color" in glyph) glyph.setv({ line_color: renderer.name.startsWith("mark:") ? ink : own });
  }
}
