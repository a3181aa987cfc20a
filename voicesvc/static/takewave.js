// The waveform of a kept take, its ruler, words and spectrogram, by wavesurfer.js.
// Knows nothing about playing: it shows where playback is and says where it was pointed at.

import WaveSurfer from "/static/vendor/wavesurfer/wavesurfer.esm.js";
import Regions from "/static/vendor/wavesurfer/plugins/regions.esm.js";
import Timeline from "/static/vendor/wavesurfer/plugins/timeline.esm.js";

import { seconds } from "/static/units.js";
import { seekKey } from "/static/waveform.js";

const MIN_PX_PER_S = 160; // below this the words under the wave would not fit
const HEIGHT_PX = 140; // its stylesheet depends on it, and the page's policy on that: see api/app.py
const RULER_PX = 18;
const TICK_S = 0.5;
const FULL_SCALE = 127;
const SPECTROGRAM = "/static/vendor/wavesurfer/plugins/spectrogram.esm.js"; // fetched when it is asked for
const SPECTROGRAM_PX = 150;
const TOP_HZ = 11_025;

export class TakeWave {
  /** box: where it is drawn; strip: as wide as the take; scroller: the window on it;
   *  onSeek(timeS); onLoop({startS, endS}): a stretch was dragged over; onLayout(pxPerS).
   */
  constructor({ box, spectrogram, strip, scroller, onSeek, onLoop, onLayout }) {
    Object.assign(this, { box, spectrogram, strip, scroller, onSeek, onLoop, onLayout });
    Object.assign(this, { durationS: 0, playheadS: 0, isShown: false, samples: null });
    this.surfer = null;
    new ResizeObserver(() => this.layout()).observe(scroller);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolor());
    box.addEventListener("keydown", (event) => {
      const toS = seekKey(event, this.playheadS, this.durationS);
      if (toS !== null) onSeek(toS);
    });
  }

  open() {
    this.regions = Regions.create();
    this.surfer = WaveSurfer.create({
      container: this.box, height: HEIGHT_PX, hideScrollbar: true, autoScroll: false, cursorWidth: 2,
      ...this.colors(),
      plugins: [this.regions, Timeline.create({
        height: RULER_PX, insertPosition: "beforebegin", timeInterval: TICK_S, primaryLabelSpacing: 1,
        formatTimeCallback: (timeS) => seconds(timeS, 1), style: { fontSize: "11px", color: "inherit" },
      })],
    });
    this.surfer.on("interaction", (timeS) => this.onSeek(timeS));
    this.regions.enableDragSelection({ color: this.color("--loop") });
    this.regions.on("region-created", (region) => this.onRegion(region));
  }

  color(name) {
    return getComputedStyle(this.box).getPropertyValue(name).trim();
  }

  colors() {
    return { waveColor: this.color("--wave"), progressColor: this.color("--wave-played"),
      cursorColor: this.color("--playhead") };
  }

  recolor() {
    this.surfer?.setOptions(this.colors());
    if (this.samples) this.showSpectrogram(this.samples);
  }

  /** Shows a take; until there are peaks (as `/peaks` has them, or null) it is a line. */
  show(durationS, peaks) {
    if (this.surfer === null) this.open();
    this.isShown = true;
    this.durationS = durationS;
    this.regions.clearRegions();
    this.hideSpectrogram();
    this.layout();
    this.draw(peaks);
  }

  async draw(peaks) {
    const scaled = (points) => Float32Array.from(points, (point) => point / FULL_SCALE);
    await this.load(peaks ? [scaled(peaks.max), scaled(peaks.min)] : [[0, 0]]);
  }

  async load(channels) {
    try {
      await this.surfer.load("", channels, this.durationS);
      this.surfer.setTime(Math.min(this.playheadS, this.durationS));
    } catch (error) {
      if (error.name !== "AbortError") throw error; // another was shown meanwhile
    }
  }

  hide() {
    this.isShown = false;
  }

  layout() {
    if (!this.isShown || this.durationS === 0) return;
    const widthPx = this.scroller.clientWidth;
    this.pxPerS = Math.max(MIN_PX_PER_S, widthPx / this.durationS);
    this.strip.style.width = `${Math.max(widthPx, Math.ceil(this.durationS * this.pxPerS))}px`;
    this.onLayout(this.pxPerS);
  }

  moveTo(playheadS, isPlaying) {
    if (playheadS === this.playheadS && !isPlaying) return;
    this.playheadS = playheadS;
    this.surfer?.setTime(Math.min(playheadS, this.durationS));
    const leftPx = this.scroller.scrollLeft;
    const xPx = playheadS * this.pxPerS;
    const outside = xPx < leftPx || xPx > leftPx + this.scroller.clientWidth * 0.9;
    if (isPlaying && outside) this.scroller.scrollLeft = xPx - this.scroller.clientWidth * 0.1;
  }

  // --- words and loops ---

  /** A thin line where each word begins. */
  mark(words) {
    for (const region of this.regions.getRegions()) if (region.id.startsWith("word")) region.remove();
    const color = this.color("--grid");
    words.forEach(({ start_s: startS }, n) => this.regions.addRegion(
      { id: `word ${n}`, start: startS, drag: false, resize: false, color }));
  }

  showLoop(loop) {
    for (const region of this.regions.getRegions()) if (region.id === "loop") region.remove();
    if (loop === null) return;
    this.regions.addRegion({ id: "loop", start: loop.startS, end: loop.endS,
      drag: false, resize: false, color: this.color("--loop") });
  }

  /** What is dragged over the waveform goes round. */
  onRegion(region) {
    if (region.id === "loop" || region.id.startsWith("word")) return;
    const loop = { startS: region.start, endS: region.end };
    region.remove();
    if (loop.endS - loop.startS > 0.03) this.onLoop(loop);
  }

  // --- spectrogram ---

  async showSpectrogram(samples) {
    this.hideSpectrogram();
    this.samples = samples;
    this.spectrogram.hidden = false;
    const { default: Spectrogram } = await import(SPECTROGRAM);
    if (this.samples !== samples) return; // it was hidden meanwhile
    this.plugin = this.surfer.registerPlugin(Spectrogram.create({
      container: this.spectrogram, height: SPECTROGRAM_PX, fftSamples: 512, frequencyMax: TOP_HZ,
      scale: "mel", labels: true, labelsColor: this.color("--text"), labelsHzColor: this.color("--text"),
      labelsBackground: "transparent", autoGain: true, rangeDB: 70, colorMap: this.heat(), useWebWorker: true,
    }));
    this.load([samples]);
  }

  hideSpectrogram() {
    if (this.plugin) this.surfer.unregisterPlugin(this.plugin); // which destroys it
    this.plugin = this.samples = null;
    this.spectrogram.replaceChildren();
    this.spectrogram.hidden = true;
  }

  /** From the well's colour through the wave's to the text's: 256 steps [r, g, b, a], 0 to 1. */
  heat() {
    const probe = document.createElement("canvas").getContext("2d");
    const rgb = (name) => {
      probe.fillStyle = this.color(name);
      const [, r, g, b] = /^#(..)(..)(..)$/.exec(probe.fillStyle);
      return [r, g, b].map((two) => parseInt(two, 16) / 255);
    };
    const [low, middle, high] = ["--well", "--wave", "--text"].map(rgb);
    const between = (a, b, t) => a.map((x, n) => x + t * (b[n] - x));
    return Array.from({ length: 256 }, (_, n) => {
      const t = n / 255;
      return [...(t < 0.6 ? between(low, middle, t / 0.6) : between(middle, high, (t - 0.6) / 0.4)), 1];
    });
  }
}
