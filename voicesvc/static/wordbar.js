// The bar under the lane: one word's numbers, to be read and typed. Values are those of the plan.
// Knows nothing about plans, requests or sound.

import { resetButton } from "/static/sliders.js";

const NUMBERS = {
  duration: { of: (word) => word.durationMs, digits: 0,
    change: (word, edit, ms) => ({ stretch: edit.stretch * ms / word.durationMs }) },
  pitch: { of: (word) => word.pitchSt, digits: 1,
    change: (word, edit, st) => ({ pitchSt: edit.pitchSt + st - word.pitchSt }) },
  energy: { of: (word) => word.energyDb, digits: 1,
    change: (word, edit, db) => ({ energyDb: edit.energyDb + db - word.energyDb }) },
  pause: { of: (word) => word.pauseMs, digits: 0,
    change: (word, edit, ms) => ({ pauseMs: edit.pauseMs + ms - word.pauseMs }) },
};

export class WordBar {
  /** find(id) -> element; onEdit and onReset as the lane's. */
  constructor({ find, onEdit, onReset }) {
    this.shown = null; // {index, word, edit, isEdited}
    this.title = find("word-title");
    this.fields = Object.entries(NUMBERS).map(([name, about]) => {
      const input = find(`word-${name}`);
      input.addEventListener("change", () => {
        const value = Number(input.value);
        if (input.value === "" || !input.validity.valid) this.show(this.shown);
        else onEdit(this.shown.index, about.change(this.shown.word, this.shown.edit, value), name);
      });
      return { ...about, input };
    });
    this.stress = find("word-stress");
    this.breath = find("word-breath");
    this.stress.addEventListener("change", () =>
      onEdit(this.shown.index, { stress: this.stress.checked }, "stress"));
    this.breath.addEventListener("change", () =>
      onEdit(this.shown.index, { breath: this.breath.checked }, "breath"));
    this.resetButton = resetButton("This word", () => onReset(this.shown.index));
    this.resetButton.append(" Word");
    this.stress.closest(".bar").append(this.resetButton);
    this.show(null);
  }

  /** {index, word, edit, isEdited} or null for no word. */
  show(shown) {
    this.shown = shown;
    this.title.textContent = shown?.word.label ?? "Choose a word in the lane.";
    for (const { input, of, digits } of this.fields) {
      input.disabled = shown === null;
      input.value = shown === null ? "" : of(shown.word).toFixed(digits);
    }
    this.stress.disabled = this.breath.disabled = shown === null;
    this.stress.checked = shown?.edit.stress ?? false;
    this.breath.checked = shown?.word.breath ?? false;
    this.resetButton.disabled = !shown?.isEdited;
  }
}
