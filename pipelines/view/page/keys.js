// The keyboard: what each key does, in the order in which the help shows it.

import { byId, el, remembered } from "./dom.js";

let bindings = []; // { group, keys, shown, does, run }

/** Replace what the keys do: each screen has its own. */
export function bind(list) {
  bindings = list;
}

export const keysAreOn = () => remembered.get("keys", "on") === "on";

export function listen() {
  document.addEventListener("keydown", (event) => {
    const help = byId("help");
    if (help.open) return;
    // What had the focus in the help has it until the next frame, though it can't be seen any more.
    const target = help.contains(event.target) ? document.body : event.target;
    const typing = target.closest?.("input[type=search], input[type=text], select, textarea");
    if (typing && event.key !== "Escape") return;
    if (event.altKey || event.metaKey) return;
    const name = `${event.ctrlKey ? "Ctrl+" : ""}${event.shiftKey && event.key.length > 1 ? "Shift+" : ""}${event.key}`;
    const found = bindings.find((binding) => binding.keys.includes(name));
    if (!found || (event.key.length === 1 && !event.ctrlKey && !keysAreOn())) return;
    // Keys that a focused control needs for itself stay its own.
    if ([" ", "Enter"].includes(event.key) && target.closest?.("button, a, summary, [type=checkbox]")) return;
    if (event.key.startsWith("Arrow") && target.closest?.("input[type=range], video, [data-arrows]")) return;
    if (event.key === " " && target.closest?.("video")) return;
    event.preventDefault();
    found.run(event);
  });
  byId("help-button").addEventListener("click", showHelp);
}

/** The help, with a switch for keys of a single character: they are in the way of who speaks to the computer. */
export function showHelp() {
  const dialog = byId("help");
  const groups = Map.groupBy
    ? Map.groupBy(bindings, (binding) => binding.group)
    : bindings.reduce((map, item) => map.set(item.group, [...(map.get(item.group) ?? []), item]), new Map());
  const change = (event) => remembered.set("keys", event.target.checked ? "on" : "off");
  dialog.replaceChildren(
    el("h2", { id: "help-title" }, "Keyboard"),
    ...[...groups].flatMap(([group, items]) => [
      el("h3", {}, group),
      el("dl", { className: "keys" }, items.map((item) => el("div", {}, el("dt", {}, caps(item)), el("dd", {}, item.does)))),
    ]),
    el(
      "label",
      { className: "check" },
      el("input", { type: "checkbox", checked: keysAreOn(), onchange: change }),
      "Keys of one letter or digit are on",
    ),
    el("form", { method: "dialog" }, el("button", { type: "submit", autofocus: true }, "Close")),
  );
  dialog.showModal();
}

const caps = (item) => item.shown.split(" ").map((key) => el("kbd", {}, key));
