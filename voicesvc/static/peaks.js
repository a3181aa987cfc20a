// Waveforms of rows, drawn from the peaks that the service has of every take: no take is decoded
// for it. Knows nothing about rows.

import { fetchPeaks } from "/static/records.js";

const HELD = 600; // takes whose peaks are in memory
const AT_ONCE = 4; // requests
const FULL_SCALE = 127;

export class Peaks {
  constructor() {
    this.held = new Map(); // id -> {points, min, max}, or null where there are none
    this.asked = new Map(); // id -> whom to tell, the newest last
    this.running = 0;
  }

  get(id) {
    return this.held.get(id);
  }

  /** Gets peaks, the last asked for first: those are the rows in view now. */
  ask(id, onCome) {
    if (this.held.has(id)) return;
    const others = this.asked.get(id) ?? [];
    this.asked.delete(id);
    this.asked.set(id, [...others, onCome]);
    this.next();
  }

  /** A row that is out of view again needs none. */
  drop(id) {
    this.asked.delete(id);
  }

  async next() {
    const last = [...this.asked].at(-1);
    if (last === undefined || this.running >= AT_ONCE) return;
    const [id, told] = last;
    this.asked.delete(id);
    this.running += 1;
    const peaks = await fetchPeaks(id).catch(() => null);
    this.running -= 1;
    this.held.set(id, peaks);
    if (this.held.size > HELD) this.held.delete(this.held.keys().next().value);
    for (const tell of told) tell();
    this.next();
  }
}

/** Draws peaks of a take of `durationS`; the canvas is as wide as `scaleS`. */
export function drawPeaks(canvas, { points, min, max }, { color, durationS, scaleS }) {
  const scale = devicePixelRatio || 1;
  const [widthPx, heightPx] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (canvas.width !== widthPx) canvas.width = widthPx;
  if (canvas.height !== heightPx) canvas.height = heightPx;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, widthPx, heightPx);
  pen.fillStyle = color;
  const usedPx = Math.min(widthPx, Math.round(widthPx * durationS / scaleS));
  const half = heightPx / 2;
  for (let x = 0; x < usedPx; x++) {
    const first = Math.floor(x * points / usedPx);
    const end = Math.max(first + 1, Math.floor((x + 1) * points / usedPx));
    let [low, high] = [0, 0];
    for (let n = first; n < end; n++) {
      if (min[n] < low) low = min[n];
      if (max[n] > high) high = max[n];
    }
    const topPx = Math.round(half - high / FULL_SCALE * half);
    pen.fillRect(x, topPx, 1, Math.max(1, Math.round(half - low / FULL_SCALE * half) - topPx));
  }
}
