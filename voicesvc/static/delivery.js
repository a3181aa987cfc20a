// The controls of how a line is delivered: emotion, prosody, seed and length, as one value.
// {emotion, prosody: {name: number}, language, breaths, roomTone, fit, other}; what is as usual is not asked for.
// `other` has what the controls cannot show: contours, mixtures, spans. It is asked for as it is.

import { Language } from "/static/language.js";
import { Length } from "/static/length.js";
import { Pad } from "/static/pad.js";
import { resetButton, Slider } from "/static/sliders.js";
import { decibels, percent, semitones, times } from "/static/units.js";

const PROSODY = [
  { name: "rate", label: "Rate", min: 0.5, max: 2, step: 0.01, usual: 1, show: times,
    title: "Speaking rate: 2.00 is twice as fast" },
  { name: "pitch_st", label: "Pitch", min: -4, max: 8, step: 0.1, usual: 0, show: semitones,
    title: "Pitch against the voice's own" },
  { name: "range", label: "Range", min: 0, max: 2.5, step: 0.05, usual: 1, show: times,
    title: "How far the intonation moves: 0 is monotone" },
  { name: "energy_db", label: "Energy", min: -12, max: 12, step: 0.5, usual: 0, show: decibels,
    title: "Level" },
  { name: "tilt_db", label: "Tilt", min: -12, max: 12, step: 0.5, usual: 0, show: decibels,
    title: "What is above 1.5 kHz against what is below: brighter or duller" },
  { name: "breathiness", label: "Breathiness", min: 0, max: 1, step: 0.05, usual: 0, show: percent,
    title: "Noise of breath in the voice" },
  { name: "pause_scale", label: "Pauses", min: 0, max: 4, step: 0.05, usual: 1, show: times,
    title: "Length of the pauses" },
  { name: "sound", label: "Sound varies", min: 0, max: 1.5, step: 0.05, usual: 1, show: times,
    title: "How much the sound differs from seed to seed" },
  { name: "timing", label: "Timing varies", min: 0, max: 1.5, step: 0.05, usual: 1, show: times,
    title: "How much the timing differs from seed to seed" },
];
const VARIABILITY = ["sound", "timing"];
export const AS_USUAL = Object.freeze({
  emotion: null,
  prosody: Object.freeze(Object.fromEntries(PROSODY.map(({ name, usual }) => [name, usual]))),
  language: "", // the actor's own
  breaths: "marked",
  roomTone: false,
  fit: null,
  other: Object.freeze({}),
});
const SHOWN_EMOTION = [["name"], ["intensity", "name"], ["arousal", "dominance", "valence"], ["arousal", "valence"]];
const OTHER = ["lexicons", "markup", "lenient", "spans", "extreme"];

/** The fields of /v1/plans and /v1/speech that say how; length and seed are beside it. */
export function deliveryFields({ emotion, prosody, language, breaths, roomTone, other }) {
  const changed = Object.entries(prosody).filter(([name, x]) => x !== AS_USUAL.prosody[name]);
  const fields = Object.fromEntries(changed.filter(([name]) => !VARIABILITY.includes(name)));
  const varies = Object.fromEntries(changed.filter(([name]) => VARIABILITY.includes(name)));
  if (emotion !== null) fields.emotion = emotion;
  if (Object.keys(varies).length > 0) fields.variability = varies;
  if (language !== AS_USUAL.language) fields.language = language;
  if (breaths !== AS_USUAL.breaths) fields.breaths = breaths;
  if (roomTone !== AS_USUAL.roomTone) fields.room_tone = roomTone;
  return { ...other, ...fields };
}

/** The delivery that a request's fields ask for. */
export function deliveryOf(asked) {
  const value = { ...AS_USUAL, prosody: { ...AS_USUAL.prosody }, other: {} };
  const prosody = { ...asked, ...asked.variability };
  for (const { name } of PROSODY) {
    if (typeof prosody[name] === "number") value.prosody[name] = prosody[name];
    else if (prosody[name] !== undefined && prosody[name] !== null) value.other[name] = prosody[name];
  }
  const { emotion } = asked;
  if (typeof emotion === "string") value.emotion = emotion === "neutral" ? null : { name: emotion, intensity: 1 };
  else if (emotion && SHOWN_EMOTION.some((names) => String(names) === String(Object.keys(emotion).sort()))) {
    value.emotion = emotion.name === undefined
      ? { dominance: 0, ...emotion } : { intensity: 1, ...emotion };
  } else if (emotion) value.other.emotion = emotion;
  if (asked.language) value.language = asked.language;
  if (asked.breaths) value.breaths = asked.breaths;
  if (asked.room_tone) value.roomTone = true;
  if (asked.fit && (asked.fit.seconds !== undefined || asked.fit.frames !== undefined)) value.fit = asked.fit;
  for (const name of OTHER) {
    const asks = asked[name];
    if (asks && asks !== "auto" && !(Array.isArray(asks) && asks.length === 0)) value.other[name] = asks;
  }
  return value;
}

export class Delivery {
  /** find(id) -> element. onChange(name): the control of that name was moved. */
  constructor(find, onChange) {
    this.onChange = onChange;
    this.now = AS_USUAL;
    this.pad = new Pad(
      { pad: find("pad"), value: find("pad-value"), chips: find("chips"), intensity: find("intensity") },
      (emotion) => this.change("emotion", { emotion }));
    this.sliders = PROSODY.map((about) => new Slider(about, (x) =>
      this.change(about.name, { prosody: { ...this.now.prosody, [about.name]: x } })));
    find("prosody").replaceChildren(...this.sliders.map((slider) => slider.row));
    this.language = new Language(find, (language) => this.change("language", { language }));
    this.breaths = find("breaths");
    this.roomTone = find("room-tone");
    this.breaths.addEventListener("change", () =>
      this.change("breaths", { breaths: this.breaths.value }));
    this.roomTone.addEventListener("change", () =>
      this.change("room_tone", { roomTone: this.roomTone.checked }));
    this.resetBreaths = resetButton("Breaths", () =>
      this.change("breaths", { breaths: AS_USUAL.breaths }));
    this.breaths.after(this.resetBreaths);
    this.kept = find("kept-fields");
    this.length = new Length(find, (fit) => this.change("fit", { fit }));
    this.resetAll = find("reset-delivery");
    this.resetAll.addEventListener("click", () => this.change("all", AS_USUAL));
    this.value = AS_USUAL;
  }

  get value() {
    return this.now;
  }

  /** Shows a value without telling anybody. */
  set value(value) {
    this.now = value;
    this.pad.show(value.emotion);
    PROSODY.forEach(({ name }, i) => { this.sliders[i].value = value.prosody[name]; });
    this.language.show(value.language);
    this.breaths.value = value.breaths;
    this.roomTone.checked = value.roomTone;
    this.length.show(value.fit);
    const others = Object.keys(value.other).map((name) => name.replaceAll("_", " "));
    this.kept.textContent = others.length > 0 ? `Also as it was asked for: ${others.join(", ")}.` : "";
    this.refresh();
  }

  change(name, change) {
    this.value = { ...this.now, ...change };
    this.onChange(name);
  }

  refresh() {
    this.resetBreaths.disabled = this.now.breaths === AS_USUAL.breaths;
    this.resetAll.disabled = JSON.stringify(this.now) === JSON.stringify(AS_USUAL);
  }
}
