// The script: one production's lines by scene, found by words or by what has become of them.
// Only rows in view are in the document. Knows nothing about takes but their count.

import { element } from "/static/sliders.js";
import { VirtualList } from "/static/virtual.js";

const FILTERS = {
  all: { label: "all lines", has: () => true },
  empty: { label: "without takes", has: (line) => line.takes.total === 0 },
  open: { label: "none circled yet", has: (line) => line.takes.total > 0 && line.takes.circled === 0 },
  circled: { label: "circled", has: (line) => line.takes.circled > 0 },
  flagged: { label: "flagged", has: (line) => line.flagged },
  making: { label: "being made", has: (line) => line.takes.waiting > 0 },
};
const LINE_REM = 3.1;
const SCENE_REM = 1.9;
const SETTLE_MS = 90; // a line is opened once the arrow keys rest on it

const said = {
  circled: () => "circled",
  making: (line) => `${line.takes.waiting} being made`,
  takes: (line) => `${line.takes.total} takes, none circled`,
  empty: () => "no take yet",
};
const marks = { circled: "◉", making: "…", takes: "", empty: "" };

export class Script {
  /** find(id) -> element; onChoose(lineId): a line is to be worked on. */
  constructor({ find, onChoose }) {
    Object.assign(this, { find, onChoose, lines: [], chosen: null, at: -1, settling: 0 });
    this.box = find("lines");
    this.search = find("line-search");
    this.filter = find("line-filter");
    this.filter.replaceChildren(...Object.entries(FILTERS).map(([key, { label }]) => new Option(label, key)));
    const remPx = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.list = new VirtualList({
      scroller: this.box,
      rows: this.box.querySelector(".rows"),
      heightOf: (item) => (item.line ? LINE_REM : SCENE_REM) * remPx,
      keyOf: (item) => item.line?.id ?? item.key,
      build: () => this.build(),
      fill: (row, item, n) => this.fill(row, item, n),
    });
    this.search.addEventListener("input", () => this.sift());
    this.filter.addEventListener("change", () => this.sift());
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") this.box.focus();
      else return;
      event.preventDefault();
    });
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.box.addEventListener("click", ({ target }) => {
      const id = target.closest("[data-line]")?.dataset.line;
      if (id) this.choose(id);
    });
    this.sift();
  }

  show(lines) {
    this.lines = lines;
    this.sift();
  }

  /** One line is not as it was. */
  showLine(line) {
    const at = this.list.indices.get(line.id);
    const before = this.list.items[at]?.line;
    if (before === undefined || FILTERS[this.filter.value].has(before) !== FILTERS[this.filter.value].has(line)
        || before.scene !== line.scene) {
      this.sift();
      return;
    }
    this.list.items[at] = { line };
    this.list.refresh(line.id);
    this.tell();
  }

  sift() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const { has } = FILTERS[this.filter.value];
    const holds = (line) => {
      if (!has(line)) return false;
      if (words.length === 0) return true;
      const all = `${line.text} ${line.character || ""} ${line.cue || ""} ${line.actor} ${line.number}`.toLowerCase();
      return words.every((word) => all.includes(word));
    };
    const items = [];
    let scene;
    this.found = 0;
    for (const line of this.lines) {
      if (!holds(line)) continue;
      this.found += 1;
      if (line.scene !== scene) {
        scene = line.scene;
        items.push({ key: `scene before ${line.id}`, scene });
      }
      items.push({ line });
    }
    this.list.set(items);
    this.find("script-empty").hidden = this.lines.length > 0;
    this.box.hidden = this.lines.length === 0;
    this.tell();
  }

  tell() {
    const circled = this.lines.filter((line) => line.takes.circled > 0).length;
    const all = this.lines.length;
    const shown = this.found === all ? `${all} lines` : `${this.found} of ${all} lines`;
    this.find("line-count").textContent = all === 0 ? "" : `${shown}, ${circled} circled`;
  }

  build() {
    const row = element("div");
    const [mark, number, by, text, count] = ["mark", "number", "by", "said", "count"].map((c) => element("span", c));
    row.append(mark, number, by, text, count);
    Object.assign(row, { parts: { mark, number, by, text, count } });
    return row;
  }

  fill(row, { line, scene }, n) {
    const { mark, number, by, text, count } = row.parts;
    row.className = line ? "script-line" : "script-scene";
    if (!line) {
      row.removeAttribute("id");
      delete row.dataset.line;
      row.setAttribute("role", "presentation");
      for (const name of ["aria-selected", "aria-label"]) row.removeAttribute(name);
      for (const part of [mark, number, by, count]) part.textContent = "";
      text.textContent = !scene ? "No scene" : `Scene ${scene}`;
      return;
    }
    row.id = `line-${line.id}`;
    row.dataset.line = line.id;
    row.dataset.status = line.status;
    row.dataset.flagged = String(line.flagged);
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(line.id === this.chosen));
    row.setAttribute("aria-label", [
      line.cue || `line ${line.number}`, line.character, line.text, said[line.status]?.(line), line.flagged && "flagged",
    ].filter(Boolean).join(", "));
    mark.textContent = line.flagged && line.status !== "circled" ? "⚑" : marks[line.status] ?? "";
    number.textContent = line.cue || line.number;
    by.textContent = line.character || line.actor;
    text.textContent = line.text;
    count.textContent = line.takes.total || "";
  }

  // --- choosing ---

  choose(id) {
    this.select(id);
    clearTimeout(this.settling);
    this.onChoose(id);
  }

  /** Shows which line is worked on; tells nobody. */
  select(id) {
    const before = this.chosen;
    this.chosen = id;
    if (before !== null) this.list.refresh(before);
    if (id === null) this.box.removeAttribute("aria-activedescendant");
    else {
      const n = this.list.indices.get(id);
      if (n !== undefined) this.list.reveal(n);
      this.list.refresh(id);
      this.box.setAttribute("aria-activedescendant", `line-${id}`);
    }
  }

  /** Goes `by` lines on in what is shown; beyond the ends it stays there. */
  move(by) {
    const { items } = this.list;
    let n = this.list.indices.get(this.chosen) ?? (by > 0 ? -1 : items.length);
    for (let left = Math.abs(by); left > 0;) {
      const next = n + Math.sign(by);
      if (next < 0 || next >= items.length) break;
      n = next;
      if (items[n].line) left -= 1;
    }
    if (n >= 0 && items[n]?.line === undefined) n += 1; // never rests on a scene
    const line = items[n]?.line;
    if (line === undefined || line.id === this.chosen) return;
    this.select(line.id);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.onChoose(line.id), SETTLE_MS);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const screen = Math.max(1, Math.floor(this.box.clientHeight / 50));
    const moves = { ArrowUp: -1, ArrowDown: 1, PageUp: -screen, PageDown: screen, Home: -Infinity, End: Infinity };
    const by = moves[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.move(Math.abs(by) === Infinity ? Math.sign(by) * this.list.items.length : by);
  }
}
