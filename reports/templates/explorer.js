// Controls: sliders whose stops are what the study can answer, one of them "as studied"; every move redraws all.

const part = name => document.getElementById(`explorer-${name}`);
const number = value => value.toLocaleString("en-US");
const percent = share => `${Math.round(100 * share)}\u00a0%`;
const data = JSON.parse(part("data").textContent);
const SLIDERS = ["batch", "context", "acceptance", "overlap", "cost"];
const COSTS = [...Array(31).keys()].map(step => step / 100).concat([0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
const ROWS = [...Array(33).keys()].map(row => 3 * row + 1); // of the map: places in the alphas, .02 to .98
let held, stops, homes, off; // scenario; stops and place of home by slider; terms switched off

// Nodes, and whole numbers between those more than a quarter of an octave apart.
function filled(nodes) {
  const found = new Set(nodes);
  nodes.slice(1).forEach((high, i) => {
    const low = nodes[i], gaps = Math.floor(4 * Math.log2(high / low) + 0.01);
    for (let gap = 1; gap < gaps; gap += 1) found.add(Math.round(low * (high / low) ** (gap / gaps)));
  });
  return [...found].sort((a, b) => a - b).map(value => ({value, text: number(value)}));
}

// Stops with the study's own among them: before the first that is not below it, or in the place of its equal.
function around(listed, own, text) {
  const after = listed.findIndex(stop => stop.value >= own - 1e-9), place = after < 0 ? listed.length : after;
  const equal = after >= 0 && Math.abs(listed[after].value - own) < 1e-9 ? 1 : 0;
  const found = [...listed];
  found.splice(place, equal, {value: own, text, studied: true});
  return found;
}

// The i.i.d. acceptance of as many tokens per step at the longest draft.
function likeAlpha() {
  const last = held.lengths.length - 1, own = held.tokens.studied[0][last];
  const place = held.tokens.iid.findIndex(row => row[last] >= own);
  return place < 0 ? 1 : data.alphas[place] - 0.004;
}

function overlapStops() {
  const {axis, levels, studied, name} = held.experts, own = levels[studied];
  if (axis === "routing") {
    const ways = [...Array(11).keys()].map(way => ({value: way / 10,
      text: way ? `${10 * way}\u00a0% of the way from uniform to ${name}` : "uniform routing"}));
    return around(levels.length > 1 ? ways : [], own, `as studied: ${name}`);
  }
  const shares = [...Array(101).keys()].map(share => share / 100).filter(share => share > levels[0] && share < levels.at(-1));
  const listed = [levels[0], ...shares, levels.at(-1)].map((value, i) => ({value,
    text: i ? `${percent(value)} with the token before` : `${percent(value)}: every token on its own`}));
  return around(listed, own, `as studied: ${name}, ${percent(own)} with the token before`);
}

function costStops() {
  const at = {...held.home, alpha: null, level: null, cost: null, off: new Set()}, last = held.lengths.length - 1;
  const base = total(stepTerms(held, at, 0)), own = draftTime(held, at, last, base) / base / held.lengths[last];
  const listed = COSTS.map(value => ({value, text: `${percent(value)} of a step per draft`}));
  return around(listed, own, `as studied: ${held.drafting.name}, about ${(100 * own).toFixed(1)}\u00a0% of a step per draft`);
}

function allStops() {
  const {alpha, name} = held.tokens;
  const accepted = data.alphas.map((value, place) => ({value, place, text: `${value.toFixed(2)} at every depth`}));
  const own = alpha === null ? `as studied: ${name}` : `as studied: ${alpha} at every depth`;
  return {
    batch: filled(held.batches).map(stop => ({...stop, studied: stop.value === held.home.batch})),
    context: filled(held.contexts).map(stop => ({...stop, text: `${stop.text} tokens`, studied: stop.value === held.home.context})),
    acceptance: around(accepted, alpha === null ? likeAlpha() : alpha, own),
    overlap: held.experts ? overlapStops() : [{value: 0, text: "", studied: true}],
    cost: costStops(),
  };
}

const stop = name => stops[name][part(name).valueAsNumber];

function position() {
  const moved = name => (stop(name).studied ? null : stop(name).value);
  return {batch: stop("batch").value, context: stop("context").value, level: moved("overlap"), cost: moved("cost"),
    alpha: stop("acceptance").studied ? null : stop("acceptance").place, off};
}

// Words for what the sliders say, the batch and context first, the others as far as they are moved.
function where(at) {
  const parts = [`At batch ${number(at.batch)} and ${number(at.context)} tokens of context`];
  parts.push(at.alpha === null ? `acceptance ${held.tokens.alpha ?? "as studied"}` : `acceptance ${stop("acceptance").text}`);
  if (at.level !== null) parts.push(`${held.experts.axis === "shared" ? "experts shared " : ""}${stop("overlap").text}`);
  if (at.cost !== null) parts.push(`a drafter of ${stop("cost").text}`);
  if (off.size) parts.push(`without ${[...off].map(said).join(", ")}`);
  return parts.join(", ");
}

function odds(at, chosen) {
  if (!held.p_loss) return "P(loss) is not known here: no traffic is drawn.";
  const c = held.contexts.indexOf(at.context), b = held.batches.indexOf(at.batch);
  const moved = at.alpha !== null || at.level !== null || at.cost !== null || off.size || c < 0 || b < 0;
  if (moved) return "P(loss) is known only as studied, at the batches and contexts studied.";
  return held.lengths[chosen] ? `P(loss) ${percent(held.p_loss[c][b][chosen])}.` : "";
}

function answer(at, found, chosen) {
  if (!total(stepTerms(held, at, 0))) return "Nothing is left of a step; switch on what counts in it.";
  if (chosen < 0) return `${where(at)}: this does not fit in memory.`;
  const times = k => `${found[k].toFixed(2)}\u00d7`, length = held.lengths[chosen];
  const near = found.findIndex(one => one !== null && one >= 0.99 * found[chosen]);
  const drafted = best(found.map((one, k) => (held.lengths[k] ? one : null)));
  let verdict = "do not draft";
  if (length) verdict = `draft ${length} ahead, ${times(chosen)}`;
  else if (drafted >= 0) verdict += `; ${held.lengths[drafted]} ahead would be ${times(drafted)}`;
  if (length && near !== chosen) verdict += ` (${held.lengths[near] ? `${held.lengths[near]} ahead` : "not drafting"} is within 1\u00a0% of it)`;
  if (length && chosen === held.lengths.length - 1) verdict += ", the longest priced here";
  return `${where(at)}: ${verdict}. ${odds(at, chosen)}${interpolated(at)}`.trim();
}

function interpolated(at) {
  const names = [["batch", held.batches], ["context", held.contexts]].filter(([name, nodes]) => !nodes.includes(at[name]));
  return names.length ? ` Interpolated along the ${names.map(([name]) => name).join(" and the ")}.` : "";
}

function redraw() {
  const at = position(), some = total(stepTerms(held, at, 0)) > 0;
  const found = some ? speedups(held, at) : held.lengths.map(() => null), chosen = best(found);
  for (const name of SLIDERS) {
    part(name).setAttribute("aria-valuetext", stop(name).text);
    part(`${name}-says`).textContent = stop(name).text;
  }
  part("answer").textContent = answer(at, found, chosen);
  if (some) drawAll(at, found, chosen);
  else for (const name of ["speedup", "ledger", "ledger-keys", "map"]) part(name).replaceChildren();
}

function drawAll(at, found, chosen) {
  const places = held.batches.map(batch => ({...at, batch})), alphas = ROWS.map(row => data.alphas[row]);
  const costs = places.map(place => (fits(held, place, 1) ? firstDraft(held, place) : null));
  const lengths = places.map(place => {
    const need = needed(held, place);
    return ROWS.map(alpha => best(speedupsOf(held, {...place, alpha}, need)));
  });
  const own = firstDraft(held, at), listed = TERMS.filter(term => own.has(term) && Math.abs(own.get(term)) >= 0.0005);
  const accepted = (tokensPerStep(held, at, 1) - 1) / held.lengths[1], alpha = stop("acceptance").value;
  chartSpeedup(part("speedup"), held, found, chosen);
  chartLedger(part("ledger"), held, costs, at.batch, accepted,
    `At this batch one draft adds ${total(own).toFixed(2)} of a step; ${accepted.toFixed(2)} of a token is accepted`);
  keys(part("ledger-keys"), [...listed.map(term => [`term-${term}`, `${said(term)} ${own.get(term).toFixed(3)}`]),
    ["paper", `in all ${total(own).toFixed(3)} at batch ${number(at.batch)}, for ${accepted.toFixed(2)} of a token`]]);
  chartMap(part("map"), held, alphas, lengths, {batch: at.batch, alpha, place: chosen},
    `Best draft length by batch and acceptance; here: ${chosen < 0 ? "does not fit" : held.lengths[chosen]}`);
  const classes = CLASSES.map(([, text], i) => [`k${i}`, text]).filter((_, i) => held.lengths.some(length => classOf(length) === i));
  keys(part("map-keys"), classes);
}

function reset() {
  off = new Set();
  for (const box of part("switches").querySelectorAll("input")) box.checked = true;
  for (const name of SLIDERS) part(name).value = homes[name];
  redraw();
}

function addSwitch(term) {
  const label = document.createElement("label"), box = document.createElement("input");
  box.type = "checkbox";
  box.name = term;
  box.addEventListener("input", () => {
    off[box.checked ? "delete" : "add"](term);
    redraw();
  });
  label.append(box, ` ${said(term)}`);
  part("switches").append(label);
}

function open(scenario) {
  held = scenario;
  stops = allStops();
  homes = {};
  for (const name of SLIDERS) {
    homes[name] = stops[name].findIndex(one => one.studied);
    part(name).max = stops[name].length - 1;
    part(`${name}-row`).hidden = stops[name].length < 2;
  }
  const shared = held.experts && held.experts.axis === "shared";
  part("overlap-label").textContent = shared ? "Experts shared" : "Routing";
  part("assumption").textContent = !held.experts || stops.overlap.length < 2 ? ""
    : shared ? "Experts shared: how many of its experts a token has in common with the one before; how that goes on along the window keeps its measured shape, popularity stays."
      : "Routing: between uniform routing, in closed form, and the study's own, simulated; other acceptances keep the experts of the study's own.";
  part("switches").replaceChildren();
  TERMS.filter(term => term === "drafting" || term in held.terms || (term === "experts" && held.experts)).forEach(addSwitch);
  reset();
}

data.scenarios.forEach((scenario, i) => part("scenario").append(new Option(scenario.name, i)));
part("choice").hidden = data.scenarios.length < 2;
part("scenario").addEventListener("input", () => open(data.scenarios[part("scenario").value]));
for (const name of SLIDERS) part(name).addEventListener("input", redraw);
part("reset").addEventListener("click", reset);
part("board").hidden = false;
open(data.scenarios[0]);
new ResizeObserver(redraw).observe(part("board"));
