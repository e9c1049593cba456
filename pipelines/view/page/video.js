// One video: player, time line, utterances and verdicts, kept at the same time.

import { annotate, getVideo } from "./api.js";
import { byId, clock, el, nameAndFolder, remembered, say } from "./dom.js";
import { bind } from "./keys.js";
import { Player } from "./player.js";
import { Timeline } from "./timeline.js";
import { placeAt } from "./tracks.js";
import { Transcript } from "./transcript.js";
import { VerdictPanel } from "./verdict.js";

/** Show it; returns what ends it. */
export async function showVideo(corpus, videoId, shared) {
  const data = await getVideo(videoId);
  const { emotions } = corpus;
  const { utterances } = data;
  const given = new Map(Object.entries(data.annotations).map(([place, rows]) => [Number(place), rows]));
  const past = []; // verdicts of this visit, for undo: { place, row }
  let current = -1;

  const own = (place) => given.get(place)?.findLast((row) => row.annotator === corpus.annotator) ?? null;
  const others = (place) => (given.get(place) ?? []).filter((row) => row.annotator !== corpus.annotator);

  const [name, folder] = nameAndFolder(data.video.uri);
  document.title = `${name} – FV2ES`;
  byId("where").replaceChildren(el("span", { className: "folder" }, folder), name);

  const player = new Player({ media: data.media, video: data.video, onTime: (ms) => moved(ms) });
  const timeline = new Timeline({ data, emotions, verdicts: own, seek: (ms) => player.seek(ms) });
  const panel = new VerdictPanel({ utterances, emotions, give, undo, word: (ms) => player.seek(ms) });
  const transcript = new Transcript({
    utterances,
    emotions,
    verdicts: own,
    choose,
    filtered: (isShown) => timeline.filter(isShown),
  });
  const problem = el("p", { className: "notice problem", role: "alert", hidden: true });

  byId("main").replaceChildren(
    el(
      "div",
      { className: "screen" },
      el("h1", { className: "unseen" }, name),
      problem,
      el("div", { className: "stage" }, player.element, panel.element),
      timeline.element,
      transcript.element,
    ),
  );
  moved(0);

  function moved(ms) {
    const place = placeAt(utterances, ms);
    if (place !== current) {
      current = place;
      transcript.mark(place);
      refresh();
    }
    timeline.setNow(ms, place);
    panel.follow(ms);
  }

  function refresh() {
    panel.show(current, current < 0 ? null : own(current), current < 0 ? [] : others(current));
  }

  function choose(place) {
    const wasPlaying = player.isPlaying;
    player.seek(utterances.start_ms[place]);
    if (wasPlaying || once()) player.play(once() ? utterances.end_ms[place] : null);
    if (!wasPlaying) say(timeline.described(place));
  }

  const once = () => remembered.get("once", "no") === "yes";

  function step(by, passes) {
    const from = current >= 0 ? current : placeBefore(player.now) + (by > 0 ? 0.5 : 0.6);
    const place = transcript.after(from, by, passes);
    if (place === null) say(by > 0 ? "That was the last one." : "That was the first one.");
    else choose(place);
  }

  const placeBefore = (ms) => utterances.start_ms.findLastIndex((start) => start <= ms);

  async function keep(place, verdict) {
    try {
      problem.hidden = true;
      const key = { segment_index: utterances.segment_index[place], utterance_index: utterances.utterance_index[place] };
      const row = await annotate({ video_id: videoId, ...key, ...verdict });
      shared.isStale = true;
      return row;
    } catch (error) {
      problem.textContent = `Not kept: ${error.message}`;
      problem.hidden = false;
      return null;
    }
  }

  /** Say that an emotion (its place) is right; null: the one that the model says. */
  async function give(emotion) {
    const place = current;
    if (place < 0) return;
    const to_emotion = emotions[emotion ?? utterances.emotion[place]];
    if (remembered.get("next", "yes") === "yes") step(1);
    const row = await keep(place, { to_emotion });
    if (!row) return choose(place);
    given.set(place, [...(given.get(place) ?? []), row]);
    past.push(place);
    say(`Kept: ${to_emotion}.`);
    changed(place);
  }

  async function undo() {
    const place = current >= 0 && own(current) ? current : past.at(-1);
    const row = place === undefined ? null : own(place);
    if (!row) return say("There is nothing to undo.");
    await takeBack(place, row);
  }

  /** Take back the verdict that was given last, wherever it is, and go there. */
  async function undoLast() {
    while (past.length && !own(past.at(-1))) past.pop();
    const place = past.pop();
    if (place === undefined) return undo();
    await takeBack(place, own(place));
    choose(place);
  }

  async function takeBack(place, row) {
    if (!(await keep(place, { to_emotion: null, undoes: row.annotation_id }))) return;
    given.set(place, given.get(place).filter((item) => item !== row));
    say("Taken back.");
    changed(place);
  }

  function changed(place) {
    transcript.changed(place);
    timeline.draw();
    if (place === current) refresh();
  }

  const hop = (ms) => player.seek(Math.min(Math.max(0, player.now + ms), timeline.duration - 1));
  const replay = () => {
    if (current < 0) return;
    const place = current;
    player.seek(utterances.start_ms[place]);
    player.play(utterances.end_ms[place]);
  };
  const leave = () => {
    if (document.activeElement === transcript.search) transcript.search.blur();
    else location.hash = "#/";
  };
  const key = (group, keys, shown, does, run) => ({ group, keys, shown, does, run });
  bind([
    key("Play", [" ", "k"], "Space", "Play, or pause", () => player.toggle()),
    key("Play", ["r"], "r", "Play this utterance once", replay),
    key("Play", ["ArrowLeft"], "←", "2 seconds back", () => hop(-2000)),
    key("Play", ["ArrowRight"], "→", "2 seconds on", () => hop(2000)),
    key("Play", ["Shift+ArrowLeft"], "Shift ←", "10 seconds back", () => hop(-10_000)),
    key("Play", ["Shift+ArrowRight"], "Shift →", "10 seconds on", () => hop(10_000)),
    key("Utterances", ["ArrowDown", "j"], "↓", "The next one, of those that are shown", () => step(1)),
    key("Utterances", ["ArrowUp"], "↑", "The one before", () => step(-1)),
    key("Utterances", ["n"], "n", "The next one without a verdict of yours", () => step(1, (place) => !own(place))),
    key("Utterances", ["/"], "/", "Search words", () => transcript.search.focus()),
    key("Verdicts", ["1", "2", "3", "4", "5", "6", "7"], "1 – 7", `Right is: ${emotions.join(", ")}`, (event) => give(Number(event.key) - 1)),
    key("Verdicts", ["Enter", "y"], "Enter", "The label is right", () => give(null)),
    key("Verdicts", ["u", "Ctrl+z"], "u", "Undo the last verdict, and go back to it", undoLast),
    key("Time line", ["+", "="], "+", "Zoom in", () => timeline.zoom(2)),
    key("Time line", ["-"], "-", "Zoom out", () => timeline.zoom(0.5)),
    key("Time line", ["0"], "0", "The whole video", () => timeline.showAll()),
    key("Page", ["Escape", "b"], "Esc", "Leave the search; back to all videos", leave),
    ...shared.keys,
  ]);
  const at = /[?&]t=([\d.]+)/.exec(location.hash);
  if (at) player.seek(1000 * Number(at[1]));
  byId("said").textContent = `${name}, ${clock(timeline.duration)}, ${utterances.start_ms.length} utterances.`;

  return () => {
    player.close();
    timeline.close();
    transcript.close();
  };
}
