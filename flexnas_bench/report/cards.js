// The cards of the page: what they are, what is known of their scores, which of them are shown.

const DATA = JSON.parse(document.getElementById("data").textContent);
const COUNT = DATA.cards.length;
const ORIGINS = Object.keys(DATA.marks); // those of trained cards last
const UNKNOWN = ORIGINS.indexOf("unknown");
const PREDICTED = ORIGINS.indexOf("predicted");
const isTrained = (scores, card) => scores.origin[card] > PREDICTED;

const layersOf = (card) => DATA.cards[card].map((layer) => DATA.layers[layer]);
const operationOf = (layer) => `${layer.o}-${layer.p}`;
const stackOf = (layer) => layer.f.join("-");
const inSpace = (card) => card < DATA.space.size;
const nameOf = (card) => DATA.names[card] ?? `card ${DATA.hashes[card].slice(0, 10)}`;
const titleOf = (hash) =>
  DATA.hashes.includes(hash) ? nameOf(DATA.hashes.indexOf(hash)) : `card ${hash.slice(0, 10)}`;
const unique = (values) => [...new Set(values)];

function describe(card) {
  const runs = [];
  for (const layer of layersOf(card)) {
    const text = `${operationOf(layer)} h${layer.h} n${layer.n} f${stackOf(layer)}`;
    if (runs.length && runs.at(-1).text === text) runs.at(-1).times += 1;
    else runs.push({ text, times: 1 });
  }
  return runs.map((run) => `${run.times} × ${run.text}`).join(", ");
}

const TEXTS = DATA.cards.map((_, card) => describe(card));

function toJson(card) {
  const layers = layersOf(card);
  const column = (key) => layers.map((layer) => layer[key]);
  return JSON.stringify({
    l: layers.length,
    o: column("o"),
    h: column("h"),
    n: column("n"),
    f: column("f"),
    p: column("p"),
  });
}

// Scores of one protocol and task: of each card the value, where it comes from, and the table's row of it.
function readScores(table) {
  const scores = { value: new Float64Array(COUNT).fill(NaN), origin: new Uint8Array(COUNT), rows: new Map(), table };
  table.predicted?.mean.forEach((value, card) => {
    scores.value[card] = value;
    scores.origin[card] = PREDICTED;
  });
  for (const [card, value, std, n, origin, source] of table.real) {
    scores.value[card] = value ?? NaN; // failed
    scores.origin[card] = ORIGINS.indexOf(origin);
    scores.rows.set(card, { std, n, source });
  }
  scores.out = new Set(table.predicted?.out);
  return scores;
}

const points = (value) => (Number.isNaN(value) ? "failed" : value.toFixed(2));

function scoreText(scores, card) {
  if (scores.origin[card] === UNKNOWN) return `${scores.table.task} not known`;
  const value = `${scores.table.task} ${points(scores.value[card])}`;
  if (scores.origin[card] !== PREDICTED) return `${value}, ${ORIGINS[scores.origin[card]]}`;
  return `${value} ± ${scores.table.predicted.std[card].toFixed(2)}, predicted`;
}

// What one may filter by: of a card all values that it has, each of which must be ticked.
const FACETS = [
  { name: "Score", of: (card, scores) => [ORIGINS[scores.origin[card]]] },
  { name: "Place", of: (card) => [inSpace(card) ? `in ${DATA.space.name}` : "trained, outside"] },
  { name: "Layers", of: (card) => [DATA.cards[card].length] },
  { name: "Operations", of: (card) => layersOf(card).map(operationOf) },
  { name: "Hidden sizes", of: (card) => layersOf(card).map((layer) => layer.h) },
  { name: "Heads", of: (card) => layersOf(card).map((layer) => layer.n) },
  { name: "Feed-forward widths", of: (card) => layersOf(card).flatMap((layer) => layer.f) },
  { name: "Feed-forward stack", of: (card) => layersOf(card).map((layer) => layer.f.length) },
];

const byValue = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b)));

function valuesOf(facet) {
  if (facet.name === "Score") return ORIGINS.slice().reverse();
  const found = new Set();
  for (let card = 0; card < COUNT; card++) for (const value of facet.of(card)) found.add(value);
  return [...found].sort(byValue);
}

// Cards of which all values are ticked; `unticked` has a set of values for each facet.
function shownCards(scores, unticked) {
  const active = FACETS.filter((facet) => unticked.get(facet)?.size);
  const shown = [];
  for (let card = 0; card < COUNT; card++)
    if (active.every((facet) => facet.of(card, scores).every((value) => !unticked.get(facet).has(value))))
      shown.push(card);
  return shown;
}

// The cards that are better than all that are no larger, by size; of equal ones the first.
function frontierOf(cards, value) {
  const size = DATA.parameters;
  const order = cards
    .filter((card) => !Number.isNaN(value[card]))
    .sort((a, b) => size[a] - size[b] || value[b] - value[a]);
  const edge = [];
  for (const card of order) if (!edge.length || value[card] > value[edge.at(-1)]) edge.push(card);
  return edge;
}

// The nearest of some cards to the right of one, above it and so on, as (dx, dy) says, within 45 degrees of that.
function nextCard(from, [dx, dy], cards) {
  let best = null;
  let least = Infinity;
  for (const card of cards) {
    const x = DATA.x[card] - DATA.x[from];
    const y = DATA.y[card] - DATA.y[from];
    const along = x * dx + y * dy;
    const aside = Math.abs(x * dy - y * dx);
    if (along > 0 && aside <= along && along + 2 * aside < least) [best, least] = [card, along + 2 * aside];
  }
  return best;
}

// The card of a name, of the beginning of a hash, of an index in the space, or of its JSON.
function findCard(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return null;
  for (const [card, name] of Object.entries(DATA.names)) if (name === wanted) return Number(card);
  if (/^\d+$/.test(wanted) && Number(wanted) < DATA.space.size) return Number(wanted);
  if (/^[0-9a-f]{6,64}$/.test(wanted)) {
    const card = DATA.hashes.findIndex((hash) => hash.startsWith(wanted));
    return card < 0 ? null : card;
  }
  const bare = wanted.replace(/[\s"]/g, "");
  const card = wanted.startsWith("{")
    ? DATA.cards.findIndex((_, i) => toJson(i).toLowerCase().replaceAll('"', "") === bare)
    : -1;
  return card < 0 ? null : card;
}

// What a neighbour has otherwise, in words; all of it if it has another number of layers.
function difference(card, other) {
  const [mine, theirs] = [layersOf(card), layersOf(other)];
  if (mine.length !== theirs.length) return `${theirs.length} layers: ${TEXTS[other]}`;
  const changes = new Map();
  const traits = { "": operationOf, h: (l) => l.h, n: (l) => l.n, f: stackOf };
  mine.forEach((layer, i) => {
    for (const [sign, trait] of Object.entries(traits))
      if (trait(layer) !== trait(theirs[i])) {
        const what = `${sign}${trait(theirs[i])}`;
        changes.set(what, [...(changes.get(what) ?? []), i + 1]);
      }
  });
  return [...changes].map(([what, at]) => `${what} in layer${at.length > 1 ? "s" : ""} ${at.join(", ")}`).join("; ");
}
