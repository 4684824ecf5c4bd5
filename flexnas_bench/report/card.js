// The panel of the chosen card.

const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// A table; columns whose heading begins with # have numbers, and a row of one cell is a heading of those below.
function fillTable(id, headings, rows) {
  const cell = (tag, text, i) => element(tag, { className: headings[i].startsWith("#") ? "number" : "" }, text);
  const head = element("tr", {}, ...headings.map((heading, i) => cell("th", heading.replace("#", ""), i)));
  const row = (cells) =>
    cells.length > 1
      ? cells.map((text, i) => cell("td", text, i))
      : [element("th", { colSpan: headings.length, scope: "rowgroup" }, ...cells)];
  byId(id).replaceChildren(
    element("thead", {}, head),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...row(cells)))),
  );
}

const cardButton = (card, choose, text) =>
  element("button", { type: "button", className: "card", onclick: () => choose(card) }, text);

function showCard(card, tables, scores, choose) {
  byId("card-hint").hidden = card !== null;
  byId("card-body").hidden = card === null;
  byId("card-heading").textContent = card === null ? "No card chosen" : nameOf(card);
  if (card === null) return;
  const place = inSpace(card) ? `number ${card} of ${DATA.space.name}` : `outside ${DATA.space.name}`;
  const flops = `${(DATA.flops[card] / 1e9).toFixed(2)} GFLOPs at 128 tokens`;
  const size = `${(DATA.parameters[card] / 1e6).toFixed(2)}M parameters, ${flops}`;
  byId("card-facts").textContent = `${scoreText(scores, card)}; ${place}; ${size}`;
  byId("card-hash").textContent = DATA.hashes[card];
  const headings = ["#", "operation", "#hidden", "#heads", "feed-forward"];
  fillTable(
    "card-layers",
    headings,
    layersOf(card).map((l, i) => [`${i + 1}`, operationOf(l), `${l.h}`, `${l.n}`, stackOf(l)]),
  );
  showScores(card, tables);
  showNeighbors(card, scores, choose);
}

function showScores(card, tables) {
  const groups = new Map();
  const add = (heading, row) => groups.set(heading, [...(groups.get(heading) ?? []), row]);
  const trainings = (n, source) => `${n} training${n > 1 ? "s" : ""}, ${source}`;
  const addTable = (one) => {
    const origin = one.origin[card];
    const known = one.rows.get(card);
    const { protocol, task, predicted } = one.table;
    const [source, std] = known ? [known.source, known.std] : [predicted.source, predicted.std[card]];
    const by = known ? trainings(known.n, source) : `from scores of ${source}`;
    const heading = `${protocol}: ${ORIGINS[origin]}${!known && one.out.has(card) ? ", out of support" : ""}, ${by}`;
    add(heading, [task, points(one.value[card]), std === null ? "" : `± ${std.toFixed(2)}`]);
  };
  tables.filter((one) => isTrained(one, card)).forEach(addTable);
  for (const [place, protocol, task, value, n, origin, source, donor] of DATA.transferred) {
    if (place !== card) continue;
    const from = `from weights of ${titleOf(donor)}`;
    add(`${protocol}, ${from}: ${origin}, ${trainings(n, source)}`, [task, points(value ?? NaN), ""]);
  }
  tables.filter((one) => one.origin[card] === PREDICTED).forEach(addTable);
  fillTable(
    "card-scores",
    ["task", "#points", "#±"],
    [...groups].flatMap(([heading, rows]) => [[heading], ...rows]),
  );
}

function showNeighbors(card, scores, choose) {
  const cards = DATA.neighbors[card].slice();
  const note = inSpace(card)
    ? `Cards that differ in ${DATA.space.listed ? "the fewest decisions" : "one decision"}`
    : `Nearest in ${DATA.map.embedding}`;
  const { task, protocol } = scores.table;
  byId("neighbors-note").textContent =
    `${note}; ${task}, ${protocol}; difference between two trained or two predicted cards alone.`;
  const value = (other) => (Number.isNaN(scores.value[other]) ? -Infinity : scores.value[other]);
  cards.sort((a, b) => value(b) - value(a));
  const gain = (other) => {
    const more = scores.value[other] - scores.value[card];
    if (Number.isNaN(more) || isTrained(scores, card) !== isTrained(scores, other)) return "";
    return element(
      "span",
      { className: more > 0 ? "up" : "down" },
      `${more > 0 ? "+" : "−"}${Math.abs(more).toFixed(2)}`,
    );
  };
  const rows = cards.map((other) => [
    cardButton(other, choose, difference(card, other)),
    scoreText(scores, other).replace(`${task} `, ""),
    gain(other),
  ]);
  fillTable("card-neighbors", ["what differs", "points", "#difference"], rows);
}
