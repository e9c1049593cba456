// Asking the server. The token comes behind the # of the address that `fv2es view` prints, and goes out as a header.

import { remembered } from "./dom.js";

let token = "";

/** Take the token out of the address, so that it is not copied with it; a reload finds it where it is kept. */
export function takeToken() {
  const given = /^#token=([\w-]+)$/.exec(location.hash);
  if (given) {
    remembered.set("token", given[1]);
    history.replaceState(null, "", "#/");
  }
  token = given ? given[1] : remembered.get("token", "");
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, "X-FV2ES-Token": token } });
  } catch {
    throw new Error("The server does not answer. Is `fv2es view` still running?");
  }
  const answer = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Error(sentence(answer.error));
  return answer;
}

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

export const getCorpus = () => ask("/api/corpus");

/** One video. Its utterances' probabilities come as flat thousandths and become a list an utterance, as do words. */
export async function getVideo(videoId) {
  const data = await ask(`/api/videos/${encodeURIComponent(videoId)}`);
  const { utterances } = data;
  const count = utterances.start_ms.length;
  const emotions = count ? utterances.p.length / count : 0;
  const share = (thousandths) => thousandths / 1000;
  for (const name of ["confidence", "face_coverage"]) utterances[name] = utterances[name].map(share);
  for (const name of ["p", "text_p", "audio_p", "face_p"]) {
    const flat = utterances[name];
    utterances[name] = utterances.start_ms.map((_, place) => {
      const p = flat.slice(place * emotions, (place + 1) * emotions).map(share);
      return p.some((value) => value > 0) ? p : null; // a modality that says nothing
    });
  }
  let first = 0;
  utterances.words = utterances.word_counts.map((words) => {
    const places = Array.from({ length: words }, (_, at) => first + at);
    first += words;
    return places.map((at) => [utterances.word_word[at], utterances.word_start_ms[at], utterances.word_end_ms[at]]);
  });
  return data;
}

export const annotate = (verdict) =>
  ask("/api/annotations", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(verdict),
  });
