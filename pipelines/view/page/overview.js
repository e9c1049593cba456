// All videos of the corpus: search, filter, sort, open.

import { byId, clock, counted, el, nameAndFolder, number, onceAFrame, percent } from "./dom.js";
import { bind } from "./keys.js";
import { VirtualList } from "./list.js";

const ROW_PX = 46;
const LENGTHS = [
  ["any length", 0, Infinity],
  ["under 1 min", 0, 60_000],
  ["1 to 10 min", 60_000, 600_000],
  ["10 to 60 min", 600_000, 3_600_000],
  ["over an hour", 3_600_000, Infinity],
];
const COLUMNS = [
  ["name", "Video"],
  ["duration", "Length"],
  ["emotion", "Emotions"],
  ["utterances", "Utterances"],
  ["speech", "Speech"],
  ["face", "Face"],
  ["status", "Status"],
];
const FAILED = ["unreadable", "too_long_to_decode", "missing", "changed_during_run", "crashed_worker"];

const words = (status) => status.replaceAll("_", " ");

/** What the screen was left with, for who comes back to it. */
const kept = { search: "", emotion: "", length: 0, status: "", sort: "name", down: false, top: 0 };

export function showOverview(corpus, shared) {
  const { videos, emotions } = corpus;
  const total = videos.video_id.length;
  document.title = "FV2ES";
  byId("where").textContent = corpus.out;
  const keys = {
    name: (row) => row, // in which they come
    duration: (row) => videos.duration_ms[row],
    emotion: (row) =>
      kept.emotion === "" ? (videos.dominant[row] ?? -1) : share(row, Number(kept.emotion)),
    utterances: (row) => videos.utterances[row],
    speech: (row) => videos.speech_share[row],
    face: (row) => videos.face_coverage[row],
    status: (row) => videos.status[row],
  };
  const lowered = videos.uri.map((uri) => uri.toLowerCase());
  let order = [];

  function share(row, emotion) {
    const all = videos.emotion_ms.reduce((sum, column) => sum + column[row], 0);
    return all ? videos.emotion_ms[emotion][row] / all : 0;
  }

  function select() {
    const searched = kept.search.toLowerCase().split(/\s+/).filter(Boolean);
    const [, shortest, longest] = LENGTHS[kept.length];
    order = [];
    for (let row = 0; row < total; row++) {
      if (!searched.every((word) => lowered[row].includes(word))) continue;
      if (kept.emotion !== "" && !videos.emotion_ms[kept.emotion][row]) continue;
      if (videos.duration_ms[row] < shortest || videos.duration_ms[row] >= longest) continue;
      if (kept.status === "failed" && !FAILED.includes(videos.status[row])) continue;
      if (kept.status === "labelled" && !videos.utterances[row]) continue;
      if (kept.status === "annotated" && !videos.annotations[row]) continue;
      order.push(row);
    }
    const key = keys[kept.sort];
    const sign = kept.down ? -1 : 1;
    const compare = kept.sort === "status" ? (a, b) => a.localeCompare(b) : (a, b) => a - b;
    const values = new Map(order.map((row) => [row, key(row)]));
    order.sort((a, b) => sign * compare(values.get(a), values.get(b)) || a - b);
    table.setAttribute("aria-rowcount", order.length + 1);
    const amount = order.length === total ? counted(total, "video") : `${number(order.length)} of ${counted(total, "video")}`;
    const hours = order.reduce((sum, row) => sum + videos.duration_ms[row], 0) / 3_600_000;
    found.textContent = `${amount}, ${hours < 10 ? hours.toFixed(1) : number(Math.round(hours))} h`;
    none.hidden = order.length > 0;
    list.reset(order.length);
  }

  function choose(name, value) {
    kept[name] = value;
    body.scrollTop = 0;
    select();
    markHeads();
  }

  function sortBy(column) {
    kept.down = kept.sort === column ? !kept.down : !["name", "status"].includes(column);
    kept.sort = column;
    body.scrollTop = 0;
    select();
    markHeads();
  }

  function markHeads() {
    for (const [column, head] of heads) {
      head.setAttribute("aria-sort", kept.sort === column ? (kept.down ? "descending" : "ascending") : "none");
    }
  }

  function bar(row) {
    const parts = emotions.map((emotion, place) => [emotion, share(row, place)]).filter(([, part]) => part > 0);
    const most = videos.dominant[row];
    const shown = kept.emotion === "" ? most : Number(kept.emotion);
    return [
      el(
        "span",
        { className: "shares", "aria-hidden": "true" },
        parts.map(([emotion, part]) => el("span", { className: emotion, style: { width: `${100 * part}%` } })),
      ),
      el("span", { className: "most" }, shown === null ? "no labels" : `${emotions[shown]} ${percent(share(row, shown))}`),
    ];
  }

  function draw(place) {
    const row = order[place];
    const [name, folder] = nameAndFolder(videos.uri[row]);
    const cell = (className, ...content) => el("div", { role: "cell", className }, content);
    const failed = FAILED.includes(videos.status[row]);
    return el(
      "div",
      { role: "row", className: "row", "aria-rowindex": place + 2 },
      cell("name", el("a", { href: `#/video/${videos.video_id[row]}`, title: videos.uri[row] }, name), el("small", {}, folder)),
      cell("duration", clock(videos.duration_ms[row])),
      cell("emotion", bar(row)),
      cell("utterances", number(videos.utterances[row])),
      cell("speech", percent(videos.speech_share[row])),
      cell("face", percent(videos.face_coverage[row])),
      cell(
        failed ? "status failed" : "status",
        el("span", {}, words(videos.status[row])),
        failed && videos.reason[row] ? el("small", { title: videos.reason[row] }, videos.reason[row]) : null,
        videos.annotations[row] ? el("small", {}, counted(videos.annotations[row], "verdict")) : null,
      ),
    );
  }

  const search = el("input", {
    type: "search",
    value: kept.search,
    placeholder: "Search by name or folder",
    "aria-label": "Search by name or folder",
    oninput: onceAFrame(() => choose("search", search.value)),
  });
  const select_ = (label, name, options) =>
    el(
      "label",
      { className: "choice" },
      el("span", {}, label),
      el(
        "select",
        { onchange: (event) => choose(name, event.target.value) },
        options.map(([text, value]) => el("option", { value, selected: String(kept[name]) === String(value) }, text)),
      ),
    );
  const found = el("p", { className: "found", role: "status" });
  const none = el("p", { className: "notice", hidden: true }, "No video is like that.");
  const heads = COLUMNS.map(([column, title]) => [
    column,
    el(
      "div",
      { role: "columnheader", className: column },
      el("button", { type: "button", className: "head", onclick: () => sortBy(column) }, title),
    ),
  ]);
  const sheet = el("div", { role: "presentation" });
  const body = el("div", { className: "rows", role: "rowgroup" }, sheet);
  const table = el(
    "div",
    { role: "table", className: "videos", "aria-label": "Videos", "aria-colcount": COLUMNS.length },
    el("div", { role: "rowgroup" }, el("div", { role: "row", className: "row heads", "aria-rowindex": 1 }, heads.map(([, head]) => head))),
    body,
  );
  byId("main").replaceChildren(
    el(
      "section",
      { className: "overview" },
      el("h1", { className: "unseen" }, "All videos"),
      el(
        "div",
        { className: "filters", role: "search" },
        search,
        select_("Emotion", "emotion", [["any", ""], ...emotions.map((emotion, place) => [emotion, place])]),
        select_("Length", "length", LENGTHS.map(([text], place) => [text, place])),
        select_("Show", "status", [["all", ""], ["labelled", "labelled"], ["failed", "failed"], ["with verdicts", "annotated"]]),
        found,
      ),
      table,
      none,
    ),
  );
  const list = new VirtualList({ scroller: body, rowHeight: ROW_PX, draw, sheet });
  select();
  markHeads();
  body.scrollTop = kept.top;
  list.refresh();

  const openFirst = () => order.length && (location.hash = `#/video/${videos.video_id[order[0]]}`);
  search.addEventListener("keydown", (event) => event.key === "Enter" && openFirst());
  const moveBy = (step) => {
    const links = [...sheet.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    const next = links[at < 0 ? 0 : at + step];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  bind([
    { group: "Videos", keys: ["/"], shown: "/", does: "Search", run: () => search.focus() },
    { group: "Videos", keys: ["ArrowDown", "j"], shown: "↓", does: "Next video", run: () => moveBy(1) },
    { group: "Videos", keys: ["ArrowUp", "k"], shown: "↑", does: "The one before", run: () => moveBy(-1) },
    { group: "Videos", keys: [], shown: "Enter", does: "Open it", run: () => {} },
    { group: "Videos", keys: ["Escape"], shown: "Esc", does: "Leave the search", run: () => search.blur() },
    ...shared.keys,
  ]);
  return () => {
    kept.top = body.scrollTop;
    list.close();
  };
}
