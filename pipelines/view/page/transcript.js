// The utterances of a video as a list: search, filters, the one that is playing.

import { clock, counted, el, number, percent, remembered } from "./dom.js";
import { VirtualList } from "./list.js";

const ROW_PX = 58;

export class Transcript {
  /**
   * @param utterances as the server gives them.
   * @param emotions their names.
   * @param verdicts gives the standing verdict at a place, or null.
   * @param choose is called with the place of an utterance that somebody picks.
   * @param filtered is called when other utterances pass the filters.
   */
  constructor({ utterances, emotions, verdicts, choose, filtered }) {
    Object.assign(this, { utterances, emotions, verdicts, choose, filtered });
    this.total = utterances.start_ms.length;
    this.wanted = { search: "", emotions: new Set(), from: 0, to: 100, unseen: false };
    this.places = [];
    this.current = -1;
    this.lowered = utterances.text.map((text) => (text ?? "").toLowerCase());
    this.#build();
    this.list = new VirtualList({ scroller: this.box, rowHeight: ROW_PX, draw: (row) => this.#draw(row) });
    this.select();
  }

  #build() {
    const { emotions, wanted } = this;
    this.search = el("input", { type: "search", placeholder: "Search words", "aria-label": "Search words" });
    this.search.addEventListener("input", () => this.#want("search", this.search.value.trim().toLowerCase()));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.places.length) this.choose(this.places[0]);
    });
    const toggle = (event, place) => {
      const on = event.currentTarget.getAttribute("aria-pressed") !== "true";
      event.currentTarget.setAttribute("aria-pressed", on);
      if (on) wanted.emotions.add(place);
      else wanted.emotions.delete(place);
      this.select();
    };
    const chips = emotions.map((emotion, place) =>
      el(
        "button",
        { type: "button", className: "chip", "aria-pressed": "false", onclick: (event) => toggle(event, place) },
        el("span", { className: `dot ${emotion}`, "aria-hidden": "true" }),
        emotion,
      ),
    );
    const limit = (name, label) => {
      const shown = el("output", {}, `${wanted[name]}%`);
      const range = el("input", { type: "range", min: 0, max: 100, step: 5, value: wanted[name], "aria-label": label });
      range.addEventListener("input", () => {
        shown.textContent = `${range.value}%`;
        this.#want(name, Number(range.value));
      });
      return el("label", { className: "limit" }, el("span", {}, label), range, shown);
    };
    const unseen = el("input", { type: "checkbox", onchange: (event) => this.#want("unseen", event.target.checked) });
    this.found = el("p", { className: "found", role: "status" });
    this.box = el("div", {
      className: "utterances",
      role: "listbox",
      tabIndex: 0,
      "aria-label": "Utterances",
    });
    const more = el(
      "details",
      { className: "more", open: remembered.get("filters", "") === "open" },
      el("summary", {}, "Filter"),
      el("div", { className: "chips", role: "group", "aria-label": "Emotions" }, chips),
      el("div", { className: "limits" }, limit("from", "Confidence from"), limit("to", "Confidence to")),
      el("label", { className: "check" }, unseen, "Without a verdict of mine"),
    );
    more.addEventListener("toggle", () => remembered.set("filters", more.open ? "open" : ""));
    this.element = el(
      "section",
      { className: "transcript", "aria-label": "What is said" },
      el("div", { className: "finding" }, this.search, this.found),
      more,
      this.box,
    );
  }

  #want(name, value) {
    this.wanted[name] = value;
    this.select();
  }

  shows(place) {
    const { wanted, utterances } = this;
    const confidence = 100 * utterances.confidence[place];
    return (
      (!wanted.search || this.lowered[place].includes(wanted.search)) &&
      (!wanted.emotions.size || wanted.emotions.has(utterances.emotion[place])) &&
      confidence >= wanted.from &&
      confidence <= wanted.to &&
      !(wanted.unseen && this.verdicts(place))
    );
  }

  /** Choose anew what is shown. */
  select() {
    this.places = [];
    for (let place = 0; place < this.total; place++) if (this.shows(place)) this.places.push(place);
    const all = this.places.length === this.total;
    this.found.textContent = all ? counted(this.total, "utterance") : `${number(this.places.length)} of ${number(this.total)}`;
    this.rowOf = new Map(this.places.map((place, row) => [place, row]));
    this.list.reset(this.places.length);
    const row = this.rowOf.get(this.current);
    if (row !== undefined) this.list.reveal(row, true);
    this.filtered?.((place) => this.rowOf.has(place));
  }

  /** The next shown place after one, or before it (step -1); null at the end. */
  after(place, step, passes = () => true) {
    let row = this.places.findIndex((item) => item >= place);
    if (row < 0) row = this.places.length;
    if (step > 0 && this.places[row] === place) row += 1;
    if (step < 0) row -= 1;
    while (row >= 0 && row < this.places.length && !passes(this.places[row])) row += step;
    return this.places[row] ?? null;
  }

  /** Mark the utterance that is playing. */
  mark(place) {
    if (place === this.current) return;
    const before = this.rowOf.get(this.current);
    this.current = place;
    if (before !== undefined) this.list.redraw(before);
    const row = this.rowOf.get(place);
    if (row === undefined) {
      this.box.removeAttribute("aria-activedescendant");
      return;
    }
    this.list.reveal(row, true);
    this.list.redraw(row);
    this.box.setAttribute("aria-activedescendant", `utterance-${place}`);
  }

  /** A verdict on a place has come or gone. */
  changed(place) {
    const row = this.rowOf.get(place);
    if (row !== undefined) this.list.redraw(row);
  }

  #draw(row) {
    const place = this.places[row];
    const { utterances, emotions } = this;
    const emotion = emotions[utterances.emotion[place]];
    const verdict = this.verdicts(place);
    const text = utterances.text[place];
    return el(
      "div",
      {
        id: `utterance-${place}`,
        className: place === this.current ? "utterance current" : "utterance",
        role: "option",
        "aria-selected": String(place === this.current),
        "aria-setsize": this.places.length,
        "aria-posinset": row + 1,
        onclick: () => this.choose(place),
      },
      el("span", { className: `edge ${emotion}`, "aria-hidden": "true" }),
      el(
        "span",
        { className: "line" },
        el("time", {}, clock(utterances.start_ms[place])),
        el("span", { className: "label" }, emotion),
        el("span", { className: "sure" }, percent(utterances.confidence[place])),
        verdict ? el("span", { className: "verdict" }, verdict.to_emotion === emotion ? "✓ right" : `→ ${verdict.to_emotion}`) : null,
      ),
      el("span", { className: text ? "words" : "words none" }, text || "no words"),
    );
  }

  close() {
    this.list.close();
  }
}
