// Charts: inline SVG in the pixels of the place it has, so that letters keep their size on a phone.

const CLASSES = [[0, "0: no draft"], [1, "1"], [2, "2"], [3, "3 to 4"], [5, "5 to 8"], [9, "9 or more"]];
const TERMS = ["experts", "attention", "projections", "dense", "router", "lm_head", "fixed", "drafting"];
const classOf = length => CLASSES.findLastIndex(([first]) => length >= first);
const said = term => (term === "lm_head" ? "LM head" : term === "fixed" ? "fixed times" : term);

function mark(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "fill" || key === "stroke") element.style[key] = value;
    else element.setAttribute(key, value);
  }
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// An empty drawing in `place` with its frame: the box inside the margins [left, right, top, bottom].
function drawing(place, height, margins, label) {
  const width = Math.max(240, place.clientWidth), [left, right, top, bottom] = margins;
  const svg = mark(place, "svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label});
  place.replaceChildren(svg);
  return {svg, left, right: width - right, top, bottom: height - bottom};
}

function chartSpeedup(place, held, found, chosen) {
  const shown = found.filter(one => one !== null);
  const label = `Speedup by draft length: ${
    held.lengths.map((length, k) => `${length}: ${found[k] === null ? "does not fit" : found[k].toFixed(2)}`).join(", ")}`;
  const box = drawing(place, 220, [34, 10, 16, 34], label), {svg} = box;
  const low = Math.min(1, ...shown), high = Math.max(1.02, ...shown), room = (high - low) * 0.15;
  const y = one => box.bottom - (box.bottom - box.top) * (one - low + room) / (high - low + 2 * room);
  const step = (box.right - box.left) / held.lengths.length, x = k => box.left + step * (k + 0.5);
  mark(svg, "line", {x1: box.left, x2: box.right, y1: y(1), y2: y(1), class: "rule dashed"});
  mark(svg, "text", {x: box.left - 4, y: y(1) + 4, "text-anchor": "end"}, "1.00");
  const points = found.map((one, k) => (one === null ? null : [x(k), y(one)])).filter(point => point);
  if (points.length) mark(svg, "polyline", {points: points.join(" "), class: "line"});
  else mark(svg, "text", {x: (box.left + box.right) / 2, y: box.top + 20, "text-anchor": "middle"}, "does not fit in memory");
  const thinned = Math.ceil(34 / step), every = Math.ceil(22 / step);
  found.forEach((one, k) => {
    if (k % every === 0 || k === chosen) {
      mark(svg, "text", {x: x(k), y: box.bottom + 15, "text-anchor": "middle", class: k === chosen ? "best" : ""},
        String(held.lengths[k]));
    }
    if (one === null) return;
    mark(svg, "circle", {cx: x(k), cy: y(one), r: k === chosen ? 6 : 3.5, class: k === chosen ? "dot best" : "dot"});
    if (k === chosen || (k > 0 && k % thinned === 0 && Math.abs(k - chosen) >= thinned)) {
      mark(svg, "text", {x: x(k), y: y(one) - 10, "text-anchor": "middle", class: k === chosen ? "best" : ""},
        one.toFixed(2));
    }
  });
  mark(svg, "text", {x: (box.left + box.right) / 2, y: box.bottom + 30, "text-anchor": "middle"}, "tokens drafted ahead");
}

// Batches on a log axis, each filling the place up to halfway to its neighbours: [edges, x of a batch, in pixels].
function batchAxis(box, batches) {
  const inner = batches.slice(1).map((batch, i) => Math.sqrt(batch * batches[i])), n = batches.length;
  const edges = n === 1 ? [batches[0] / 1.4, batches[0] * 1.4]
    : [batches[0] ** 2 / inner[0], ...inner, batches[n - 1] ** 2 / inner[n - 2]];
  const span = Math.log(edges.at(-1) / edges[0]);
  const x = batch => box.left + (box.right - box.left) * Math.log(batch / edges[0]) / span;
  const ratio = 2 ** Math.ceil(Math.log2(edges.at(-1) / edges[0]) * 44 / (box.right - box.left));
  const ticks = [];
  for (let tick = n === 1 ? batches[0] : 1; tick <= edges.at(-1); tick *= ratio) {
    if (tick >= edges[0] && x(tick) + 4 * number(tick).length < box.right + 10) ticks.push(tick);
  }
  for (const tick of ticks) {
    mark(box.svg, "line", {x1: x(tick), x2: x(tick), y1: box.bottom, y2: box.bottom + 4, class: "rule"});
    mark(box.svg, "text", {x: x(tick), y: box.bottom + 16, "text-anchor": "middle"}, number(tick));
  }
  mark(box.svg, "text", {x: (box.left + box.right) / 2, y: box.bottom + 31, "text-anchor": "middle"}, "batch");
  return [edges.map(x), x];
}

function closed(box, from, to) {
  mark(box.svg, "rect", {x: from, width: to - from, y: box.top, height: box.bottom - box.top, fill: "var(--shut)"});
  if (to - from > 70) {
    mark(box.svg, "text", {x: (from + to) / 2, y: box.bottom - 10, "text-anchor": "middle"}, "does not fit");
  }
}

// alphas: acceptance of each row. lengths: place of the best length, by batch and row. you: {batch, alpha, length}.
function chartMap(place, held, alphas, lengths, you, label) {
  const box = drawing(place, 250, [34, 10, 8, 36], label), [edges, x] = batchAxis(box, held.batches);
  const y = alpha => box.bottom - (box.bottom - box.top) * alpha, half = (alphas[1] - alphas[0]) / 2;
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    mark(box.svg, "text", {x: box.left - 4, y: y(share) + 4, "text-anchor": "end"}, String(share));
  }
  lengths.forEach((rows, b) => {
    for (let from = 0, to = 0; from < rows.length; from = to) {
      while (to < rows.length && classAt(held, rows[to]) === classAt(held, rows[from])) to += 1;
      if (rows[from] < 0) continue;
      const top = to === rows.length ? 1 : alphas[to] - half, bottom = from === 0 ? 0 : alphas[from] - half;
      mark(box.svg, "rect", {x: edges[b], width: edges[b + 1] - edges[b] + 0.5, y: y(top), height: y(bottom) - y(top),
        fill: `var(--k${classAt(held, rows[from])})`, "shape-rendering": "crispEdges"});
    }
  });
  const shut = lengths.findIndex(rows => rows.every(length => length < 0));
  if (shut >= 0) closed(box, edges[shut], box.right);
  const spot = {cx: x(you.batch), cy: y(you.alpha)}, kind = you.place < 0 ? "shut" : `k${classAt(held, you.place)}`;
  mark(box.svg, "circle", {...spot, r: 12, fill: `var(--${kind})`, class: "you", id: "explorer-you"});
  mark(box.svg, "text", {x: spot.cx, y: spot.cy + 4, "text-anchor": "middle", fill: `var(--on-${kind})`, class: "best"},
    you.place < 0 ? "–" : String(held.lengths[you.place]));
}

const classAt = (held, place) => (place < 0 ? -1 : classOf(held.lengths[place]));

// costs: Map of term to share of a step, by batch (null where it does not fit). accepted: of the first draft.
function chartLedger(place, held, costs, batch, accepted, label) {
  const box = drawing(place, 220, [34, 10, 8, 36], label), [edges, x] = batchAxis(box, held.batches);
  const tallest = Math.max(1.15, ...costs.map(found => (found ? 1.05 * total(found) : 0))), high = Math.min(tallest, 4);
  const y = share => box.bottom - (box.bottom - box.top) * Math.min(share, high) / high;
  costs.forEach((found, b) => {
    let under = 0;
    for (const term of found ? TERMS.filter(name => found.get(name) > 0) : []) {
      const over = under + found.get(term);
      mark(box.svg, "rect", {x: edges[b], width: edges[b + 1] - edges[b] + 0.5, y: y(over), height: y(under) - y(over),
        fill: `var(--term-${term})`, "shape-rendering": "crispEdges"});
      under = over;
    }
  });
  const shut = costs.findIndex(found => found === null);
  if (shut >= 0) closed(box, edges[shut], box.right);
  for (const [share, text, kind] of [[1, "r = 1: a plain token", "rule"], [accepted, `accepted ${accepted.toFixed(2)}`, "accepted"]]) {
    const [side, anchor] = share === accepted ? [box.right - 3, "end"] : [box.left + 3, "start"];
    mark(box.svg, "line", {x1: box.left, x2: box.right, y1: y(share), y2: y(share), class: `${kind} dashed`});
    mark(box.svg, "text", {x: side, y: y(share) - 4, "text-anchor": anchor, class: `on-bars ${kind}`}, text);
  }
  for (const share of [0, 0.5, 1]) {
    mark(box.svg, "text", {x: box.left - 4, y: y(share) + 4, "text-anchor": "end"}, share.toFixed(1));
  }
  mark(box.svg, "line", {x1: x(batch), x2: x(batch), y1: box.top, y2: box.bottom, class: "here"});
}

// Keys: [variable of the colour, what it says] each.
function keys(place, listed) {
  place.replaceChildren(...listed.map(([colour, text]) => {
    const item = document.createElement("li"), chip = document.createElement("span");
    chip.className = "chip";
    chip.style.background = `var(--${colour})`;
    item.append(chip, text);
    return item;
  }));
}
