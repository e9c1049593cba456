// What lies where on the time line: pure functions of times and places, without a canvas.

/** The first place whose value is greater than `value`, in a sorted list. */
export function above(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The places [first, end) of what overlaps [from, to), where starts and ends both rise. */
export function between(starts, ends, from, to) {
  return [above(ends, from), above(starts, to)];
}

/** The place of the utterance at a time, or -1 in a gap. */
export function placeAt(utterances, ms) {
  const place = above(utterances.start_ms, ms) - 1;
  return place >= 0 && ms < utterances.end_ms[place] ? place : -1;
}

/** The stretches that no utterance covers, each with the reason, as far as the ledger tells. */
export function gapsOf(utterances, segments, durationMs) {
  const gaps = [];
  let from = 0;
  const add = (to) => to > from && gaps.push({ start_ms: from, end_ms: to, reason: reasonAt(segments, from, to) });
  utterances.start_ms.forEach((start, place) => {
    add(start);
    from = Math.max(from, utterances.end_ms[place]);
  });
  add(durationMs);
  return gaps;
}

const QUIET = { ok: "no speech, and no face", no_speech: "no speech, and no face", no_audio: "no sound, and no face" };

function reasonAt(segments, from, to) {
  const middle = (from + to) / 2;
  const segment = segments.find((item) => middle >= item.start_ms && middle < item.end_ms);
  if (!segment) return "not labelled";
  if (segment.reason) return segment.reason;
  return QUIET[segment.status] ?? segment.status.replaceAll("_", " ");
}

/** Steps of the time axis: the smallest that leaves room for its labels. */
const STEPS_MS = [100, 200, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5];
export const stepFor = (pixelsPerMs, room) => STEPS_MS.find((step) => step * pixelsPerMs >= room) ?? STEPS_MS.at(-1);

/**
 * For a view that is so far out that utterances are thinner than pixels: the mean of every emotion's probability in
 * each column of pixels, weighted by time, and the share of the column that has labels.
 */
export function columnsOf(utterances, probabilities, from, pixelsPerMs, width, emotions) {
  const sums = new Float32Array(width * emotions);
  const covered = new Float32Array(width);
  const [first, end] = between(utterances.start_ms, utterances.end_ms, from, from + width / pixelsPerMs);
  for (let place = first; place < end; place++) {
    const p = probabilities[place];
    if (!p) continue;
    const left = (utterances.start_ms[place] - from) * pixelsPerMs;
    const right = (utterances.end_ms[place] - from) * pixelsPerMs;
    for (let x = Math.max(0, Math.floor(left)); x < Math.min(width, right); x++) {
      const share = Math.min(right, x + 1) - Math.max(left, x);
      covered[x] += share;
      for (let emotion = 0; emotion < emotions; emotion++) sums[x * emotions + emotion] += share * p[emotion];
    }
  }
  return { sums, covered };
}

export const mostOf = (p) => p.reduce((best, value, place) => (value > p[best] ? place : best), 0);
