// The page: its two screens by address, its colours, its theme, its keys.

import { getCorpus, takeToken } from "./api.js";
import { byId, el, remembered } from "./dom.js";
import { listen, showHelp } from "./keys.js";
import { showOverview } from "./overview.js";
import { showVideo } from "./video.js";

const THEMES = ["as the system", "light", "dark"]; // in the order of the button
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

let corpus = null;
let close = () => {};

function applyTheme() {
  const theme = remembered.get("theme", THEMES[0]);
  const dark = theme === "dark" || (theme === THEMES[0] && darkSystem.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").replaceChildren("◐", el("span", {}, ` ${theme}`));
  byId("theme").setAttribute("aria-label", `Theme: ${theme}`);
  dispatchEvent(new Event("colours"));
}

function nextTheme() {
  const next = (THEMES.indexOf(remembered.get("theme", THEMES[0])) + 1) % THEMES.length;
  remembered.set("theme", THEMES[next]);
  applyTheme();
}

function fail(error) {
  byId("main").replaceChildren(el("p", { className: "notice problem", role: "alert" }, error.message));
}

async function route() {
  const [, screen, videoId] = /^#\/(video)\/([^?]+)/.exec(location.hash) ?? [];
  if (location.hash === "#main") return; // the skip link
  close();
  close = () => {};
  try {
    corpus ??= await getCorpus();
    byId("annotator").textContent = `Annotator: ${corpus.annotator}`;
    if (screen) {
      close = await showVideo(corpus, decodeURIComponent(videoId), shared);
    } else {
      corpus = shared.isStale ? await getCorpus() : corpus;
      shared.isStale = false;
      close = showOverview(corpus, shared);
    }
  } catch (error) {
    fail(error);
    if (!(error instanceof Error) || error instanceof TypeError) throw error;
  }
}

const shared = {
  isStale: false, // whether verdicts were given that the overview doesn't know
  keys: [
    { group: "Page", keys: ["?"], shown: "?", does: "This help", run: showHelp },
    { group: "Page", keys: ["t"], shown: "t", does: "Light, dark, or as the system", run: nextTheme },
  ],
};

takeToken();
listen();
applyTheme();
byId("theme").addEventListener("click", nextTheme);
darkSystem.addEventListener("change", applyTheme);
addEventListener("hashchange", () => {
  takeToken();
  route();
});
route();
