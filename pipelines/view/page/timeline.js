// The time line: a canvas with what each modality says and all together, words, faces, gaps; a strip of the whole video
// above it; click to seek, drag or scroll to move, Ctrl and the wheel to zoom.

import { clock, el, onceAFrame, percent } from "./dom.js";
import { above, between, columnsOf, gapsOf, mostOf, placeAt, stepFor } from "./tracks.js";

const GUTTER = 74; // for the names of the tracks
const LANE = 14;
const STRIP = 15;
const AXIS = 20;
const THIN = 2; // px: utterances that are thinner on the whole are drawn as columns
const WORDS_FROM = 0.035; // px a ms from which single words have room
const MOST_ZOOM = 0.4; // px a ms
const DRAG_PX = 4;
const MODALITIES = [
  ["text_p", "Words say"],
  ["audio_p", "Voice says"],
  ["face_p", "Face says"],
];

export class Timeline {
  /**
   * @param data the video as the server gives it; its times are in milliseconds.
   * @param emotions their names, in the order of the probabilities.
   * @param verdicts gives the annotator's standing verdict at a place, or null.
   * @param seek is called with a time where somebody clicks.
   */
  constructor({ data, emotions, verdicts, seek }) {
    Object.assign(this, { utterances: data.utterances, emotions, verdicts, seek, duration: data.video.duration_ms });
    this.duration = Math.max(this.duration, data.utterances.end_ms.at(-1) ?? 0, 1);
    this.gaps = gapsOf(data.utterances, data.segments, this.duration);
    this.gapStarts = this.gaps.map((gap) => gap.start_ms);
    this.gapEnds = this.gaps.map((gap) => gap.end_ms);
    this.from = 0;
    this.now = 0;
    this.current = -1;
    this.isShown = () => true;
    this.tracks = this.#layOut();
    this.canvas = el("canvas", {
      className: "tracks",
      tabIndex: 0,
      role: "slider",
      "data-arrows": "",
      "aria-label": "Time in the video",
      "aria-valuemin": 0,
      "aria-valuemax": Math.round(this.duration / 1000),
    });
    this.strip = el("canvas", { className: "whole", "aria-hidden": "true" });
    this.readout = el("p", { className: "readout" });
    const button = (text, label, run) => el("button", { type: "button", className: "quiet", "aria-label": label, title: label, onclick: run }, text);
    this.element = el(
      "section",
      { className: "timeline", "aria-label": "Time line" },
      this.strip,
      this.canvas,
      el(
        "div",
        { className: "under" },
        this.readout,
        button("−", "Zoom out", () => this.zoom(0.5)),
        button("+", "Zoom in", () => this.zoom(2)),
        button("Whole", "Show the whole video", () => this.showAll()),
      ),
    );
    this.draw = onceAFrame(() => this.#draw());
    this.#listen();
  }

  #layOut() {
    let top = AXIS;
    const place = (height, gap = 6) => {
      const at = top;
      top += height + gap;
      return at;
    };
    const tracks = { lanes: place(LANE * this.emotions.length, 8) };
    for (const [name] of MODALITIES) tracks[name] = place(STRIP, 3);
    top += 4;
    tracks.words = place(22, 4);
    tracks.face = place(22, 4);
    tracks.gaps = place(16, 2);
    this.height = top;
    return tracks;
  }

  #listen() {
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(this.canvas);
    this.onColours = () => this.#readColours();
    addEventListener("colours", this.onColours);
    this.canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.canvas.addEventListener("pointermove", (event) => this.#hover(event));
    this.canvas.addEventListener("pointerleave", () => this.#tell(this.current));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#drag();
    const jump = (event) => {
      if (!event.buttons) return;
      const box = this.strip.getBoundingClientRect();
      const share = (event.clientX - box.left - GUTTER) / (box.width - GUTTER);
      this.moveTo(share * this.duration - this.span / 2);
    };
    this.strip.addEventListener("pointerdown", (event) => {
      this.strip.setPointerCapture(event.pointerId);
      jump(event);
    });
    this.strip.addEventListener("pointermove", jump);
  }

  #drag() {
    let began = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      began = { x: event.clientX, from: this.from, moved: false };
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!began) return;
      const moved = event.clientX - began.x;
      began.moved ||= Math.abs(moved) > DRAG_PX;
      if (began.moved) this.moveTo(began.from - moved / this.scale);
    });
    this.canvas.addEventListener("pointerup", (event) => {
      const at = this.#timeAt(event);
      if (began && !began.moved && at !== null) this.seek(at);
      began = null;
    });
    this.canvas.addEventListener("pointercancel", () => (began = null));
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey) this.zoom(event.deltaY < 0 ? 1.25 : 0.8, this.#timeAt(event) ?? this.now);
    else this.moveTo(this.from + (Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.deltaY) / this.scale);
  }

  #key(event) {
    const step = { ArrowLeft: -1000, ArrowRight: 1000, PageDown: -10_000, PageUp: 10_000 }[event.key];
    const to = { Home: 0, End: this.duration - 1 }[event.key] ?? (step && this.now + step * (event.shiftKey ? 5 : 1));
    if (to === undefined) return;
    event.preventDefault();
    this.seek(Math.min(this.duration - 1, Math.max(0, to)));
  }

  #timeAt(event) {
    const x = event.clientX - this.canvas.getBoundingClientRect().left - GUTTER;
    return x < 0 ? null : Math.min(this.duration, Math.max(0, this.from + x / this.scale));
  }

  #hover(event) {
    const at = this.#timeAt(event);
    if (at === null) return;
    const place = placeAt(this.utterances, at);
    if (place >= 0) this.#tell(place);
    else {
      const gap = this.gaps[above(this.gapStarts, at) - 1];
      if (gap) this.readout.textContent = `${clock(gap.start_ms, true)} to ${clock(gap.end_ms, true)}: ${gap.reason}`;
    }
  }

  #tell(place) {
    this.readout.textContent = place < 0 ? "" : this.described(place);
  }

  /** An utterance in one line: when, what, and what each modality says of it or why it says nothing. */
  described(place) {
    const { utterances, emotions } = this;
    const says = MODALITIES.map(([name, label]) => {
      const p = utterances[name][place];
      const missing = utterances[name.replace("_p", "_missing")][place];
      return `${label.split(" ")[0].toLowerCase()} ${p ? `${emotions[mostOf(p)]} ${percent(Math.max(...p))}` : `– (${missing ?? "none"})`}`;
    });
    const all = `${emotions[utterances.emotion[place]]} ${percent(utterances.confidence[place])}`;
    return `${clock(utterances.start_ms[place], true)} to ${clock(utterances.end_ms[place], true)}: ${all}; ${says.join(", ")}`;
  }

  get width() {
    return Math.max(1, this.canvas.clientWidth - GUTTER);
  }

  get span() {
    return this.width / this.scale;
  }

  get leastZoom() {
    return this.width / this.duration;
  }

  #resize() {
    const ratio = devicePixelRatio || 1;
    for (const [canvas, height] of [[this.canvas, this.height], [this.strip, 26]]) {
      canvas.width = Math.round(canvas.clientWidth * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
      canvas.getContext("2d", { alpha: false }).setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.scale = Math.max(this.leastZoom, Math.min(MOST_ZOOM, this.scale ?? this.width / Math.min(this.duration, 90_000)));
    this.#readColours();
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(name).trim();
    // The canvas takes colours as they are computed, not as names of others.
    const probe = el("span", { hidden: true });
    this.element.append(probe);
    const computed = (name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    this.colours = Object.fromEntries(
      ["ink", "soft", "faint", "line", "panel", "accent", "face"].map((name) => [name, computed(name)]),
    );
    probe.remove();
    this.byEmotion = this.emotions.map((emotion) => read(`--${emotion}`));
    this.font = `11px ${read("--sans")}`;
    this.hatch = this.#hatched();
    this.#drawStrip();
    this.draw();
  }

  #hatched() {
    const tile = new OffscreenCanvas(6, 6);
    const pen = tile.getContext("2d");
    pen.strokeStyle = this.colours.faint;
    pen.lineWidth = 1;
    pen.beginPath();
    for (const shift of [-6, 0, 6]) {
      pen.moveTo(shift, 6);
      pen.lineTo(shift + 6, 0);
    }
    pen.stroke();
    return pen.createPattern(tile, "repeat");
  }

  /** Zoom by a factor around a time. */
  zoom(factor, around = this.now) {
    const share = Math.min(1, Math.max(0, (around - this.from) / this.span));
    this.scale = Math.max(this.leastZoom, Math.min(MOST_ZOOM, this.scale * factor));
    this.moveTo(around - share * this.span);
  }

  showAll() {
    this.scale = this.leastZoom;
    this.moveTo(0);
  }

  moveTo(ms) {
    this.from = Math.max(0, Math.min(ms, this.duration - this.span));
    this.draw();
  }

  /** Only what passes the filters is drawn in full strength. */
  filter(isShown) {
    this.isShown = isShown;
    this.draw();
  }

  /** Move the mark of the present; the view follows when it leaves. */
  setNow(ms, current) {
    this.now = ms;
    if (current !== this.current) {
      this.current = current;
      this.#tell(current);
    }
    const seconds = Math.round(ms / 1000);
    if (seconds !== this.nowSeconds) {
      this.nowSeconds = seconds;
      this.canvas.setAttribute("aria-valuenow", seconds);
      const here = current < 0 ? "no label here" : this.described(current);
      this.canvas.setAttribute("aria-valuetext", `${clock(ms)}, ${here}`);
    }
    if (this.scale && (ms < this.from || ms > this.from + this.span)) this.moveTo(ms - this.span * 0.15);
    this.draw();
  }

  #draw() {
    if (!this.scale || !this.colours) return;
    const pen = this.canvas.getContext("2d");
    const { width } = this;
    pen.globalAlpha = 1;
    pen.fillStyle = this.colours.panel;
    pen.fillRect(0, 0, width + GUTTER, this.height);
    pen.font = this.font;
    pen.textBaseline = "middle";
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, 0, width, this.height);
    pen.clip();
    pen.translate(GUTTER, 0);
    this.#drawAxis(pen, width);
    const [first, end] = between(this.utterances.start_ms, this.utterances.end_ms, this.from, this.from + this.span);
    if (end - first > width / THIN) this.#drawColumns(pen, width);
    else for (let place = first; place < end; place++) this.#drawUtterance(pen, place);
    this.#drawGaps(pen);
    this.#drawNow(pen);
    pen.restore();
    this.#drawNames(pen);
    this.#drawWindow();
  }

  #x(ms) {
    return (ms - this.from) * this.scale;
  }

  #drawAxis(pen, width) {
    const step = stepFor(this.scale, 76);
    pen.fillStyle = this.colours.soft;
    for (let ms = Math.ceil(this.from / step) * step; ms <= this.from + this.span; ms += step) {
      const x = Math.round(this.#x(ms));
      pen.fillStyle = this.colours.line;
      pen.fillRect(x, 0, 1, this.height);
      pen.fillStyle = this.colours.soft;
      pen.fillText(clock(ms, step < 1000), x + 4, AXIS / 2);
    }
    pen.fillStyle = this.colours.line;
    this.emotions.forEach((_, lane) => pen.fillRect(0, this.tracks.lanes + lane * LANE + LANE - 1, width, 1));
  }

  #drawUtterance(pen, place) {
    const { utterances, tracks, emotions } = this;
    const left = this.#x(utterances.start_ms[place]);
    const right = this.#x(utterances.end_ms[place]);
    const room = Math.max(1, right - left - 1);
    const strength = this.isShown(place) ? 1 : 0.22;
    const p = utterances.p[place];
    const most = utterances.emotion[place];
    if (place === this.current) {
      pen.globalAlpha = 0.13;
      pen.fillStyle = this.colours.accent;
      pen.fillRect(left, AXIS, room, this.height - AXIS);
    }
    for (let lane = 0; lane < emotions.length; lane++) {
      if (p[lane] < 0.04) continue;
      pen.globalAlpha = strength * (lane === most ? 0.45 + 0.55 * p[lane] : 0.75 * p[lane]);
      pen.fillStyle = this.byEmotion[lane];
      const height = (LANE - 3) * (lane === most ? 1 : 0.25 + 0.75 * Math.min(1, 2 * p[lane]));
      pen.fillRect(left, tracks.lanes + lane * LANE + (LANE - 2 - height) / 2, room, height);
    }
    this.#drawVerdict(pen, place, left, room);
    for (const [name] of MODALITIES) this.#drawModality(pen, name, place, left, room, strength);
    pen.globalAlpha = strength;
    pen.fillStyle = this.colours.face;
    const cover = 20 * utterances.face_coverage[place];
    pen.fillRect(left, tracks.face + 21 - cover, room, cover + 1);
    pen.fillStyle = this.colours.ink;
    if (this.scale >= WORDS_FROM && utterances.words[place].length) this.#drawWords(pen, place);
    else this.#write(pen, utterances.text[place] ?? "", left + 2, room - 3, tracks.words + 11);
    pen.globalAlpha = 1;
  }

  /** A frame around the emotion that the annotator says is right. */
  #drawVerdict(pen, place, left, room) {
    const verdict = this.verdicts(place);
    if (!verdict) return;
    const top = this.tracks.lanes + LANE * this.emotions.indexOf(verdict.to_emotion);
    pen.globalAlpha = 1;
    pen.strokeStyle = this.colours.ink;
    pen.lineWidth = 1.5;
    pen.strokeRect(left + 0.5, top + 0.5, Math.max(3, room - 1), LANE - 3);
  }

  #drawModality(pen, name, place, left, room, strength) {
    const top = this.tracks[name];
    const p = this.utterances[name][place];
    pen.globalAlpha = strength;
    if (!p) {
      pen.fillStyle = this.hatch;
      pen.fillRect(left, top, room, STRIP);
      return;
    }
    const most = mostOf(p);
    pen.globalAlpha = strength * (0.35 + 0.65 * p[most]);
    pen.fillStyle = this.byEmotion[most];
    pen.fillRect(left, top, room, STRIP);
    // Named, as colours alone don't tell everyone; on a plate, as letters on these colours can't all have contrast.
    const label = [this.emotions[most], this.emotions[most].slice(0, 2)].find((text) => this.#wide(pen, text) < room);
    if (!label) return;
    const wide = this.#wide(pen, label) - 2;
    pen.globalAlpha = 0.82 * strength;
    pen.fillStyle = this.colours.panel;
    pen.fillRect(left + 1, top + 1, wide, STRIP - 2);
    pen.globalAlpha = strength;
    pen.fillStyle = this.colours.ink;
    pen.fillText(label, left + 4, top + STRIP / 2 + 0.5);
  }

  /** Pixels that a label and its plate take. */
  #wide(pen, text) {
    this.widths ??= new Map();
    if (!this.widths.has(text)) this.widths.set(text, pen.measureText(text).width + 8);
    return this.widths.get(text);
  }

  #drawWords(pen, place) {
    const { words } = this.utterances;
    const y = this.tracks.words + 11;
    for (const [word, start, end] of words[place]) {
      if (start === null) continue;
      const left = this.#x(start);
      const said = start <= this.now && this.now < end;
      if (said) {
        pen.fillStyle = this.colours.accent;
        pen.fillRect(left, y + 8, Math.max(2, (end - start) * this.scale), 2);
        pen.fillStyle = this.colours.ink;
      }
      this.#write(pen, word, left, Math.max(18, (end - start) * this.scale + 4), y);
    }
  }

  #write(pen, text, left, room, y) {
    if (room < 14 || !text) return;
    const start = Math.max(left, 2);
    const left_over = room - (start - left);
    if (left_over < 14) return;
    pen.save();
    pen.beginPath();
    pen.rect(start, y - 10, left_over, 20);
    pen.clip();
    pen.fillText(text, start, y);
    pen.restore();
  }

  #drawColumns(pen, width) {
    const { utterances, tracks, emotions } = this;
    const count = emotions.length;
    const all = columnsOf(utterances, utterances.p, this.from, this.scale, width, count);
    for (let x = 0; x < width; x++) {
      if (all.covered[x] < 0.02) continue;
      for (let lane = 0; lane < count; lane++) {
        const p = all.sums[x * count + lane];
        if (p < 0.04) continue;
        pen.globalAlpha = Math.min(1, 0.15 + p);
        pen.fillStyle = this.byEmotion[lane];
        pen.fillRect(x, tracks.lanes + lane * LANE + 1, 1, LANE - 3);
      }
    }
    for (const [name] of MODALITIES) {
      const part = columnsOf(utterances, utterances[name], this.from, this.scale, width, count);
      for (let x = 0; x < width; x++) {
        if (part.covered[x] < 0.02) continue;
        const most = mostOf(part.sums.subarray(x * count, (x + 1) * count));
        pen.globalAlpha = 0.35 + 0.65 * Math.min(1, part.sums[x * count + most]);
        pen.fillStyle = this.byEmotion[most];
        pen.fillRect(x, tracks[name], 1, STRIP);
      }
    }
    const faces = columnsOf(utterances, utterances.face_coverage.map((cover) => [cover]), this.from, this.scale, width, 1);
    pen.globalAlpha = 1;
    pen.fillStyle = this.colours.face;
    for (let x = 0; x < width; x++) pen.fillRect(x, tracks.face + 21 - 20 * Math.min(1, faces.sums[x]), 1, 20 * Math.min(1, faces.sums[x]) + 1);
  }

  #drawGaps(pen) {
    const { tracks, gaps } = this;
    const [first, end] = between(this.gapStarts, this.gapEnds, this.from, this.from + this.span);
    const top = tracks.gaps;
    for (let place = first; place < end; place++) {
      const left = this.#x(gaps[place].start_ms);
      const room = this.#x(gaps[place].end_ms) - left;
      if (room < 1) continue;
      pen.fillStyle = this.hatch;
      pen.fillRect(left, top, room, 15);
      if (room < 60) continue;
      pen.fillStyle = this.colours.soft;
      const start = Math.max(left + 4, 4);
      const wide = Math.min(pen.measureText(gaps[place].reason).width + 6, room - (start - left) - 2);
      if (wide < 20) continue;
      pen.fillStyle = this.colours.panel;
      pen.fillRect(start - 2, top + 1, wide, 13);
      pen.fillStyle = this.colours.soft;
      this.#write(pen, gaps[place].reason, start, wide - 2, top + 8);
    }
  }

  #drawNow(pen) {
    const x = Math.round(this.#x(this.now));
    pen.fillStyle = this.colours.accent;
    pen.fillRect(x - 1, 0, 2, this.height);
    pen.beginPath();
    pen.moveTo(x - 6, 0);
    pen.lineTo(x + 6, 0);
    pen.lineTo(x, 8);
    pen.fill();
  }

  #drawNames(pen) {
    const { tracks } = this;
    pen.textAlign = "right";
    const write = (text, y) => {
      pen.fillStyle = this.colours.soft;
      pen.fillText(text, GUTTER - 14, y);
    };
    this.emotions.forEach((emotion, lane) => {
      const y = tracks.lanes + lane * LANE + LANE / 2 - 1;
      write(emotion, y + 0.5);
      pen.fillStyle = this.byEmotion[lane];
      pen.fillRect(GUTTER - 10, y - 4, 6, 8);
    });
    for (const [name, label] of MODALITIES) write(label, tracks[name] + STRIP / 2 + 0.5);
    write("Said", tracks.words + 11);
    write("Face seen", tracks.face + 11);
    write("Gaps", tracks.gaps + 8);
    pen.textAlign = "left";
  }

  /** The whole video, one column of pixels after the other; drawn once a size and theme. */
  #drawStrip() {
    const { width } = this;
    const count = this.emotions.length;
    this.stripImage = null;
    if (!this.strip.width || !this.strip.height) return;
    const image = new OffscreenCanvas(this.strip.width, this.strip.height);
    const pen = image.getContext("2d", { alpha: false });
    pen.setTransform(devicePixelRatio || 1, 0, 0, devicePixelRatio || 1, 0, 0);
    pen.fillStyle = this.colours.panel;
    pen.fillRect(0, 0, width + GUTTER, 26);
    pen.font = this.font;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.fillStyle = this.colours.soft;
    pen.fillText("Whole", GUTTER - 14, 13);
    pen.textAlign = "left";
    const { sums, covered } = columnsOf(this.utterances, this.utterances.p, 0, this.leastZoom, Math.floor(width), count);
    for (let x = 0; x < width; x++) {
      let top = 3;
      for (let emotion = 0; emotion < count; emotion++) {
        const part = covered[x] > 0 ? (20 * sums[x * count + emotion]) / Math.max(covered[x], 1) : 0;
        pen.fillStyle = this.byEmotion[emotion];
        pen.fillRect(GUTTER + x, top, 1, part);
        top += part;
      }
    }
    this.stripImage = image;
  }

  /** The part of it that is in view, and the present. */
  #drawWindow() {
    if (!this.stripImage) return;
    const pen = this.strip.getContext("2d");
    pen.drawImage(this.stripImage, 0, 0, this.width + GUTTER, 26);
    const left = GUTTER + this.from * this.leastZoom;
    pen.strokeStyle = this.colours.accent;
    pen.lineWidth = 2;
    pen.strokeRect(left + 1, 1, Math.max(4, this.span * this.leastZoom - 2), 24);
    pen.fillStyle = this.colours.accent;
    pen.fillRect(GUTTER + this.now * this.leastZoom - 1, 0, 2, 26);
  }

  close() {
    this.observer.disconnect();
    removeEventListener("colours", this.onColours);
  }
}
