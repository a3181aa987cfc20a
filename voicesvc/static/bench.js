// Where takes are made that are heard at once: a line is planned, its plan spoken, its words followed.
// A new take replaces the one being made; a change is spoken again by itself.

import { fetchFile, fetchTimings, speak } from "/static/service.js";
import { seconds } from "/static/units.js";

const TIMINGS_POLL_MS = 200;
const SETTLE_MS = 150; // a change is rendered once nothing has changed for so long
const SCENE_CHARS = 1000; // longer texts are spoken as they are planned, without a lane

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Bench {
  /** find(id) -> element; show(id, text); lineOf() -> {actor, text}; canSpeak() -> boolean;
   *  onChange(): another state; onAnswer(answer): its first bytes came; onProblem(error or null, brokenAtS);
   *  onMade(take): it is complete.
   */
  constructor({ find, show, stage, director, lineOf, canSpeak, onChange, onAnswer, onProblem, onMade }) {
    Object.assign(this, { find, show, stage, director, lineOf, canSpeak, onChange, onAnswer, onProblem, onMade });
    this.take = null; // what was asked for, what came back, and how far it is
    this.settling = 0; // the timer of a change that is to be rendered
  }

  get isBusy() {
    return this.take?.state === "asked" || this.take?.state === "making";
  }

  /** A change is heard by itself, once there is a line to hear it on. */
  settle({ drawSeed = false }) {
    if ((this.take === null && this.stage.kept === null) || !this.canSpeak()) return;
    clearTimeout(this.settling);
    const changedMs = performance.now();
    this.settling = setTimeout(() => this.start({ drawSeed, changedMs }), SETTLE_MS);
  }

  /** Speaks the line; with `keepIn`, the id of a line, the take is kept as one of that line's. */
  async start({ drawSeed = false, changedMs = performance.now(), keepIn = null } = {}) {
    clearTimeout(this.settling);
    const { stage } = this;
    this.take?.abort.abort(); // closes the connection, so the service stops computing too
    if (this.take?.state === "making") {
      this.take.state = "stopped";
      stage.player.complete(); // what there is of it is heard until the new one comes
    }
    const made = {
      line: this.lineOf(),
      keepIn,
      abort: new AbortController(),
      changedMs,
      state: "asked",
      before: this.take?.state === "asked" ? this.take.before : this.take,
    };
    this.take = made;
    this.onProblem(null);
    this.onChange();
    try {
      await stage.player.wake();
      await this.ask(made, drawSeed);
      if (this.take !== made) return;
      this.followTimings(made);
      for await (const samples of made.answer.samples) {
        if (this.take !== made) return;
        if (stage.waveform.lengthSamples === 0) stage.player.play();
        stage.waveform.push(samples);
        stage.player.push(samples);
        this.onChange();
      }
      made.state = "made";
    } catch (error) {
      if (this.take !== made) return;
      this.failed(made, error);
    }
    stage.player.complete();
    stage.waveform.complete();
    this.onChange();
    this.onMade(made);
  }

  /** A line is planned first and its plan rendered; the take before is heard until then. */
  async ask(made, drawSeed) {
    const { stage, director } = this;
    const { line, abort: { signal } } = made;
    const { fit } = director.delivery.value;
    let skipped = null;
    if (line.text.length > SCENE_CHARS) {
      director.forget();
      this.show("notice", `Longer than ${SCENE_CHARS} characters: spoken while it is planned, without a lane.`);
      made.body = { ...line, ...director.fields(drawSeed), ...(fit && { fit }) };
    } else {
      const planned = await director.plan(line, drawSeed, signal);
      [made.body, skipped] = [{ plan: planned.plan }, planned.skipped];
      made.isPlanned = true;
      // A take of the script says itself how it was asked for; its plan is the same.
      if (made.keepIn !== null && !director.isEdited) made.body = { ...line, ...director.fields(false), ...(fit && { fit }) };
    }
    const answer = await speak(made.body, { sampleRateHz: stage.player.sampleRateHz, keepIn: made.keepIn, signal });
    if (this.take !== made) return;
    Object.assign(made, { state: "making", id: answer.takeId, seed: answer.seed, answer, before: null });
    stage.player.clear();
    stage.showLive();
    stage.waveform.clear();
    this.onAnswer({ ...answer, skipped: answer.skipped ?? skipped });
    if (made.isPlanned) {
      director.reshow();
      stage.waveform.expect(director.heardS, true);
    } else {
      made.body.seed = answer.seed;
      director.drew(answer);
      stage.words.clear();
    }
  }

  /** What is refused leaves the take before it as it was. */
  failed(made, error) {
    const stopped = made.abort.signal.aborted;
    const brokenAtS = made.state === "making" ? this.stage.waveform.durationS : 0;
    if (!stopped) this.onProblem(error, brokenAtS);
    const kept = made.state === "asked" && made.before !== null;
    if (kept) this.take = made.before;
    else made.state = stopped ? "stopped" : "broken";
    this.take.note = kept && !stopped ? "Not made; the take before is kept." : "";
  }

  stop() {
    clearTimeout(this.settling);
    this.stage.player.pause();
    this.take?.abort.abort();
  }

  /** The bench is cleared: nothing is made on it, and no change is spoken by itself. */
  leave() {
    this.stop();
    this.take = null;
    this.onChange();
  }

  /** Words are read while the take is being made, and once more when it is complete. */
  async followTimings(made) {
    for (let asksAfterEnd = 0; this.take === made && asksAfterEnd < 10;) {
      if (made.state !== "making") asksAfterEnd += 1;
      const askedMs = performance.now();
      try {
        const timings = await fetchTimings(made.id);
        if (this.take !== made || this.stage.kept) return;
        if (made.isPlanned) this.director.timed(timings.words);
        else {
          this.stage.words.update(timings.words);
          this.stage.waveform.expect(timings.words.at(-1)?.end_s ?? 0);
        }
        if (timings.complete || made.state === "stopped" || made.state === "broken") return;
      } catch (error) {
        if (this.take === made) this.onProblem(error);
        return;
      }
      const tookMs = performance.now() - askedMs; // long for a scene, and then asked less often
      await sleep(Math.max(TIMINGS_POLL_MS, 10 * tookMs));
    }
  }

  /** The very plan that was heard, as a file -> {blob, line, seed}. */
  async file(asked) {
    const { body, line, seed } = this.take;
    return { blob: await fetchFile({ ...body, ...asked }), line, seed };
  }

  get status() {
    const { player, waveform } = this.stage;
    const { durationS } = waveform;
    switch (this.take?.state) {
      case "asked": return "Waiting for the first audio…";
      case "making": return player.playing ? "Making and playing…" : "Making…";
      case "stopped": return durationS > 0 ? `Stopped after ${seconds(durationS)}.` : "Stopped.";
      case "broken": return durationS > 0 ? "Not finished." : "Not made.";
      case "made": return this.take.note || (player.playing ? "Playing." : "Ready.");
      default: return "";
    }
  }
}
