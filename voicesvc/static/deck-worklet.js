// Plays kept takes: whole in memory, any of them from any place at any moment, joined by fades.
// Knows nothing about HTTP or drawing.
//
// in:  {kind: "load", id, samples} {kind: "drop", id} {kind: "pause"} {kind: "level", gain}
//      {kind: "play", id, from, to, loops, loopFrom, step, gain}: from `from` (where it stands, if
//      absent) to `to` (the end, if absent) or round and round from `loopFrom` to `to`, `step` samples
//      at once: 1, more, or backwards below 0
//      {kind: "bound", to, loops, loopFrom}: the same for what plays already
// out: {kind: "status", knows, id, position, playing, step, atS}; `knows`: the newest `sent` that came

const FADE_SAMPLES = Math.round(0.005 * sampleRate); // short enough for a cut, long enough not to click
const STATUS_EVERY_SAMPLES = 1024;

/** One take being read; it fades in and out, so that another can begin while it ends. */
class Voice {
  constructor({ samples, position, step, gain, level }) {
    Object.assign(this, { samples, position, step, gain, level, isEnding: false });
    this.gainWanted = gain;
  }

  get isOver() {
    const outside = this.position >= this.samples.length || this.position < 0;
    return outside || (this.isEnding && this.level === 0);
  }

  next() {
    this.level = Math.min(1, Math.max(0, this.level + (this.isEnding ? -1 : 1) / FADE_SAMPLES));
    if (this.gain !== this.gainWanted) this.turn();
    const value = this.gain * this.samples[this.position];
    this.position += this.step;
    // Two takes have nothing in common: their powers add up, so it is powers that are faded.
    return this.level === 1 ? value : value * Math.sin(this.level * Math.PI / 2);
  }

  turn() {
    const way = this.gainWanted - this.gain;
    this.gain += Math.sign(way) * Math.min(Math.abs(way), 1 / FADE_SAMPLES);
  }
}

class Deck extends AudioWorkletProcessor {
  constructor() {
    super();
    this.takes = new Map(); // id -> Float32Array
    this.voice = null;
    this.ending = [];
    this.id = null;
    this.position = 0;
    this.step = 1;
    this.bound({});
    this.knows = 0;
    this.sinceStatus = 0;
    this.port.onmessage = ({ data }) => {
      this.knows = data.sent;
      this[data.kind](data);
    };
  }

  load({ id, samples }) {
    this.takes.set(id, samples);
  }

  drop({ id }) {
    this.takes.delete(id);
  }

  level({ gain }) {
    if (this.voice !== null) this.voice.gainWanted = gain;
  }

  bound({ loopFrom = 0, to = Infinity, loops = false }) {
    [this.loopFrom, this.stopAt, this.loops] = [loopFrom, to, loops];
  }

  play({ id, from, step, gain, ...bounds }) {
    this.bound(bounds);
    const goesOn = this.voice !== null && id === this.id && step === this.step && from === undefined;
    [this.id, this.step] = [id, step];
    if (goesOn) this.level({ gain });
    else this.begin(from ?? this.voice?.position ?? this.position, gain);
    this.postStatus();
  }

  pause() {
    this.end();
    this.postStatus();
  }

  begin(position, gain) {
    const wasSilent = this.voice === null && this.ending.length === 0;
    this.end();
    const samples = this.takes.get(this.id);
    const at = this.step < 0 ? Math.min(position, samples.length - 1) : position;
    const isWhole = wasSilent && at === 0 && this.step > 0; // a take's first samples are heard as they are
    this.voice = new Voice({ samples, position: at, step: this.step, gain, level: isWhole ? 1 : 0 });
  }

  /** What sounds fades out from where it is. */
  end() {
    if (this.voice === null) return;
    this.position = this.voice.position;
    this.voice.isEnding = true;
    this.ending.push(this.voice);
    this.voice = null;
  }

  nextSample() {
    let sum = 0;
    for (const voice of this.ending) if (!voice.isOver) sum += voice.next();
    if (this.voice === null) return sum;
    const { position } = this.voice;
    if (this.loops && position >= this.stopAt) this.begin(this.loopFrom, this.voice.gainWanted);
    else if (!this.loops && position >= this.stopAt - FADE_SAMPLES) this.end();
    if (this.voice?.isOver) {
      this.position = Math.min(Math.max(0, this.voice.position), this.voice.samples.length);
      this.voice = null;
    }
    return this.voice === null ? sum : sum + this.voice.next();
  }

  process(_inputs, [[out]]) {
    const wasPlaying = this.voice !== null;
    if (wasPlaying || this.ending.length > 0) {
      for (let i = 0; i < out.length; i++) out[i] = this.nextSample();
      this.ending = this.ending.filter((voice) => !voice.isOver);
    }
    this.sinceStatus += out.length;
    const isPlaying = this.voice !== null;
    const isDue = isPlaying && this.sinceStatus >= STATUS_EVERY_SAMPLES;
    if (isDue || wasPlaying !== isPlaying) this.postStatus();
    return true;
  }

  postStatus() {
    this.sinceStatus = 0;
    this.port.postMessage({
      kind: "status",
      knows: this.knows,
      id: this.id,
      position: this.voice?.position ?? this.position,
      playing: this.voice !== null,
      step: this.step,
      atS: currentTime,
    });
  }
}

registerProcessor("deck", Deck);
