// Numbers: what the study wrote (docs/explorer.md), added, interpolated and divided. Times are in microseconds.
// at: {batch, context, alpha, level, cost, off} where alpha, level and cost are null as studied; off: a Set of terms.

// Along one axis: geometrically over the log of the nodes, linearly where a value is 0, flat past the ends.
function between(nodes, values, x) {
  if (values.length === 1 || x <= nodes[0]) return values[0];
  const last = nodes.length - 1;
  if (x >= nodes[last]) return values[last];
  const high = nodes.findIndex(node => node >= x);
  const share = Math.log(x / nodes[high - 1]) / Math.log(nodes[high] / nodes[high - 1]);
  const [low, top] = [values[high - 1], values[high]];
  return low > 0 && top > 0 ? low * (top / low) ** share : low + share * (top - low);
}

function linear(nodes, values, x) {
  const high = Math.max(1, nodes.findIndex(node => node >= x));
  const share = (x - nodes[high - 1]) / (nodes[high] - nodes[high - 1]);
  return nodes.length === 1 ? values[0] : values[high - 1] + share * (values[high] - values[high - 1]);
}

function entryAt(held, entry, at, k) {
  const rows = entry.values.map(byBatch => between(entry.batches ?? held.batches, byBatch.map(row => row[k]), at.batch));
  return between(held.contexts, rows, at.context) * (entry.per_sequence ? at.batch : 1);
}

// Of a verify, by term; what is switched off is left out.
function stepTerms(held, at, k) {
  const found = new Map();
  if (held.experts && !at.off.has("experts")) {
    const {levels, studied} = held.experts;
    const level = at.level === null ? levels[studied] : at.level;
    found.set("experts", linear(levels, held.experts.at.map(entry => entryAt(held, entry, at, k)), level));
  }
  for (const [name, entry] of Object.entries(held.terms)) {
    if (!at.off.has(name)) found.set(name, entryAt(held, entry, at, k));
  }
  return found;
}

const total = terms => [...terms.values()].reduce((sum, spent) => sum + spent, 0);

function draftTime(held, at, k, base) {
  if (at.off.has("drafting")) return 0;
  if (at.cost !== null) return at.cost * held.lengths[k] * base;
  return entryAt(held, held.drafting, at, k) * (held.drafting.of_step ? base : 1);
}

function fits(held, at, k) {
  return held.largest === null || at.batch <= between(held.contexts, held.largest.map(row => row[k]), at.context);
}

function tokensPerStep(held, at, k) {
  if (at.alpha !== null) return held.tokens.iid[at.alpha][k];
  return between(held.batches, held.tokens.studied.map(row => row[k]), at.batch);
}

// Tokens that a step would need to emit to pay for itself, by place of the length; null where it does not fit.
function needed(held, at) {
  const base = total(stepTerms(held, at, 0));
  return held.lengths.map((_, k) =>
    fits(held, at, k) ? (total(stepTerms(held, at, k)) + draftTime(held, at, k, base)) / base : null);
}

const speedupsOf = (held, at, need) =>
  need.map((steps, k) => (steps === null ? null : tokensPerStep(held, at, k) / steps));

const speedups = (held, at) => speedupsOf(held, at, needed(held, at));

// The place of the fastest length, the shortest of those alike; -1 where nothing fits.
function best(found) {
  return found.reduce((top, one, k) => (one !== null && (top < 0 || one > found[top]) ? k : top), -1);
}

// What each token of the shortest draft adds to a step, by term, as a share of the step without drafts.
function firstDraft(held, at) {
  const none = stepTerms(held, at, 0), one = stepTerms(held, at, 1), base = total(none), length = held.lengths[1];
  const found = new Map([...none].map(([name, spent]) => [name, (one.get(name) - spent) / base / length]));
  if (!at.off.has("drafting")) found.set("drafting", draftTime(held, at, 1, base) / base / length);
  return found;
}
