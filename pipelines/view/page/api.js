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
export const getVideo = (videoId) => ask(`/api/videos/${encodeURIComponent(videoId)}`);
export const annotate = (verdict) =>
  ask("/api/annotations", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(verdict),
  });
