// The lane under the words: each word a block as wide as it lasts and as high as it is pitched,
// its phonemes inside, and the pause after it below. Turns drags and keys into edits of words.
// Knows nothing about plans, requests or sound.

import { element } from "/static/sliders.js";

const ST_PX = 5;
const TOP_ST = 8; // the highest pitch there is room for
const BOTTOM_ST = -4;
const DRAG_PX = 3; // below this it is a click
const SYMBOL_PX = 9; // narrower phonemes go without their sign
const PAUSE_STEP_MS = 300;

/** What a key does to a word: its edit as it is, whether Shift is held -> what to change. */
const KEYS = {
  ArrowLeft: (edit, fine) => ({ stretch: edit.stretch * (fine ? 0.99 : 0.95) }),
  ArrowRight: (edit, fine) => ({ stretch: edit.stretch * (fine ? 1.01 : 1.05) }),
  ArrowUp: (edit, fine) => ({ pitchSt: edit.pitchSt + (fine ? 0.1 : 0.5) }),
  ArrowDown: (edit, fine) => ({ pitchSt: edit.pitchSt - (fine ? 0.1 : 0.5) }),
  "+": (edit) => ({ energyDb: edit.energyDb + 1 }),
  "=": (edit) => ({ energyDb: edit.energyDb + 1 }),
  "-": (edit) => ({ energyDb: edit.energyDb - 1 }),
  _: (edit) => ({ energyDb: edit.energyDb - 1 }),
  p: (edit, fine) => ({ pauseMs: edit.pauseMs + (fine ? -PAUSE_STEP_MS : PAUSE_STEP_MS) }),
  s: (edit) => ({ stress: !edit.stress }),
};
const tidy = (x) => Math.round(x * 1e6) / 1e6; // 0.1 + 0.2 is 0.3 here

export class Lane {
  /** onEdit(index, change, what): a word's edit is to change; onReset(index): to go;
   *  onFocus(index): a word was pointed at or reached by key.
   */
  constructor({ lane, onEdit, onReset, onFocus }) {
    Object.assign(this, { lane, onEdit, onReset, onFocus, pxPerS: 1, drag: null });
    const zero = element("div", "lane-zero");
    zero.style.top = `${TOP_ST * ST_PX}px`;
    this.rows = element("div");
    this.rows.setAttribute("role", "list");
    lane.append(zero, this.rows);
    lane.style.setProperty("--lane-pitch", `${(TOP_ST - BOTTOM_ST) * ST_PX}px`);
    this.clear();
  }

  clear() {
    this.words = [];
    this.edits = [];
    this.parts = [];
    this.rows.replaceChildren();
  }

  /** Shows words (a layout with `label`) and their edits (`edited`: whether there is one). */
  show(words, edits) {
    const texts = (list) => list.map((w) => `${w.text}\0${w.phonemes.length}`).join("\0");
    if (texts(words) !== texts(this.words)) {
      this.parts = words.map((word, index) => this.build(word, index));
      this.rows.replaceChildren(...this.parts.map(({ item }) => item));
    }
    [this.words, this.edits] = [words, edits];
    this.place();
  }

  layout(pxPerS) {
    if (pxPerS === this.pxPerS) return;
    this.pxPerS = pxPerS;
    this.place();
  }

  focus(index) {
    this.parts[index]?.block.focus();
  }

  build(word, index) {
    const item = element("div", "lane-word");
    item.setAttribute("role", "listitem");
    const block = Object.assign(element("button", "block"), { type: "button" });
    block.setAttribute("aria-keyshortcuts",
      "ArrowLeft ArrowRight ArrowUp ArrowDown + - P B S Delete");
    block.setAttribute("aria-describedby", "lane-help");
    const signs = word.phonemes.map(() => element("span"));
    const body = element("span", "body"); // moves with the pitch; the block is all its height
    body.append(...signs);
    block.append(body);
    const edge = element("div", "edge");
    const pause = element("div", "pause");
    const grip = element("div", "grip");
    edge.title = `Drag: how long “${word.text}” lasts`;
    grip.title = `Drag: the pause after “${word.text}”`;
    pause.append(grip);
    item.append(block, edge, pause);
    block.addEventListener("click", () => {
      if (this.drag === "done") this.drag = null; // the end of a drag is no click
      else this.onEdit(index, { stress: !this.edits[index].edit.stress }, "stress");
    });
    block.addEventListener("dblclick", () => this.onReset(index));
    block.addEventListener("keydown", (event) => this.onKey(event, index));
    block.addEventListener("focus", () => this.onFocus(index));
    this.dragged(block, index, "pitch", (edit, _, dyPx) => ({ pitchSt: edit.pitchSt - dyPx / ST_PX }));
    this.dragged(edge, index, "duration", (edit, dxPx, _, from) => {
      const longerMs = 1000 * dxPx / this.pxPerS;
      return { stretch: edit.stretch * Math.max(0.05, 1 + longerMs / from.durationMs) };
    });
    this.dragged(grip, index, "pause", (edit, dxPx, _, from) => ({
      pauseMs: edit.pauseMs + Math.max(1000 * dxPx / this.pxPerS, -from.pauseMs),
    }));
    return { item, block, body, signs, edge, pause };
  }

  /** Lets a part be dragged; `change` gets the edit and the word as they were, and the way gone. */
  dragged(part, index, what, change) {
    let from = null;
    part.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.drag = null;
      from = { x: event.clientX, y: event.clientY, edit: this.edits[index].edit, word: this.words[index] };
      part.setPointerCapture(event.pointerId);
      this.onFocus(index);
    });
    part.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const [dxPx, dyPx] = [event.clientX - from.x, event.clientY - from.y];
      const gonePx = what === "pitch" ? Math.abs(dyPx) : Math.abs(dxPx);
      if (this.drag === null && gonePx < DRAG_PX) return;
      this.drag = what;
      this.lane.dataset.dragging = what;
      this.edit(index, change(from.edit, dxPx, dyPx, from.word), what);
    });
    const end = (clicks) => {
      if (from !== null && this.drag !== null) this.drag = clicks && what === "pitch" ? "done" : null;
      from = null;
      delete this.lane.dataset.dragging;
    };
    part.addEventListener("pointerup", () => end(true));
    part.addEventListener("pointercancel", () => end(false));
  }

  edit(index, change, what) {
    const tidied = Object.entries(change).map(([name, x]) => [name, typeof x === "number" ? tidy(x) : x]);
    this.onEdit(index, Object.fromEntries(tidied), what);
  }

  onKey(event, index) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const { edit } = this.edits[index];
    if (key === "Delete" || key === "Backspace") this.onReset(index);
    else if (key === "b") this.edit(index, { breath: this.words[index].breath ? false : true }, "breath");
    else if (KEYS[key]) this.edit(index, KEYS[key](edit, event.shiftKey), key);
    else return;
    event.preventDefault();
  }

  place() {
    this.words.forEach((word, n) => {
      const { item, block, body, signs, edge, pause } = this.parts[n];
      const { edit, isEdited } = this.edits[n];
      const px = (s) => s * this.pxPerS;
      const pitchSt = Math.min(Math.max(word.pitchSt, BOTTOM_ST), TOP_ST);
      item.style.left = `${px(word.startS)}px`;
      block.style.width = `${px(word.endS - word.startS)}px`;
      body.style.top = `${(TOP_ST - pitchSt) * ST_PX}px`;
      edge.style.left = pause.style.left = `${px(word.endS - word.startS)}px`;
      pause.style.width = `${px(word.pauseEndS - word.endS)}px`;
      pause.dataset.breath = String(word.breath);
      item.dataset.edited = String(isEdited);
      item.dataset.text = word.text;
      block.setAttribute("aria-pressed", String(edit.stress));
      block.setAttribute("aria-label", word.label);
      block.title = word.label;
      word.phonemes.forEach((p, i) => {
        const widthPx = px(p.endS - p.startS);
        signs[i].style.width = `${widthPx}px`;
        signs[i].textContent = widthPx >= SYMBOL_PX ? p.symbol : "";
      });
    });
  }
}
