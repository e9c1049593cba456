// A list of any length, of which only the rows in sight are in the document.

import { el, onceAFrame } from "./dom.js";

const MARGIN_ROWS = 8;

export class VirtualList {
  /**
   * @param scroller the element that scrolls; its child `sheet` is made as high as all rows.
   * @param rowHeight in CSS pixels, the same for all.
   * @param draw makes the element of the row at a place.
   * @param sheet the element that holds the rows.
   */
  constructor({ scroller, rowHeight, draw, sheet = el("div") }) {
    Object.assign(this, { scroller, rowHeight, draw, sheet });
    this.count = 0;
    this.rows = new Map();
    sheet.classList.add("sheet");
    if (sheet.parentElement === null) scroller.append(sheet);
    const refresh = onceAFrame(() => this.refresh());
    scroller.addEventListener("scroll", refresh, { passive: true });
    this.observer = new ResizeObserver(refresh);
    this.observer.observe(scroller);
  }

  /** Show so many rows, drawn anew. */
  reset(count) {
    this.count = count;
    this.rows.clear();
    this.sheet.replaceChildren();
    this.sheet.style.height = `${count * this.rowHeight}px`;
    this.refresh();
  }

  /** Draw one row anew, if it is in sight. */
  redraw(place) {
    const old = this.rows.get(place);
    if (!old) return;
    const row = this.#placed(place);
    old.replaceWith(row);
    this.rows.set(place, row);
  }

  refresh() {
    const top = this.scroller.scrollTop;
    const first = Math.max(0, Math.floor(top / this.rowHeight) - MARGIN_ROWS);
    const end = Math.min(this.count, Math.ceil((top + this.scroller.clientHeight) / this.rowHeight) + MARGIN_ROWS);
    for (const [place, row] of this.rows) {
      if (place >= first && place < end) continue;
      row.remove();
      this.rows.delete(place);
    }
    // In the order of the list, which is that of a screen reader and of the Tab key.
    let after = null;
    for (let place = end - 1; place >= first; place--) {
      let row = this.rows.get(place);
      if (!row) {
        row = this.#placed(place);
        this.rows.set(place, row);
        this.sheet.insertBefore(row, after);
      }
      after = row;
    }
  }

  /** Bring a row into sight, by as little as needed, or to the middle. */
  reveal(place, middle = false) {
    const top = place * this.rowHeight;
    const height = this.scroller.clientHeight;
    const seen = top >= this.scroller.scrollTop && top + this.rowHeight <= this.scroller.scrollTop + height;
    if (seen) return;
    if (middle) this.scroller.scrollTop = top - (height - this.rowHeight) / 2;
    else this.scroller.scrollTop = top < this.scroller.scrollTop ? top : top + this.rowHeight - height;
    this.refresh();
  }

  close() {
    this.observer.disconnect();
  }

  #placed(place) {
    const row = this.draw(place);
    row.style.transform = `translateY(${place * this.rowHeight}px)`;
    row.style.height = `${this.rowHeight}px`;
    return row;
  }
}
