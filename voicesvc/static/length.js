// The length box: how long the line is to be, in seconds or in frames of picture.
// A length is null (free), {seconds}, or {frames, fps}, as `fit` of the service has it.

import { resetButton } from "/static/sliders.js";
import { seconds, times } from "/static/units.js";

const RATES_FPS = { 24: "24", 25: "25", 30: "30", 50: "50", 60: "60",
  23.976: "24000/1001", 29.97: "30000/1001", 59.94: "60000/1001" };

export class Length {
  /** onChange(fit): another length was entered. */
  constructor(find, onChange) {
    Object.assign(this, { onChange, fit: null });
    this.box = find("length");
    this.unit = find("length-unit");
    this.report = find("length-report");
    const rates = Object.keys(RATES_FPS).sort((a, b) => a - b);
    this.unit.replaceChildren(new Option("s", "s"), ...rates.map((fps) =>
      new Option(`frames at ${fps} fps`, RATES_FPS[fps])));
    this.clearButton = resetButton("Length", () => this.enter(null));
    this.clearButton.title = "Clear the length";
    this.unit.after(this.clearButton);
    this.box.addEventListener("change", () => this.read());
    this.box.addEventListener("dblclick", () => { if (this.fit !== null) this.enter(null); });
    this.unit.addEventListener("change", () => this.convert());
    this.show(null);
    this.tell(null);
  }

  /** Shows a length without telling anybody. */
  show(fit) {
    this.fit = fit;
    if (fit !== null) this.unit.value = fit.fps ?? "s";
    this.box.value = fit === null ? "" : fit.frames ?? fit.seconds;
    this.box.step = this.unit.value === "s" ? 0.01 : 1;
    this.box.removeAttribute("aria-invalid");
    this.clearButton.disabled = fit === null;
  }

  enter(fit) {
    if (JSON.stringify(fit) === JSON.stringify(this.fit)) return;
    this.show(fit);
    this.onChange(fit);
  }

  read() {
    const number = Number(this.box.value);
    if (this.box.value.trim() === "" && this.box.validity.valid) this.enter(null);
    else if (!(number > 0)) this.box.setAttribute("aria-invalid", "true");
    else if (this.unit.value === "s") this.enter({ seconds: number });
    else this.enter({ frames: Math.max(1, Math.round(number)), fps: this.unit.value });
  }

  /** Another unit for the same length; a length is entered with it, not by it. */
  convert() {
    const fit = this.fit;
    this.box.step = this.unit.value === "s" ? 0.01 : 1;
    if (fit === null) return;
    const perS = (fps) => fps.split("/").map(Number).reduce((a, b) => a / b);
    const lengthS = fit.frames === undefined ? fit.seconds : fit.frames / perS(fit.fps);
    this.box.value = this.unit.value === "s"
      ? lengthS.toFixed(3) : Math.round(lengthS * perS(this.unit.value));
    this.read();
  }

  /** What the line's own length is, and what a fit did: the service's report, or null. */
  tell(naturalS, report = null) {
    if (naturalS === null) this.report.textContent = "No line yet.";
    else if (report === null) this.report.textContent = `Natural: ${seconds(naturalS)}.`;
    else {
      this.report.textContent = `Natural: ${seconds(report.natural_s)}. Stretched ${times(report.stretch)}: `
        + `pauses ${times(report.pauses)}, vowels ${times(report.vowels)}, `
        + `consonants ${times(report.consonants)}; most: ${report.worst_phoneme ?? "one"} ${times(report.worst)}.`;
    }
  }
}
