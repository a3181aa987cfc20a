// The emotion pad and the emotions by name. A point of the pad is valence (-1 to 1, to the right)
// and arousal (-1 to 1, upwards): Russell 1980 (J. Pers. Soc. Psychol. 39). An emotion is null,
// {name, intensity}, or {valence, arousal, dominance}. Knows nothing about requests.

import { element, resetButton, Slider } from "/static/sliders.js";
import { percent, plain } from "/static/units.js";

// Where names are shown on the pad, as voicesvc/delivery/emotions.py places them; those that it
// gives no place are ways of speaking more than emotions, and are shown in the middle.
const NAMED = {
  neutral: [0, 0], happy: [0.81, 0.51], excited: [0.62, 0.75], sad: [-0.63, -0.27],
  angry: [-0.51, 0.59], "angry-cold": [-0.5, 0.15], fearful: [-0.64, 0.6], disgusted: null,
  surprised: [0.4, 0.67], tender: [0.6, -0.35], intimate: null, whispered: null, shouted: null,
};
const STEP = 0.1;
const FINE_STEP = 0.02;
const within = (x) => Math.round(100 * Math.min(Math.max(x, -1), 1)) / 100;

export class Pad {
  /** pad, chips, intensity: elements to fill. onChange(emotion) at each step. */
  constructor({ pad, value, chips, intensity }, onChange) {
    Object.assign(this, { pad, valueText: value, chips, onChange });
    this.emotion = null;
    this.notes = [];
    this.dot = element("span", "pad-dot");
    pad.append(this.dot);
    this.intensity = new Slider(
      { name: "intensity", label: "Intensity", min: 0, max: 1, step: 0.05, usual: 1, show: percent },
      (intensity) => this.change({ name: this.emotion.name, intensity }));
    this.dominance = new Slider(
      { name: "dominance", label: "Dominance", min: -1, max: 1, step: 0.05, usual: 0, show: plain },
      (dominance) => this.change({ ...this.emotion, dominance }));
    intensity.append(this.intensity.row, this.dominance.row);
    this.resetButton = resetButton("Emotion", () => this.reset());
    pad.closest("section").querySelector(".heading").append(this.resetButton);
    pad.addEventListener("pointerdown", (event) => this.onPointer(event));
    pad.addEventListener("pointermove", (event) => {
      if (pad.hasPointerCapture(event.pointerId)) this.pointAt(event);
    });
    pad.addEventListener("dblclick", () => this.reset());
    pad.addEventListener("keydown", (event) => this.onKey(event));
    this.offer(null);
  }

  /** The emotions of an actor: {name: {quality}} or [{name, quality}], or null for all there are. */
  offer(emotions) {
    const about = emotions ?? Object.fromEntries(Object.keys(NAMED).map((name) => [name, {}]));
    this.notes = Array.isArray(about)
      ? [...about] : Object.entries(about).map(([name, note]) => ({ name, ...note }));
    if (!this.notes.some(({ name }) => name === "neutral")) this.notes.unshift({ name: "neutral" });
    this.chips.replaceChildren(...this.notes.map(({ name, source, quality }) => {
      const chip = Object.assign(element("button", "chip", name.replaceAll(/[-_]/g, " ")), { type: "button" });
      chip.dataset.name = name;
      if (quality) chip.title = `By ${source}; quality: ${quality}`;
      if (quality === "experimental") chip.append(" ", element("span", "tag", "experimental"));
      chip.addEventListener("click", () => this.pick(name));
      return chip;
    }));
    this.show(this.emotion);
  }

  pick(name) {
    if (name === "neutral") this.change(null);
    else this.change({ name, intensity: this.intensity.value });
  }

  reset() {
    this.intensity.value = this.intensity.usual;
    this.dominance.value = this.dominance.usual;
    this.change(null);
  }

  change(emotion) {
    this.show(emotion);
    this.onChange(emotion);
  }

  /** Shows an emotion without telling anybody. */
  show(emotion) {
    this.emotion = emotion;
    const name = emotion === null ? "neutral" : emotion.name;
    const [valence, arousal] = this.place(emotion);
    this.dot.style.left = `${50 * (1 + valence)}%`;
    this.dot.style.top = `${50 * (1 - arousal)}%`;
    this.pad.dataset.set = String(emotion !== null);
    const place = `valence ${plain(valence)}, arousal ${plain(arousal)}`;
    const said = name?.replaceAll(/[-_]/g, " ");
    const text = said === undefined ? place : NAMED[name] && emotion ? `${said}: ${place}` : said;
    this.valueText.textContent = text;
    this.pad.setAttribute("aria-valuenow", valence);
    this.pad.setAttribute("aria-valuetext", text);
    if (emotion?.intensity !== undefined) this.intensity.value = emotion.intensity;
    if (emotion?.dominance !== undefined) this.dominance.value = emotion.dominance;
    this.intensity.disabled = emotion?.name === undefined; // the pad's distance says it otherwise
    this.dominance.disabled = emotion?.valence === undefined; // a name has its own
    this.resetButton.disabled = emotion === null;
    for (const chip of this.chips.children) {
      chip.setAttribute("aria-pressed", String(chip.dataset.name === name));
    }
  }

  place(emotion) {
    if (emotion === null) return [0, 0];
    if (emotion.name === undefined) return [emotion.valence, emotion.arousal];
    const [valence, arousal] = NAMED[emotion.name] ?? [0, 0];
    return [within(valence * emotion.intensity), within(arousal * emotion.intensity)];
  }

  moveTo(valence, arousal) {
    const [v, a] = [within(valence), within(arousal)];
    const dominance = this.dominance.value;
    this.change(v === 0 && a === 0 ? null : { valence: v, arousal: a, dominance });
  }

  onPointer(event) {
    if (event.button !== 0) return;
    this.pad.setPointerCapture(event.pointerId);
    this.pointAt(event);
  }

  pointAt(event) {
    const box = this.pad.getBoundingClientRect();
    this.moveTo(
      2 * (event.clientX - box.left) / box.width - 1, 1 - 2 * (event.clientY - box.top) / box.height);
  }

  onKey(event) {
    const step = event.shiftKey ? FINE_STEP : STEP;
    const [v, a] = this.place(this.emotion);
    const moves = {
      ArrowLeft: [v - step, a], ArrowRight: [v + step, a],
      ArrowUp: [v, a + step], ArrowDown: [v, a - step],
    };
    if (["Home", "Delete", "Backspace"].includes(event.key)) this.reset();
    else if (moves[event.key]) this.moveTo(...moves[event.key]);
    else return;
    event.preventDefault();
  }
}
