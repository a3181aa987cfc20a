// The page's side of the player: opens the sound card, hands samples over, says where playback is.
// Knows nothing about where samples come from.

const MAX_RATE_HZ = 96000; // the highest the service makes
const USUAL_RATE_HZ = 48000;

function openContext() {
  const context = new AudioContext({ latencyHint: "interactive" });
  if (context.sampleRate <= MAX_RATE_HZ) return context;
  context.close();
  return new AudioContext({ latencyHint: "interactive", sampleRate: USUAL_RATE_HZ });
}

export class Player {
  /** onStarted: the first sample of a take was played. onStatus: playing or underruns changed. */
  constructor({ onStarted, onStatus }) {
    this.onStarted = onStarted;
    this.onStatus = onStatus;
    this.last = { position: 0, playing: false, sounding: false, underruns: 0, atS: 0 };
    this.heldSamples = 0;
    this.sent = 0;
    this.commanded = 0; // reports that do not know of this message yet are out of date
    this.context = openContext();
    this.output = new GainNode(this.context); // all sound of the page leaves through it
    this.ready = this.open();
  }

  get sampleRateHz() {
    return this.context.sampleRate;
  }

  get playing() {
    return this.last.playing;
  }

  get underruns() {
    return this.last.underruns;
  }

  get heldS() {
    return this.heldSamples / this.sampleRateHz;
  }

  /** Where playback is, in seconds from the start of the take, between two reports too. */
  get positionS() {
    const { position, sounding, playing, atS } = this.last;
    const sinceS = sounding && playing ? Math.max(0, this.context.currentTime - atS) : 0;
    return Math.min(position / this.sampleRateHz + sinceS, this.heldS);
  }

  async open() {
    if (!this.context.audioWorklet) {
      throw new Error(
        "This browser plays a stream only on a secure page: use https, or http on localhost.");
    }
    await this.context.audioWorklet.addModule("/static/player-worklet.js");
    this.node = new AudioWorkletNode(this.context, "take-player", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.node.port.onmessage = ({ data }) => {
      if (data.knows < this.commanded) return;
      if (data.kind === "started") this.onStarted();
      else this.report(data);
    };
    this.node.connect(this.output);
    this.output.connect(this.context.destination);
  }

  /** Browsers let sound start only in reply to a click or a key: call this then. */
  async wake() {
    this.context.resume();
    await this.ready;
  }

  /** Drops the take. */
  clear() {
    this.heldSamples = 0;
    this.report({ ...this.last, position: 0, playing: false, sounding: false, underruns: 0 });
    this.send({ kind: "clear" });
    this.commanded = this.sent;
  }

  /** Appends samples (Float32Array); the array is handed over and empty afterwards. */
  push(samples) {
    this.heldSamples += samples.length;
    this.send({ kind: "push", samples }, [samples.buffer]);
  }

  /** No more samples will come. */
  complete() {
    this.send({ kind: "complete" });
  }

  /** Plays from `fromS` (where it stands, if absent) to `toS` (the end, if absent). */
  play(fromS, toS) {
    this.context.resume();
    this.command({ kind: "play", from: this.toSample(fromS), to: this.toSample(toS) }, true);
  }

  pause() {
    this.command({ kind: "pause" }, false);
  }

  /** Shows at once what the worklet will say a moment later. */
  command(message, playing) {
    this.send(message);
    this.commanded = this.sent;
    const position = message.from ?? Math.round(this.positionS * this.sampleRateHz);
    this.report({ ...this.last, position, playing, sounding: false });
  }

  report(now) {
    const before = this.last;
    this.last = now;
    if (before.playing !== now.playing || before.underruns !== now.underruns) this.onStatus();
  }

  /** Where the sound card could not be opened there is nobody to tell; `ready` has said why. */
  send(message, handedOver = []) {
    this.sent += 1;
    this.node?.port.postMessage({ ...message, sent: this.sent }, handedOver);
  }

  toSample(timeS) {
    return timeS === undefined ? undefined : Math.round(timeS * this.sampleRateHz);
  }
}
