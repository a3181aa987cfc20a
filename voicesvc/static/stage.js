// What is heard and seen of a take: one that is being made, or one that is kept. Each has its player
// and its waveform; here they look alike. Knows nothing about how takes come to be.

import { Deck } from "/static/deck.js";
import { Player } from "/static/player.js";
import { TakeWave } from "/static/takewave.js";
import { seconds } from "/static/units.js";
import { Waveform } from "/static/waveform.js";
import { Words } from "/static/words.js";

export class Stage {
  /** find(id) -> element; show(id, text); lane: laid out with the words; gainOf(takeId) -> dB;
   *  onStarted(): the first sample of a new take was played; onStatus(): something else plays;
   *  onTime(timeS): playback is somewhere else; onShow(word or null).
   */
  constructor({ find, show, lane, gainOf, onStarted, onStatus, onTime, onShow }) {
    Object.assign(this, { find, show, onStatus, onTime });
    this.kept = null; // the take that is shown if it is a kept one
    this.player = new Player({ onStarted, onStatus });
    this.deck = new Deck({ output: this.player.output, gainOf, onStatus });
    this.words = new Words({
      list: find("words"),
      onPlay: (word) => this.head.play(word.start_s, word.end_s),
      onShow,
    });
    const at = { strip: find("strip"), scroller: find("timeline"), onSeek: (timeS) => this.seek(timeS),
      onLayout: (pxPerS) => {
        this.words.layout(pxPerS);
        lane.layout(pxPerS);
      } };
    this.waveform = new Waveform({ canvas: find("wave"), sampleRateHz: this.player.sampleRateHz, ...at });
    this.takeWave = new TakeWave({
      box: find("kept-wave"), spectrogram: find("spectrogram"), onLoop: (loop) => this.setLoop(loop), ...at });
    this.animate();
  }

  get head() {
    return this.kept ? this.deck : this.player;
  }

  get view() {
    return this.kept ? this.takeWave : this.waveform;
  }

  get playing() {
    return this.head.playing;
  }

  get positionS() {
    return this.head.positionS;
  }

  get durationS() {
    return this.view.durationS;
  }

  get hasAudio() {
    return this.kept ? this.kept.state === "complete" : this.waveform.lengthSamples > 0;
  }

  // --- which take ---

  /** The take being made is shown. */
  showLive() {
    if (this.kept === null) return;
    this.deck.pause();
    this.kept = null;
    this.takeWave.hide();
    this.waveform.isShown = true;
    this.swapViews();
    this.waveform.layout();
  }

  /** A kept take is shown; what plays goes on in it, at the same place. */
  showKept(take, peaks) {
    const [wasPlaying, wasAtS, wasLive] = [this.playing, this.positionS, this.kept === null];
    this.kept = take;
    this.player.pause();
    this.waveform.isShown = false;
    this.swapViews();
    this.takeWave.show(take.duration_s, peaks);
    if (wasLive) this.deck.stand(0);
    this.deck.choose(take.id);
    if (wasLive && wasPlaying) this.deck.play(wasAtS);
    this.find("spectrum").setAttribute("aria-pressed", "false");
    this.showLoop();
    this.onStatus();
  }

  /** Nothing is shown. */
  clear() {
    this.player.pause();
    this.player.clear();
    this.showLive();
    this.waveform.clear();
    this.words.clear();
  }

  swapViews() {
    const isKept = this.kept !== null;
    this.find("wave").hidden = isKept;
    this.find("kept-wave").hidden = !isKept;
    this.words.clear();
  }

  // --- playing ---

  toggle(isGrowing) {
    if (!this.hasAudio) return;
    if (this.playing) this.head.pause();
    else if (!isGrowing && this.positionS >= this.durationS - 0.01) this.head.play(0);
    else this.head.play();
  }

  seek(timeS) {
    if (this.kept === null) this.player.play(timeS);
    else this.deck.seek(timeS);
  }

  /** J and L: back and on; a take being made only plays on. */
  jog(direction) {
    if (!this.hasAudio) return;
    if (this.kept) this.deck.shuttle(direction);
    else if (direction > 0) this.toggleOn();
    else this.player.play(Math.max(0, this.player.positionS - 1));
  }

  toggleOn() {
    if (!this.playing) this.toggle(false);
  }

  /** The word at the playhead, or the one that begins next. */
  wordHere() {
    const { positionS } = this;
    return this.words.words.find((word) => positionS < word.end_s) ?? this.words.words.at(-1) ?? null;
  }

  toWord(direction) {
    const starts = this.words.words.map((word) => word.start_s);
    const hereS = this.positionS;
    const to = direction > 0 ? starts.find((s) => s > hereS + 0.01) : starts.findLast((s) => s < hereS - 0.05);
    if (to !== undefined) this.seek(to);
  }

  toggleLoop() {
    const word = this.wordHere();
    if (this.kept === null || word === null) return;
    this.setLoop(this.deck.loop ? null : { startS: word.start_s, endS: word.end_s });
  }

  setLoop(loop) {
    this.deck.setLoop(loop);
    this.showLoop();
    if (loop !== null && !this.deck.playing) this.deck.play(loop.startS);
  }

  showLoop() {
    const { loop } = this.deck;
    this.takeWave.showLoop(loop);
    this.find("loop").setAttribute("aria-pressed", String(loop !== null));
  }

  async toggleSpectrogram() {
    if (this.kept === null) return;
    const button = this.find("spectrum");
    const wanted = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(wanted));
    if (!wanted) this.takeWave.hideSpectrogram();
    else {
      const { id } = this.kept;
      const samples = await this.deck.hold(id);
      if (this.kept?.id === id && button.getAttribute("aria-pressed") === "true") this.takeWave.showSpectrogram(samples);
    }
  }

  // --- showing ---

  animate() {
    const { positionS, view } = this;
    if (this.hasAudio && (positionS !== view.playheadS || positionS !== this.toldS)) {
      view.moveTo(positionS, this.playing);
      this.words.moveTo(positionS);
      this.tell(positionS);
    }
    requestAnimationFrame(() => this.animate());
  }

  tell(positionS) {
    this.toldS = positionS;
    this.show("position", seconds(positionS));
    const slider = this.find(this.kept ? "kept-wave" : "wave");
    slider.setAttribute("aria-valuenow", positionS.toFixed(2));
    slider.setAttribute("aria-valuemax", this.durationS.toFixed(2));
    slider.setAttribute("aria-valuetext", `${positionS.toFixed(1)} of ${seconds(this.durationS, 1)}`);
    this.onTime(positionS);
  }
}
