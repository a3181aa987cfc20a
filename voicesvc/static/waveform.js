// Draws a take's peaks, time ruler and playhead; turns a click into a time.
// Knows nothing about playback or words, only about samples, seconds and pixels.

const BUCKET_SAMPLES = 32;
const MIN_PX_PER_S = 160; // below this the words under the wave would not fit
const MIN_VIEW_S = 3;
const RULER_PX = 18;
const TICKS_S = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** Where a key takes the playhead, in seconds; null where it takes it nowhere. */
export function seekKey(event, playheadS, durationS) {
  const stepS = event.shiftKey ? 1 : 0.1;
  const toS = {
    ArrowLeft: playheadS - stepS, ArrowRight: playheadS + stepS, Home: 0, End: durationS,
  }[event.key];
  if (toS === undefined || durationS === 0 || event.ctrlKey || event.metaKey || event.altKey) return null;
  event.preventDefault();
  return Math.min(Math.max(0, toS), durationS);
}

export class Waveform {
  /** strip: as wide as the take; scroller: the window on it; canvas: stays in the window. */
  constructor({ canvas, strip, scroller, sampleRateHz, onSeek, onLayout }) {
    Object.assign(this, { canvas, strip, scroller, sampleRateHz, onSeek, onLayout, isShown: true });
    this.pen = canvas.getContext("2d");
    this.clear();
    new ResizeObserver(() => this.layout()).observe(scroller);
    scroller.addEventListener("scroll", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && this.lengthSamples > 0) onSeek(this.timeAt(event.offsetX));
    });
    canvas.addEventListener("keydown", (event) => {
      const toS = seekKey(event, this.playheadS, this.durationS);
      if (toS !== null) onSeek(toS);
    });
  }

  get durationS() {
    return this.lengthSamples / this.sampleRateHz;
  }

  clear() {
    this.peaks = new Float32Array(2 * 4096); // min, max of each bucket
    this.lengthSamples = 0;
    this.expectedS = 0;
    this.isPlanned = false;
    this.isComplete = false;
    this.playheadS = 0;
    this.scroller.scrollLeft = 0;
    this.layout();
  }

  push(samples) {
    const buckets = Math.ceil((this.lengthSamples + samples.length) / BUCKET_SAMPLES);
    if (2 * buckets > this.peaks.length) {
      const larger = new Float32Array(4 * buckets);
      larger.set(this.peaks);
      this.peaks = larger;
    }
    const { peaks } = this;
    for (let i = 0; i < samples.length; i++) {
      const at = 2 * Math.floor((this.lengthSamples + i) / BUCKET_SAMPLES);
      peaks[at] = Math.min(peaks[at], samples[i]);
      peaks[at + 1] = Math.max(peaks[at + 1], samples[i]);
    }
    this.lengthSamples += samples.length;
    this.layout();
  }

  complete() {
    this.isComplete = true;
    this.layout();
  }

  /** The take will last at least this long, or exactly; words are planned before they are heard. */
  expect(endS, exactly = false) {
    this.expectedS = endS;
    this.isPlanned = exactly;
    this.layout();
  }

  /** What is shown: a finished take, or what is there and expected with room to grow. */
  get shownS() {
    return this.isComplete ? this.durationS : Math.max(this.durationS, this.expectedS);
  }

  /** While the take grows the view doubles now and then; one whose length is known fills it. */
  viewS() {
    if ((this.isComplete || this.isPlanned) && this.shownS > 0) return this.shownS;
    let viewS = MIN_VIEW_S;
    while (viewS < this.shownS) viewS *= 2;
    return viewS;
  }

  layout() {
    if (!this.isShown) return;
    const widthPx = this.scroller.clientWidth;
    this.pxPerS = Math.max(MIN_PX_PER_S, widthPx / this.viewS());
    this.strip.style.width = `${Math.max(widthPx, Math.ceil(this.shownS * this.pxPerS))}px`;
    this.canvas.style.width = `${widthPx}px`;
    this.onLayout(this.pxPerS);
    this.draw();
  }

  timeAt(offsetXPx) {
    const timeS = (this.scroller.scrollLeft + offsetXPx) / this.pxPerS;
    return Math.min(Math.max(0, timeS), this.durationS);
  }

  moveTo(playheadS, isPlaying) {
    this.playheadS = playheadS;
    const leftPx = this.scroller.scrollLeft;
    const xPx = playheadS * this.pxPerS;
    const outside = xPx < leftPx || xPx > leftPx + this.scroller.clientWidth * 0.9;
    if (isPlaying && outside) this.scroller.scrollLeft = xPx - this.scroller.clientWidth * 0.1;
    this.draw();
  }

  draw() {
    const { canvas, pen } = this;
    const scale = devicePixelRatio || 1;
    const widthPx = Math.round(this.scroller.clientWidth * scale);
    const heightPx = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== widthPx || canvas.height !== heightPx) {
      canvas.width = widthPx;
      canvas.height = heightPx;
    }
    const css = getComputedStyle(canvas);
    const color = (name) => css.getPropertyValue(name).trim();
    pen.clearRect(0, 0, widthPx, heightPx);
    this.drawRuler(scale, widthPx, heightPx, color);
    if (this.lengthSamples === 0) return;
    this.drawPeaks(scale, widthPx, heightPx, color);
    pen.fillStyle = color("--playhead");
    const x = Math.round((this.playheadS * this.pxPerS - this.scroller.scrollLeft) * scale);
    pen.fillRect(Math.min(x, widthPx - 2), 0, Math.max(1, Math.round(1.5 * scale)), heightPx);
  }

  drawRuler(scale, widthPx, heightPx, color) {
    const { pen } = this;
    const tickS = TICKS_S.find((s) => s * this.pxPerS >= 60) ?? TICKS_S.at(-1);
    const leftS = this.scroller.scrollLeft / this.pxPerS;
    const rightS = leftS + widthPx / scale / this.pxPerS;
    pen.font = `${11 * scale}px system-ui, sans-serif`;
    pen.textBaseline = "middle";
    for (let n = Math.ceil(leftS / tickS); n * tickS <= rightS; n++) {
      const x = Math.round((n * tickS - leftS) * this.pxPerS * scale);
      pen.fillStyle = color("--grid");
      pen.fillRect(x, 0, Math.max(1, Math.round(scale / 2)), heightPx);
      pen.fillStyle = color("--muted");
      pen.fillText(`${(n * tickS).toFixed(tickS < 0.1 ? 2 : tickS < 1 ? 1 : 0)} s`, x + 4 * scale, RULER_PX / 2 * scale);
    }
    pen.fillStyle = color("--grid");
    pen.fillRect(0, Math.round((RULER_PX * scale + heightPx) / 2), widthPx, 1);
  }

  drawPeaks(scale, widthPx, heightPx, color) {
    const { pen, peaks } = this;
    const topPx = RULER_PX * scale;
    const halfPx = (heightPx - topPx) / 2;
    const middlePx = topPx + halfPx;
    const bucketsPerPx = this.sampleRateHz / this.pxPerS / BUCKET_SAMPLES / scale;
    const leftPx = this.scroller.scrollLeft * scale;
    const buckets = Math.ceil(this.lengthSamples / BUCKET_SAMPLES);
    const playedPx = this.playheadS * this.pxPerS * scale - leftPx;
    const [played, ahead] = [color("--wave-played"), color("--wave")];
    for (let x = 0; x < widthPx; x++) {
      const first = Math.floor((leftPx + x) * bucketsPerPx);
      if (first >= buckets) break;
      const end = Math.min(buckets, Math.max(first + 1, Math.floor((leftPx + x + 1) * bucketsPerPx)));
      let [low, high] = [0, 0];
      for (let b = first; b < end; b++) {
        low = Math.min(low, peaks[2 * b]);
        high = Math.max(high, peaks[2 * b + 1]);
      }
      pen.fillStyle = x < playedPx ? played : ahead;
      const fromPx = Math.round(middlePx - high * halfPx); // whole pixels: silence is a line, not a haze
      const toPx = Math.round(middlePx - low * halfPx);
      pen.fillRect(x, fromPx, 1, Math.max(1, toPx - fromPx));
    }
  }
}
