// The player, or what stands in for it where the browser can't play the file: time can still be set.

import { el } from "./dom.js";

const CANNOT_PLAY = "This browser can't play this kind of file";

/** What the server says of a file that doesn't play; null if nothing, as then the browser is the one that can't. */
async function whyNot(url) {
  try {
    const response = await fetch(url, { headers: { Range: "bytes=0-0" } });
    return response.ok ? null : (await response.json()).error;
  } catch {
    return "The server does not answer. Is `fv2es view` still running?";
  }
}

export class Player {
  /**
   * @param media as the server gives it: `url`, or the `problem` that keeps it from being shown.
   * @param video what is known of the file.
   * @param onTime is called with milliseconds whenever the time has changed.
   */
  constructor({ media, video, onTime }) {
    this.onTime = onTime;
    this.still = 0; // the time, in milliseconds, without a player
    this.stopAt = null;
    this.element = el("div", { className: "player" });
    if (media.problem) this.#standIn(media.problem);
    else this.#load(media, video);
    this.frame = requestAnimationFrame(() => this.#tick());
  }

  #load(media, video) {
    this.media = el("video", { controls: true, preload: "metadata", "aria-label": `Player: ${video.name}` });
    this.media.addEventListener("loadedmetadata", () => {
      this.element.classList.toggle("sound-only", !this.media.videoWidth);
      if (this.still) this.media.currentTime = this.still / 1000;
    });
    this.media.addEventListener("error", async () => {
      const kind = [video.name.split(".").pop(), video.video_codec, video.audio_codec].filter(Boolean).join(", ");
      this.#standIn((await whyNot(media.url)) ?? `${CANNOT_PLAY} (${kind}).`);
    });
    this.media.addEventListener("seeked", () => this.onTime(this.now));
    this.media.src = media.url;
    this.element.replaceChildren(this.media);
  }

  #standIn(problem) {
    this.still = this.media ? Math.max(this.still, 1000 * this.media.currentTime) : 0;
    this.media = null;
    this.element.classList.add("no-player");
    this.element.replaceChildren(
      el("p", { role: "status" }, el("strong", {}, problem), el("br"), "The time line and all labels work without it."),
    );
  }

  get now() {
    return this.media?.readyState ? 1000 * this.media.currentTime : this.still;
  }

  get isPlaying() {
    return Boolean(this.media && !this.media.paused && !this.media.ended);
  }

  seek(ms) {
    this.stopAt = null;
    this.still = Math.max(0, ms);
    if (this.media?.readyState) this.media.currentTime = this.still / 1000;
    this.onTime(this.still);
  }

  toggle() {
    if (!this.media) return;
    this.stopAt = null;
    if (this.isPlaying) this.media.pause();
    else this.play();
  }

  /** Play on, or up to a time. */
  play(stopAt = null) {
    this.stopAt = stopAt;
    this.media?.play().catch(() => {}); // it says itself why not, by its error event
  }

  #tick() {
    this.frame = requestAnimationFrame(() => this.#tick());
    if (!this.isPlaying) return;
    if (this.stopAt !== null && this.now >= this.stopAt) {
      this.media.pause();
      this.stopAt = null;
    }
    this.onTime(this.now);
  }

  close() {
    cancelAnimationFrame(this.frame);
    if (!this.media) return;
    this.media.pause();
    this.media.removeAttribute("src"); // ends the transfer
    this.media.load();
  }
}
