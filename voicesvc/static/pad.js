// The emotion pad and the emotions by name. A point of the pad is valence (-1 to 1, to the right)
// and arousal (-1 to 1, upwards): Russell 1980 (J. Pers. Soc. Psychol. 39). An emotion is null,
// {name, intensity}, or {valence, arousal}. Knows nothing about requests.

import { element, resetButton, Slider } from "/static/sliders.js";
import { percent, plain } from "/static/units.js";

// Where names stand on the pad, roughly; only to show them where an actor does not say.
const NAMED = {
  neutral: [0, 0], happy: [0.8, 0.4], excited: [0.7, 0.9], sad: [-0.7, -0.5], angry: [-0.7, 0.8],
  "angry-cold": [-0.6, 0.3], fearful: [-0.7, 0.6], disgusted: [-0.8, 0.2], surprised: [0.3, 0.8],
  tender: [0.6, -0.4], intimate: [0.4, -0.6], whispered: [0, -0.7], shouted: [-0.2, 0.9],
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
    intensity.append(this.intensity.row);
    this.resetButton = resetButton("Emotion", () => this.reset());
    value.after(this.resetButton);
    pad.addEventListener("pointerdown", (event) => this.onPointer(event));
    pad.addEventListener("pointermove", (event) => {
      if (pad.hasPointerCapture(event.pointerId)) this.pointAt(event);
    });
    pad.addEventListener("dblclick", () => this.reset());
    pad.addEventListener("keydown", (event) => this.onKey(event));
    this.offer(null);
  }

  /** The emotions of an actor: [{name, quality, valence, arousal}], or null for all there are. */
  offer(emotions) {
    this.notes = emotions ?? Object.keys(NAMED).map((name) => ({ name }));
    if (!this.notes.some(({ name }) => name === "neutral")) this.notes.unshift({ name: "neutral" });
    this.chips.replaceChildren(...this.notes.map(({ name, quality }) => {
      const chip = Object.assign(element("button", "chip", name.replaceAll(/[-_]/g, " ")), { type: "button" });
      chip.dataset.name = name;
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
    const text = name === undefined ? place : `${name.replaceAll(/[-_]/g, " ")} (${place})`;
    this.valueText.textContent = text;
    this.pad.setAttribute("aria-valuenow", valence);
    this.pad.setAttribute("aria-valuetext", text);
    if (emotion?.intensity !== undefined) this.intensity.value = emotion.intensity;
    this.intensity.disabled = emotion?.name === undefined; // the pad's distance says it otherwise
    this.resetButton.disabled = emotion === null;
    for (const chip of this.chips.children) {
      chip.setAttribute("aria-pressed", String(chip.dataset.name === name));
    }
  }

  place(emotion) {
    if (emotion === null) return [0, 0];
    if (emotion.name === undefined) return [emotion.valence, emotion.arousal];
    const note = this.notes.find(({ name }) => name === emotion.name);
    const [valence, arousal] = note?.valence === undefined
      ? NAMED[emotion.name] ?? [0, 0] : [note.valence, note.arousal];
    return [within(valence * emotion.intensity), within(arousal * emotion.intensity)];
  }

  moveTo(valence, arousal) {
    const [v, a] = [within(valence), within(arousal)];
    this.change(v === 0 && a === 0 ? null : { valence: v, arousal: a });
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
