// Plays one take out of a store that is still growing. Knows nothing about HTTP or drawing.
//
// in:  {kind: "clear" | "complete" | "pause"} {kind: "push", samples} {kind: "play", from, to}
// out: {kind: "status", position, playing, sounding, underruns, atS} and, once per take,
//      {kind: "started"}. `sent` numbers what came in; a status says up to which it knows.
// Positions count samples from the start of the take.

const BLOCK_BITS = 16;
const BLOCK_SAMPLES = 1 << BLOCK_BITS;
const FADE_SAMPLES = Math.round(0.005 * sampleRate); // short enough for a cut, long enough not to click
const FIRST_SAMPLES = Math.round(0.08 * sampleRate); // held before the first sound, at least
const REFILL_SAMPLES = Math.round(0.4 * sampleRate); // held again after a dropout
const STATUS_EVERY_SAMPLES = 1024;

class TakePlayer extends AudioWorkletProcessor {
  constructor() {
    super();
    this.tail = [];
    this.sinceStatus = 0;
    this.underruns = 0;
    this.firstHoldSamples = FIRST_SAMPLES;
    this.forget();
    this.knows = 0;
    this.port.onmessage = ({ data }) => {
      this.knows = data.sent;
      this[data.kind](data);
    };
  }

  /** After a take with a dropout the next one starts with more held, and less again later. */
  forget() {
    const calmerSamples = Math.max(FIRST_SAMPLES, this.firstHoldSamples / 2);
    this.firstHoldSamples = this.underruns > 0 ? REFILL_SAMPLES : calmerSamples;
    this.blocks = [];
    this.length = 0;
    this.isComplete = false;
    this.position = 0;
    this.stopAt = Infinity;
    this.jumpTo = null; // taken once the fade has reached silence
    this.playing = false;
    this.started = false;
    this.starved = true; // until the first samples are held
    this.holdSamples = this.firstHoldSamples;
    this.gain = 0;
    this.underruns = 0;
  }

  clear() {
    this.playing = false;
    while (this.gain > 0) this.tail.push(this.nextSample()); // the old take fades, it is not cut
    this.forget();
  }

  push({ samples }) {
    for (let done = 0; done < samples.length;) {
      const at = this.length & (BLOCK_SAMPLES - 1);
      if (at === 0) this.blocks.push(new Float32Array(BLOCK_SAMPLES));
      const part = samples.subarray(done, done + BLOCK_SAMPLES - at);
      this.blocks[this.length >> BLOCK_BITS].set(part, at);
      this.length += part.length;
      done += part.length;
    }
  }

  complete() {
    this.isComplete = true;
  }

  play({ from, to }) {
    this.stopAt = to ?? Infinity;
    if (from !== undefined && from !== this.position) this.jumpTo = from;
    this.playing = true;
    this.postStatus();
  }

  pause() {
    this.playing = false;
    this.postStatus();
  }

  /** Whether there is nothing to read on with; counts a dropout when that begins mid-sound. */
  isStarved() {
    const left = this.length - this.position;
    if (this.isComplete) this.starved = false;
    else if (this.starved) this.starved = left < this.holdSamples;
    else if (left <= FADE_SAMPLES) {
      this.starved = true;
      if (this.gain > 0) {
        this.holdSamples = REFILL_SAMPLES;
        this.underruns += 1;
        this.jumpTo = this.position; // what fades out now is heard again, whole, afterwards
      }
    }
    return this.starved;
  }

  nextSample() {
    if (this.jumpTo === null && this.position >= this.stopAt) this.playing = false;
    if (this.gain === 0 && this.jumpTo !== null) {
      this.position = this.jumpTo;
      this.jumpTo = null;
    }
    const audible = this.playing && this.jumpTo === null && !this.isStarved();
    if (audible && this.position === 0) this.gain = 1; // a take's first samples are heard as they are
    else this.gain = Math.min(1, Math.max(0, this.gain + (audible ? 1 : -1) / FADE_SAMPLES));
    if (this.gain === 0) return 0;
    if (this.position >= this.length) {
      this.playing = false; // only a complete take is read to its last sample
      this.gain = 0;
      return 0;
    }
    if (!this.started) {
      this.started = true;
      this.port.postMessage({ kind: "started", knows: this.knows });
    }
    const i = this.position++;
    return this.gain * this.blocks[i >> BLOCK_BITS][i & (BLOCK_SAMPLES - 1)];
  }

  process(_inputs, [[out]]) {
    const wasPlaying = this.playing;
    for (let i = 0; i < out.length; i++) {
      out[i] = this.tail.length > 0 ? this.tail.shift() : this.nextSample();
    }
    this.sinceStatus += out.length;
    if (this.sinceStatus >= STATUS_EVERY_SAMPLES || wasPlaying !== this.playing) this.postStatus();
    return true;
  }

  postStatus() {
    this.sinceStatus = 0;
    this.port.postMessage({
      kind: "status",
      knows: this.knows,
      position: this.jumpTo ?? this.position,
      playing: this.playing,
      sounding: this.gain > 0,
      underruns: this.underruns,
      atS: currentTime,
    });
  }
}

registerProcessor("take-player", TakePlayer);
