// Takes as rows: number, waveform, what was measured, whether it is circled. Only rows in view are
// in the document. Knows nothing about playing or changing takes.

import { drawPeaks, Peaks } from "/static/peaks.js";
import { element } from "/static/sliders.js";
import { decibels, seconds, times } from "/static/units.js";
import { VirtualList } from "/static/virtual.js";

const ROW_REM = 3.4;
const MAX_RATING = 5;
const STATES = {
  queued: "waiting its turn…", open: "being made…", cancelled: "cancelled", failed: "failed", refused: "refused",
};
const VARIED = {
  pace: (x) => `pace ${times(x)}`,
  emotion: (x) => `emotion ${typeof x === "object" ? Object.values(x).join(" ") : x}`,
};

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });

/** "T3"; a take of no line goes by when it was made. */
export function takeName(take) {
  return take.number === null ? CLOCK.format(new Date(take.created_at)) : `T${take.number}`;
}

export function variedText(take) {
  return Object.entries(take.varied ?? {}).filter(([name]) => name !== "seed").map(([name, x]) =>
    VARIED[name]?.(x) ?? `${name.replaceAll("_", " ")} ${typeof x === "number" ? Number(x.toFixed(2)) : x}`).join(", ");
}

/** Whether two texts have the same letters and figures: a take of an older wording says so. */
function sameWords(a, b) {
  const words = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  return b === undefined || words(a) === words(b);
}

function againButton(take) {
  const button = Object.assign(element("button", "again", "Send again"), { type: "button" });
  button.setAttribute("aria-label", `Send again what was not kept of ${takeName(take)}`);
  return button;
}

export class TakeList {
  /** find(id) -> element; lineOf(take) -> its line or null;
   *  onChoose(id, {atShare}): a row was chosen, with a place in its waveform if it was that;
   *  onCircle(id); onAgain(id): send what was not kept of it; onEnd(): more takes may be wanted.
   */
  constructor({ find, lineOf, onChoose, onCircle, onAgain, onEnd }) {
    Object.assign(this, { lineOf, onChoose, onCircle, onAgain, chosen: null, other: null, withLines: false });
    this.box = find("take-list");
    this.peaks = new Peaks();
    this.unkept = new Map(); // take id -> [{text: what the service did not take of it, again}]
    this.scaleS = 1; // what the width of a waveform stands for
    const remPx = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.list = new VirtualList({
      scroller: this.box,
      rows: this.box.querySelector(".rows"),
      heightOf: () => ROW_REM * remPx,
      keyOf: (take) => take.id,
      build: () => this.build(),
      fill: (row, take, n) => this.fill(row, take, n),
      onEnd,
    });
    this.rowPx = ROW_REM * remPx;
    this.box.addEventListener("click", (event) => this.onClick(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(this.box);
  }

  get takes() {
    return this.list.items;
  }

  /** Shows these; `withLines` where they are not all of one line. */
  show(takes, withLines = false) {
    this.withLines = withLines;
    this.scaleS = Math.max(1, ...takes.map((take) => take.duration_s ?? 0));
    this.list.set(takes);
  }

  showTake(take) {
    const n = this.list.indices.get(take.id);
    if (n === undefined) return;
    const before = this.list.items[n];
    this.list.items[n] = take;
    if ((take.duration_s ?? 0) > this.scaleS) {
      this.scaleS = take.duration_s;
      this.redraw();
    }
    this.list.refresh(take.id);
  }

  /** Says in a take's row what the service did not take; null: no more of that. `again()` sends it
   *  once more -> promise; without it there is another way.
   */
  tell(id, text, again = null) {
    if (text === null && !this.unkept.delete(id)) return;
    const others = (this.unkept.get(id) ?? []).filter((other) => other.text !== text);
    if (text !== null) this.unkept.set(id, [...others, { text, again }]);
    if (this.list.indices.has(id)) this.list.refresh(id);
  }

  unkeptOf(id) {
    return (this.unkept.get(id) ?? []).map(({ text }) => text);
  }

  /** How to send once more what was not kept of a take, in the order it was said. */
  againOf(id) {
    return (this.unkept.get(id) ?? []).map(({ again }) => again).filter((again) => again !== null);
  }

  /** Which one is chosen (A), and which is the other one (B). */
  select(chosen, other) {
    const changed = new Set([this.chosen, this.other, chosen, other]);
    [this.chosen, this.other] = [chosen, other];
    for (const id of changed) if (id !== null) this.list.refresh(id);
    const n = this.list.indices.get(chosen);
    if (n !== undefined) this.list.reveal(n);
  }

  /** The place that is heard, in the chosen row. */
  moveTo(timeS) {
    const row = this.list.shown.get(this.chosen);
    if (!row) return;
    const xPx = Math.round(timeS / this.scaleS * row.parts.canvas.clientWidth);
    if (row.parts.head.at === xPx) return;
    row.parts.head.at = xPx;
    row.parts.head.style.transform = `translateX(${xPx}px)`;
  }

  redraw() {
    for (const [id, row] of this.list.shown) this.draw(row, this.list.items[this.list.indices.get(id)]);
  }

  focus(id) {
    this.list.shown.get(id)?.parts.pick.focus();
  }

  // --- rows ---

  build() {
    const row = element("li", "take-row");
    const pick = Object.assign(element("button", "pick"), { type: "button" });
    const number = element("span", "number");
    const badge = element("span", "badge");
    pick.append(number, badge);
    const mini = element("div", "mini");
    const canvas = element("canvas");
    const head = element("span", "head");
    mini.append(canvas, head);
    const sub = element("p", "sub");
    const facts = element("span", "facts");
    const stars = element("span", "stars");
    const circle = Object.assign(element("button", "circle-mark"), { type: "button" });
    row.append(pick, mini, sub, facts, stars, circle);
    return Object.assign(row, { parts: { pick, number, badge, canvas, head, mini, sub, facts, stars, circle }, drawn: "" });
  }

  fill(row, take, n) {
    const { pick, number, badge, head, sub, facts, stars, circle } = row.parts;
    const isChosen = take.id === this.chosen;
    const letter = isChosen ? "A" : take.id === this.other ? "B" : "";
    row.dataset.take = take.id;
    row.dataset.state = take.state;
    row.toggleAttribute("data-chosen", isChosen);
    if (isChosen) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
    number.textContent = takeName(take);
    badge.textContent = letter;
    badge.dataset.letter = letter;
    head.hidden = !isChosen;
    facts.textContent = this.factsOf(take);
    stars.textContent = "★".repeat(take.rating ?? 0);
    this.fillSub(sub, take);
    circle.textContent = take.circled ? "◉" : "○";
    circle.disabled = take.state !== "complete";
    circle.setAttribute("aria-pressed", String(take.circled));
    circle.setAttribute("aria-label", `Circle ${takeName(take)}`);
    pick.tabIndex = circle.tabIndex = isChosen || (this.chosen === null && n === 0) ? 0 : -1;
    pick.setAttribute("aria-label", this.labelOf(take, letter));
    this.draw(row, take);
  }

  factsOf(take) {
    if (take.duration_s === null || take.state !== "complete") return "";
    const lufs = take.measured?.loudness_lufs;
    return seconds(take.duration_s) + (typeof lufs === "number" ? `  ${decibels(lufs).replace("dB", "LUFS")}` : "");
  }

  labelOf(take, letter) {
    const line = this.withLines && this.lineOf(take);
    return [
      takeName(take), line && `of ${line.cue || `line ${line.number}`}`, letter, STATES[take.state], this.factsOf(take),
      take.circled && "circled", take.rating && `rated ${take.rating} of ${MAX_RATING}`,
      take.flags.length > 0 && `flagged: ${take.flags.join(", ")}`, take.note, ...this.unkeptOf(take.id),
    ].filter(Boolean).join(", ");
  }

  fillSub(sub, take) {
    const line = this.withLines ? this.lineOf(take) : null;
    let about = this.withLines ? `${line ? `${line.cue || line.number} · ` : ""}${take.text}` : "";
    if (!this.withLines && !sameWords(take.text, this.lineOf(take)?.text)) about = `“${take.text}”`;
    const parts = [
      ...this.unkeptOf(take.id).map((what) => ["unkept", what]),
      ...take.flags.map((flag) => ["flag", `⚑ ${flag.replaceAll("_", " ")}`]),
      ["state", STATES[take.state] ? `${STATES[take.state]}${take.reason ? ` ${take.reason}` : ""}` : ""],
      ["kind", take.parent ? "retake" : ""], ["varied", variedText(take)],
      ["said", about], ["remark", take.note], ...take.tags.map((tag) => ["tag-mark", tag]),
    ].filter(([, text]) => text);
    const key = JSON.stringify([parts, this.againOf(take.id).length]);
    if (sub.dataset.key === key) return;
    sub.dataset.key = key;
    sub.replaceChildren(...parts.map(([name, text]) => element("span", name, text)));
    if (this.againOf(take.id).length > 0) sub.prepend(againButton(take));
  }

  draw(row, take) {
    const { canvas } = row.parts;
    const peaks = take.state === "complete" ? this.peaks.get(take.id) : null;
    if (peaks === undefined) this.peaks.ask(take.id, () => this.list.refresh(take.id));
    const color = getComputedStyle(row).getPropertyValue(take.id === this.chosen ? "--wave" : "--wave-quiet").trim();
    const key = `${take.id} ${peaks ? 1 : 0} ${color} ${canvas.clientWidth} ${this.scaleS}`;
    if (row.drawn === key) return;
    row.drawn = key;
    if (peaks) drawPeaks(canvas, peaks, { color, durationS: take.duration_s, scaleS: this.scaleS });
    else canvas.width = canvas.width; // a canvas that is set its width is empty
  }

  onClick(event) {
    const row = event.target.closest(".take-row");
    if (!row) return;
    const { take: id } = row.dataset;
    const { circle, canvas } = row.parts;
    if (circle.contains(event.target)) this.onCircle(id);
    else if (event.target.closest(".again")) {
      row.parts.pick.focus(); // the button goes
      this.onAgain(id);
    }
    else if (event.target.closest(".mini")) {
      const box = canvas.getBoundingClientRect();
      this.onChoose(id, { atS: (event.clientX - box.left) / box.width * this.scaleS });
    } else this.onChoose(id, {});
  }
}
