// The page's side of the deck: which kept take plays, from where, how loud, how fast.
// Takes are whole in memory, so going from one to the other needs no wait.

import { fetchSamples } from "/static/records.js";

const HELD_S = 900; // of takes in memory; the longest unused go first
const STEPS = [-4, -2, -1, 1, 2, 4]; // how J and L go: backwards, slower, forwards, faster
export const LEVELS = ["matched", "r128", "made"];
const R128_LUFS = -23; // EBU R 128's programme level
const CEILING_DBTP = -1; // a take is not turned up beyond this true peak (EBU R 128)

/** The gain in dB that makes a take as loud as asked for; 0 where it was not measured.
 *  matched: as loud as the quietest of `others`, so that none wins by being louder.
 */
export function gainDb(measured, others, level) {
  const { loudness_lufs: ownLufs, true_peak_dbtp: peakDbtp } = measured ?? {};
  if (level === "made" || typeof ownLufs !== "number") return 0;
  if (level === "r128") {
    return Math.min(R128_LUFS - ownLufs, CEILING_DBTP - (peakDbtp ?? CEILING_DBTP));
  }
  const all = others.map((other) => other?.loudness_lufs).filter((lufs) => typeof lufs === "number");
  return Math.min(0, ...all.map((lufs) => lufs - ownLufs));
}

export class Deck {
  /** output: the node that sound goes to; gainOf(id) -> dB; onStatus(): playing or not, another speed. */
  constructor({ output, gainOf, onStatus }) {
    Object.assign(this, { output, context: output.context, gainOf, onStatus });
    this.held = new Map(); // id -> {samples: Float32Array or null, coming: Promise}; the newest last
    this.last = { id: null, position: 0, playing: false, step: 1, atS: 0 };
    this.id = null; // the take that is chosen
    this.loop = null; // {startS, endS} that goes round
    [this.sent, this.commanded, this.wanted] = [0, 0, 0];
    this.ready = this.open();
  }

  get rateHz() {
    return this.context.sampleRate;
  }

  get playing() {
    return this.last.playing;
  }

  get step() {
    return this.last.playing ? this.last.step : 0;
  }

  get samples() {
    return this.held.get(this.id)?.samples ?? null;
  }

  get durationS() {
    return (this.samples?.length ?? 0) / this.rateHz;
  }

  /** Where playback is, in seconds from the start of the take, between two reports too. */
  get positionS() {
    const { position, playing, step, atS } = this.last;
    const sinceS = playing ? step * Math.max(0, this.context.currentTime - atS) : 0;
    const nowS = position / this.rateHz + sinceS;
    if (this.samples === null) return Math.max(0, nowS);
    return Math.min(Math.max(0, nowS), this.durationS);
  }

  async open() {
    if (!this.context.audioWorklet) return; // the player has said so
    await this.context.audioWorklet.addModule("/static/deck-worklet.js");
    this.node = new AudioWorkletNode(this.context, "deck", {
      numberOfInputs: 0, outputChannelCount: [1],
    });
    this.node.port.onmessage = ({ data }) => { if (data.knows >= this.commanded) this.report(data); };
    this.node.connect(this.output);
  }

  /** Has a take in memory -> its samples. */
  async hold(id) {
    const there = this.held.get(id);
    if (there) {
      this.held.delete(id); // to be the newest
      this.held.set(id, there);
      return there.coming;
    }
    const taken = { samples: null };
    taken.coming = this.ready.then(() => fetchSamples(id, this.rateHz)).then((samples) => {
      taken.samples = samples;
      this.send({ kind: "load", id, samples });
      this.makeRoom();
      return samples;
    });
    this.held.set(id, taken);
    taken.coming.catch(() => this.held.delete(id));
    return taken.coming;
  }

  makeRoom() {
    let heldS = [...this.held.values()].reduce((s, { samples }) => s + (samples?.length ?? 0) / this.rateHz, 0);
    for (const [id, { samples }] of this.held) {
      if (heldS <= HELD_S) return;
      if (id === this.id || id === this.last.id || samples === null) continue;
      heldS -= samples.length / this.rateHz;
      this.held.delete(id);
      this.send({ kind: "drop", id });
    }
  }

  /** Another take is chosen. What plays goes on in it, at the same place; else it stands there. */
  async choose(id) {
    if (id === this.id) return;
    this.id = id;
    this.loop = null;
    if (id === null) this.pause();
    else if (this.playing) await this.play();
    else this.hold(id).catch(() => {}); // said when it is to be played
  }

  /** Plays the chosen take from `fromS` (where it stands, if absent) to `toS` (the end, if absent). */
  async play(fromS, toS, step = 1) {
    this.context.resume();
    const wanted = ++this.wanted;
    const { id } = this;
    await this.hold(id);
    if (wanted !== this.wanted || id !== this.id) return;
    const bounds = this.bounds(toS);
    if (fromS === undefined && !this.playing) {
      fromS = this.positionS >= this.durationS - 0.01 && step > 0 ? 0 : this.positionS;
      if (this.loop && (fromS < this.loop.startS || fromS >= this.loop.endS)) fromS = this.loop.startS;
    }
    const from = fromS === undefined ? undefined : Math.round(fromS * this.rateHz);
    const gain = 10 ** (this.gainOf(id) / 20);
    this.command({ kind: "play", id, from, step, gain, ...bounds }, { id, playing: true, step });
  }

  bounds(toS) {
    const toSample = (timeS) => Math.round(timeS * this.rateHz);
    if (this.loop === null) return { to: toS === undefined ? undefined : toSample(toS), loops: false };
    return { loopFrom: toSample(this.loop.startS), to: toSample(this.loop.endS), loops: true };
  }

  pause() {
    this.wanted += 1;
    if (this.playing) this.command({ kind: "pause" }, { playing: false });
  }

  /** Goes somewhere: plays on there if it plays. */
  seek(timeS) {
    if (this.playing) this.play(timeS, undefined, Math.max(1, this.last.step));
    else this.stand(timeS);
  }

  stand(timeS) {
    this.report({ ...this.last, id: this.id, position: Math.round(timeS * this.rateHz) });
  }

  /** J and L: one more step of speed backwards (-1) or forwards (1), from where it is. */
  shuttle(direction) {
    const same = this.playing && Math.sign(this.last.step) === direction;
    const step = same ? STEPS[STEPS.indexOf(this.last.step) + direction] : direction;
    if (step !== undefined) this.play(this.playing ? this.positionS : undefined, undefined, step);
  }

  /** Goes round from `startS` to `endS`, or no longer (null). */
  setLoop(loop) {
    this.loop = loop;
    if (!this.playing) return;
    if (loop !== null) this.play(loop.startS);
    else this.send({ kind: "bound" });
  }

  /** The gains have changed. */
  level() {
    if (this.last.id !== null) this.send({ kind: "level", gain: 10 ** (this.gainOf(this.last.id) / 20) });
  }

  command(message, now) {
    const { positionS } = this;
    this.send(message);
    this.commanded = this.sent;
    const position = message.from ?? Math.round(positionS * this.rateHz);
    this.report({ ...this.last, position, atS: this.context.currentTime, ...now });
  }

  report(now) {
    const before = this.last;
    this.last = now;
    if (before.playing !== now.playing || before.step !== now.step) this.onStatus();
  }

  send(message) {
    this.sent += 1;
    this.node?.port.postMessage({ ...message, sent: this.sent });
  }
}
