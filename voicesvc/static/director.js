// What is asked of the line, and the plan that comes of it: delivery, seed, edits of words, undo.
// Holds the plan as the service made it; edits and length are laid on it anew for every take.

import { Delivery, deliveryFields } from "/static/delivery.js";
import { carried, durationS, edited, editOf, heardAt, layout, NO_EDITS, withEdit, wordsOf } from "/static/edits.js";
import { History } from "/static/history.js";
import { Lane } from "/static/lane.js";
import { planLine } from "/static/service.js";
import { resetButton } from "/static/sliders.js";
import { decibels, milliseconds, semitones } from "/static/units.js";
import { WordBar } from "/static/wordbar.js";

const MAX_SEED = Number.MAX_SAFE_INTEGER;

export class Director {
  /** find(id) -> element; show(id, text); steps: where changes go to be taken back.
   *  onChange({drawSeed}): something else is asked for now.
   *  onWords(words): where the words stand, as `layout` has them.
   */
  constructor({ find, show, steps, onChange, onWords }) {
    Object.assign(this, { find, show, steps, onChange, onWords, edits: NO_EDITS, seed: null, chosen: null });
    this.forget();
    const edits = { onEdit: (...edit) => this.editWord(...edit), onReset: (index) => this.resetWord(index) };
    this.lane = new Lane({ lane: find("lane"), onFocus: (index) => this.choose(index), ...edits });
    this.bar = new WordBar({ find, ...edits });
    this.resetWords = resetButton("All words", () => this.setEdits(NO_EDITS, "all words"));
    this.resetWords.append(" All words");
    find("word-bar").append(this.resetWords);
    this.delivery = new Delivery(find, (name) => this.changed(name));
    this.history = new History(this.state);
    find("seed-field").addEventListener("change", () => this.typedSeed());
    find("reroll").addEventListener("click", () => this.changed("reroll", { drawSeed: true }));
    this.refresh();
  }

  get state() {
    return { delivery: this.delivery.value, edits: this.edits, seed: this.seed };
  }

  /** No line is held: nothing to edit word by word. */
  forget() {
    this.held = null; // {key, base}: what was asked, and the service's plan for it
    this.heard = null; // the plan of the newest take, with edits and length
    this.naturalS = null; // its length without `fit`
    this.timings = [];
    this.lane?.clear();
    this.choose(null);
  }

  // --- changes ---

  changed(key, how = {}) {
    if (key !== "reroll") this.record(key);
    this.refresh();
    this.onChange(how);
  }

  record(key) {
    if (!this.history.record(this.state, key, performance.now())) return;
    this.steps.push({ of: this, undo: () => this.goTo(this.history.undo()), redo: () => this.goTo(this.history.redo()) });
  }

  setEdits(edits, key) {
    this.edits = edits;
    this.preview();
    this.changed(key);
  }

  editWord(index, change, what) {
    const words = wordsOf(this.held.base);
    if (change.breath === words[index].breath) change = { ...change, breath: null }; // as planned
    this.setEdits(withEdit(this.edits, words.map((w) => w.text), index, change), `${what} ${index}`);
  }

  resetWord(index) {
    const { [index]: before, ...of } = this.edits.of;
    if (before) this.setEdits({ ...this.edits, of }, `reset ${index}`);
  }

  typedSeed() {
    const field = this.find("seed-field");
    const text = field.value.trim();
    const good = /^\d+$/.test(text) && Number(text) <= MAX_SEED;
    if (text !== "" && !good) {
      field.setAttribute("aria-invalid", "true");
      return;
    }
    this.seed = text === "" ? null : Number(text);
    this.find("keep-seed").checked = text !== "";
    this.changed("seed");
  }

  goTo({ delivery, edits, seed }) {
    this.delivery.value = delivery;
    [this.edits, this.seed] = [edits, seed];
    if (this.held) this.edits = carried(edits, this.texts).edits;
    this.preview();
    this.refresh();
    this.onChange({});
  }

  // --- the plan ---

  get texts() {
    return wordsOf(this.held.base).map((word) => word.text);
  }

  /** What a text request says beside actor and text. */
  fields(drawSeed) {
    const fields = deliveryFields(this.delivery.value);
    return drawSeed || this.seed === null ? fields : { ...fields, seed: this.seed };
  }

  /** The plan to be rendered -> {plan, skipped}. Asks the service only for what has changed. */
  async plan(line, drawSeed, signal) {
    const asked = { ...line, ...this.fields(drawSeed) };
    if (this.held?.key !== JSON.stringify(asked)) {
      const made = await planLine(asked, signal);
      this.hold({ ...line, ...deliveryFields(this.delivery.value), seed: made.plan.seed }, made);
    }
    const mine = edited(this.held.base, this.edits);
    this.naturalS = durationS(mine);
    const { fit } = this.delivery.value;
    const fitted = fit === null ? { plan: mine, fit: null } : await planLine({ plan: mine, fit }, signal);
    this.heard = fitted.plan;
    this.timings = [];
    this.showWords(layout(this.heard));
    this.delivery.length.tell(this.naturalS, fitted.fit);
    return { plan: this.heard, skipped: this.held.skipped };
  }

  hold(asked, { plan, delivery, skipped }) {
    this.held = { key: JSON.stringify(asked), base: plan, skipped };
    const { edits, lost } = carried(this.edits, this.texts);
    const drawn = this.seed !== plan.seed;
    const first = this.seed === null;
    [this.edits, this.seed] = [edits, plan.seed];
    if (drawn && !first) this.record("take");
    else this.history.replace(this.state);
    this.show("delivered", deliveredText(delivery ?? {}));
    this.show("notice", lost.length === 0 ? "" : `The line has other words: edits of ${lost.join(", ")} are dropped.`);
    this.refresh();
  }

  /** A kept take is taken up: what made it is where changes begin. `line`: {actor, text}. */
  adopt(line, { delivery, seed, plan, isFromPlan }, edits) {
    this.delivery.value = delivery;
    [this.edits, this.seed, this.timings] = [edits, seed, []];
    this.heard = plan;
    this.naturalS = durationS(plan);
    this.hold({ ...line, ...deliveryFields(delivery), seed }, { plan });
    this.held.isAdopted = true;
    this.show("delivered", isFromPlan
      ? "Made from a plan: how it is said is in its words. A control that is moved plans the line anew." : "");
    this.forgetSteps();
    this.preview();
    this.delivery.length.tell(this.naturalS);
  }

  get isEdited() {
    return Object.keys(this.edits.of).length > 0;
  }

  /** The plan that is held, with what was edited. */
  get editedPlan() {
    return this.delivery.value.fit === null ? edited(this.held.base, this.edits) : this.heard;
  }

  /** Whether what is held is a kept take's own plan. */
  get isAdopted() {
    return this.held?.isAdopted === true;
  }

  /** Another line's delivery; its words are not planned yet. */
  begin(delivery) {
    this.forget();
    [this.edits, this.seed] = [NO_EDITS, null];
    this.delivery.value = delivery;
    this.show("delivered", "");
    this.show("notice", "");
    this.delivery.length.tell(null);
    this.forgetSteps();
    this.refresh();
  }

  /** What was done before is another line's and is not gone back to. */
  forgetSteps() {
    this.history = new History(this.state);
    this.steps.forget(this);
  }

  get heardS() {
    return durationS(this.heard);
  }

  /** A line that was spoken without being planned here had this seed and this fit. */
  drew({ seed, fit }) {
    this.seed = seed;
    this.history.replace(this.state);
    this.delivery.length.tell(fit?.natural_s ?? null, fit);
    this.refresh();
  }

  // --- showing ---

  /** Words where their edits would put them, until the service has made it so. */
  preview() {
    if (this.held === null || this.heard === null) return;
    const stretch = durationS(this.heard) / this.naturalS;
    const words = layout(edited(this.held.base, this.edits));
    const names = ["startS", "endS", "pauseEndS", "durationMs", "pauseMs"];
    const scaled = (at, keys) => ({ ...at, ...Object.fromEntries(keys.map((k) => [k, at[k] * stretch])) });
    this.showWords(words.map((word) => ({
      ...scaled(word, names), phonemes: word.phonemes.map((p) => scaled(p, ["startS", "endS"])),
    })));
  }

  /** Words as they were heard: the service's timings of the take. */
  timed(timings) {
    if (timings.length <= this.timings.length || this.heard === null) return;
    this.timings = timings;
    this.showWords(heardAt(layout(this.heard), timings));
  }

  /** The words again, on a stage that was cleared meanwhile. */
  reshow() {
    this.onWords(this.words);
  }

  showWords(words) {
    this.words = words.map((word, index) => ({ ...word, label: this.label(word, index) }));
    this.lane.show(this.words, words.map((_, index) => this.editAt(index)));
    this.choose(this.chosen);
    this.onWords(words);
  }

  editAt(index) {
    return { edit: editOf(this.edits, index), isEdited: index in this.edits.of };
  }

  label(word, index) {
    const { edit, isEdited } = this.editAt(index);
    const flags = [edit.stress && "stressed", word.breath && "breath", isEdited && "edited"];
    return [`${word.text}: ${milliseconds(word.durationMs)}`, semitones(word.pitchSt),
      decibels(word.energyDb), `pause ${milliseconds(word.pauseMs)}`, ...flags].filter(Boolean).join(", ");
  }

  choose(index) {
    this.chosen = this.words?.[index] && this.held ? index : null;
    if (this.chosen === null) this.bar?.show(null);
    else this.bar.show({ index, word: this.words[index], ...this.editAt(index) });
  }

  refresh() {
    const field = this.find("seed-field");
    field.value = this.seed ?? "";
    field.removeAttribute("aria-invalid");
    this.resetWords.disabled = Object.keys(this.edits.of).length === 0;
  }
}

/** {rate: "model", emotion: "prosody", quality: "good", limited: "pitch_st"}, in words. */
function deliveredText({ quality, limited, ...by }) {
  const parts = Object.entries(by).map(([name, what]) =>
    `${name.replace(/_.*/, "")} by ${what}${name === "emotion" && quality ? ` (${quality})` : ""}`);
  if (limited) parts.push("pitch held within what the voice allows");
  return parts.length > 0 ? `Done: ${parts.join(", ")}.` : "";
}
