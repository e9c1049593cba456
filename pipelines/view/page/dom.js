// Making elements and writing amounts. Text goes in as text: nothing that a corpus holds is ever read as HTML.

/** An element; properties with a dash, and role, are attributes, `on...` are listeners, `style` sets properties by name. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "style") for (const [key, item] of Object.entries(value)) element.style.setProperty(key, item);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** 1:05, or 1:02:05 from an hour on; with tenths where asked. */
export function clock(ms, tenths = false) {
  const total = tenths ? Math.floor(ms / 100) / 10 : Math.floor(ms / 1000);
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const seconds = (total % 60).toFixed(tenths ? 1 : 0).padStart(tenths ? 4 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

export const percent = (share) => `${Math.round(100 * share)}%`;
export const number = (count) => count.toLocaleString("en");
export const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** The last part of an address, and what is before it. */
export function nameAndFolder(uri) {
  const cut = uri.lastIndexOf("/") + 1;
  return [uri.slice(cut), uri.slice(0, cut)];
}

/** Tell a screen reader. */
export function say(text) {
  byId("said").textContent = text;
}

/** Call at most once a frame. */
export function onceAFrame(action) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      action();
    });
  };
}

/** What this browser remembers of the page's settings; it may not want to. */
export const remembered = {
  get(name, otherwise) {
    try {
      return localStorage.getItem(`fv2es.${name}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`fv2es.${name}`, value);
    } catch {
      // It lasts as long as the page, then.
    }
  },
};
