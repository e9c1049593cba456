// The utterance at hand: what each modality says of each emotion, and the buttons that say which is right.

import { clock, el, percent, remembered } from "./dom.js";

const SOURCES = [
  ["p", "Together"],
  ["text_p", "Words"],
  ["audio_p", "Voice"],
  ["face_p", "Face"],
];

export class VerdictPanel {
  /**
   * @param utterances as the server gives them.
   * @param emotions their names.
   * @param give is called with an emotion; undo with nothing.
   */
  constructor({ utterances, emotions, give, undo, word }) {
    Object.assign(this, { utterances, emotions, give, undo });
    this.word = word;
    this.place = -1;
    this.head = el("p", { className: "when" });
    this.text = el("p", { className: "said" });
    this.rows = emotions.map((emotion, place) => this.#row(emotion, place));
    this.missing = el("p", { className: "missing" });
    this.state = el("p", { className: "state" });
    this.right = el("button", { type: "button", className: "right", onclick: () => this.give(null) }, "Right ", el("kbd", {}, "Enter"));
    this.back = el("button", { type: "button", className: "quiet", onclick: () => this.undo() }, "Undo ", el("kbd", {}, "u"));
    const option = (name, label, otherwise) =>
      el(
        "label",
        { className: "check" },
        el("input", {
          type: "checkbox",
          checked: remembered.get(name, otherwise) === "yes",
          onchange: (event) => remembered.set(name, event.target.checked ? "yes" : "no"),
        }),
        label,
      );
    this.element = el(
      "section",
      { className: "at-hand", "aria-label": "The utterance at hand" },
      this.head,
      this.text,
      el("div", { className: "acts" }, this.right, this.back, this.state),
      el(
        "table",
        {},
        el("caption", { className: "unseen" }, "Probability of each emotion"),
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Or say what is"), SOURCES.map(([, title]) => el("th", { scope: "col" }, title)))),
        el("tbody", {}, this.rows.map((row) => row.element)),
      ),
      this.missing,
      el("div", { className: "options" }, option("next", "Go on to the next one after a verdict", "yes"), option("once", "Stop at the end of an utterance", "no")),
    );
    this.show(-1, null, []);
  }

  #row(emotion, place) {
    const button = el(
      "button",
      { type: "button", className: "emotion", onclick: () => this.give(place) },
      el("kbd", {}, String(place + 1)),
      el("span", { className: `dot ${emotion}`, "aria-hidden": "true" }),
      emotion,
    );
    const cells = SOURCES.map(() => {
      const fill = el("span", { className: `fill ${emotion}` });
      const amount = el("span", { className: "amount" });
      return { fill, amount, element: el("td", {}, el("span", { className: "meter", "aria-hidden": "true" }, fill), amount) };
    });
    return { button, cells, element: el("tr", {}, el("th", { scope: "row" }, button), cells.map((cell) => cell.element)) };
  }

  /** Show an utterance, the annotator's own standing verdict on it, and those of others. */
  show(place, own, others) {
    const { utterances, emotions } = this;
    this.place = place;
    this.element.classList.toggle("empty", place < 0);
    for (const control of [this.right, ...this.rows.map((row) => row.button)]) control.disabled = place < 0;
    this.back.disabled = !own;
    if (place < 0) {
      this.head.textContent = "No utterance here";
      this.text.replaceChildren();
      this.missing.textContent = this.state.textContent = "";
      this.rows.forEach((row) => this.#fill(row, () => null, 0));
      return;
    }
    const model = emotions[utterances.emotion[place]];
    const span = `${clock(utterances.start_ms[place], true)} to ${clock(utterances.end_ms[place], true)}`;
    this.head.textContent = `${span} · ${model} ${percent(utterances.confidence[place])}`;
    this.#showText(place);
    this.rows.forEach((row, emotion) => {
      this.#fill(row, (name) => utterances[name][place], emotion);
      row.element.classList.toggle("said-so", own?.to_emotion === emotions[emotion]);
      row.element.classList.toggle("model", utterances.emotion[place] === emotion);
      row.button.setAttribute("aria-pressed", own?.to_emotion === emotions[emotion]);
    });
    const missing = ["text", "audio", "face"].map((name) => utterances[`${name}_missing`][place]).filter(Boolean);
    this.missing.textContent = missing.length ? `Not read: ${missing.join("; ")}.` : "";
    const mine = own ? (own.to_emotion === model ? "You say: right." : `You say: ${own.to_emotion}, not ${model}.`) : "";
    const theirs = others.map((row) => `${row.annotator} says: ${row.to_emotion}.`);
    this.state.textContent = [mine, ...theirs].join(" ");
  }

  #fill(row, probabilities, emotion) {
    row.cells.forEach((cell, source) => {
      const p = probabilities(SOURCES[source][0])?.[emotion];
      cell.fill.style.width = `${100 * (p ?? 0)}%`;
      cell.amount.textContent = p === undefined || p === null ? "–" : percent(p);
    });
  }

  /** The words, each a button to its time; without times of words, the text. */
  #showText(place) {
    const words = this.utterances.words[place];
    this.spoken = words.map(([word, start]) =>
      start === null ? el("span", {}, word) : el("span", { className: "word", onclick: () => this.word(start) }, word),
    );
    if (words.length) this.text.replaceChildren(...this.spoken.flatMap((word) => [word, " "]));
    else this.text.replaceChildren(this.utterances.text[place] || "(no words)");
  }

  /** Mark the word that is said at a time. */
  follow(ms) {
    if (this.place < 0) return;
    this.utterances.words[this.place].forEach(([, start, end], at) => {
      this.spoken[at].classList.toggle("now", start !== null && start <= ms && ms < end);
    });
  }
}
