// The audition page: what the buttons do, and the order in which a take is made and shown.

import { Actors } from "/static/actors.js";
import { Director } from "/static/director.js";
import { Files } from "/static/files.js";
import { Player } from "/static/player.js";
import { fetchFile, fetchTimings, Problem, speak } from "/static/service.js";
import { seconds } from "/static/units.js";
import { Waveform } from "/static/waveform.js";
import { Words } from "/static/words.js";

const TIMINGS_POLL_MS = 200;
const SETTLE_MS = 150; // a change is rendered once nothing has changed for so long
const SCENE_CHARS = 1000; // longer texts are spoken as they are planned, without a lane

const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const show = (id, text) => {
  if ($(id).textContent !== String(text)) $(id).textContent = text; // said aloud once, not again
};

let take = null; // what was asked for, what came back, and how far it is
let settling = 0; // the timer of a change that is to be rendered

const player = new Player({ onStarted, onStatus: refresh });
const words = new Words({
  list: $("words"),
  onPlay: (word) => player.play(word.start_s, word.end_s),
  onShow: showWord,
});
const director = new Director({ find: $, show, onChange: settle, onWords: showWords });
const waveform = new Waveform({
  canvas: $("wave"),
  strip: $("strip"),
  scroller: $("timeline"),
  sampleRateHz: player.sampleRateHz,
  onSeek: (timeS) => player.play(timeS),
  onLayout: (pxPerS) => {
    words.layout(pxPerS);
    director.lane.layout(pxPerS);
  },
});
const files = new Files($("format"), $("file-rate"));
const actors = new Actors({
  find: $,
  show,
  onChange: refresh,
  onEmotions: (emotions) => director.delivery.pad.offer(emotions),
});

// --- making a take ---

/** A change is heard by itself, once there is a line to hear it on. */
function settle({ drawSeed = false }) {
  if (take === null || $("speak").disabled) return;
  clearTimeout(settling);
  const changedMs = performance.now();
  settling = setTimeout(() => startTake({ drawSeed, changedMs }), SETTLE_MS);
}

async function startTake({ drawSeed = false, changedMs = performance.now() } = {}) {
  clearTimeout(settling);
  take?.abort.abort(); // closes the connection, so the service stops computing too
  if (take?.state === "making") {
    take.state = "stopped";
    player.complete(); // what there is of it is heard until the new one comes
  }
  const actor = actors.chosen;
  const made = {
    line: { actor: actor.actor_id, text: $("text").value },
    abort: new AbortController(),
    changedMs,
    state: "asked",
    before: take?.state === "asked" ? take.before : take,
  };
  take = made;
  showProblem(null);
  refresh();
  try {
    await player.wake();
    await ask(made, drawSeed);
    if (take !== made) return;
    followTimings(made);
    for await (const samples of made.answer.samples) {
      if (take !== made) return;
      if (waveform.lengthSamples === 0) player.play();
      waveform.push(samples);
      player.push(samples);
      refresh();
    }
    made.state = "made";
  } catch (error) {
    if (take !== made) return;
    failed(made, error);
  }
  player.complete();
  waveform.complete();
  refresh();
  if (actor.state !== "ready") actors.watch(); // the take may have loaded the voice
}

/** A line is planned first and its plan rendered; the take before is heard until then. */
async function ask(made, drawSeed) {
  const { line, abort: { signal } } = made;
  const { fit } = director.delivery.value;
  let skipped = null;
  if (line.text.length > SCENE_CHARS) {
    director.forget();
    show("notice", `Longer than ${SCENE_CHARS} characters: spoken while it is planned, without a lane.`);
    made.body = { ...line, ...director.fields(drawSeed), ...(fit && { fit }) };
  } else {
    const planned = await director.plan(line, drawSeed, signal);
    [made.body, skipped] = [{ plan: planned.plan }, planned.skipped];
  }
  const answer = await speak(made.body, player.sampleRateHz, signal);
  if (take !== made) return;
  Object.assign(made, { state: "making", id: answer.takeId, seed: answer.seed, answer, before: null });
  player.clear();
  clearTake();
  if (made.body.plan) waveform.expect(director.heardS, true);
  else {
    made.body.seed = answer.seed;
    director.drew(answer);
    words.clear();
  }
  showAnswer({ ...answer, skipped: answer.skipped ?? skipped });
}

/** What is refused leaves the take before it as it was. */
function failed(made, error) {
  const stopped = made.abort.signal.aborted;
  if (!stopped) showProblem(error, made.state === "making" ? waveform.durationS : 0);
  const kept = made.state === "asked" && made.before !== null;
  if (kept) take = made.before;
  else made.state = stopped ? "stopped" : "broken";
  take.note = kept && !stopped ? "Not made; the take before is kept." : "";
}

function stopTake() {
  clearTimeout(settling);
  player.pause();
  take?.abort.abort();
}

/** Words are read while the take is being made, and once more when it is complete. */
async function followTimings(made) {
  for (let asksAfterEnd = 0; take === made && asksAfterEnd < 10;) {
    if (made.state !== "making") asksAfterEnd += 1;
    const askedMs = performance.now();
    try {
      const timings = await fetchTimings(made.id);
      if (take !== made) return;
      if (made.body.plan) director.timed(timings.words);
      else {
        words.update(timings.words);
        waveform.expect(timings.words.at(-1)?.end_s ?? 0);
      }
      if (timings.complete || made.state === "stopped" || made.state === "broken") return;
    } catch (error) {
      if (take === made) showProblem(error);
      return;
    }
    const tookMs = performance.now() - askedMs; // long for a scene, and then asked less often
    await sleep(Math.max(TIMINGS_POLL_MS, 10 * tookMs));
  }
}

/** The very plan that was heard, as a file. */
async function download() {
  const { body, line, seed } = take;
  showProblem(null);
  $("download").disabled = true;
  show("status", "Making the file…");
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await fetchFile({ ...body, ...files.body }));
    link.download = files.name({ ...line, seed });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    showProblem(error);
  }
  refresh();
}

// --- showing ---

function clearTake() {
  waveform.clear();
  showWord(null);
  for (const id of ["first-audio", "duration", "position", "seed", "rate", "underruns", "take"]) show(id, "–");
  delete $("underruns").dataset.bad;
  $("skipped").hidden = true;
}

function showAnswer({ takeId, seed, sampleRateHz, skipped }) {
  show("take", takeId);
  show("seed", seed);
  show("rate", `${(sampleRateHz / 1000).toFixed(1)} kHz`);
  $("skipped").hidden = !skipped;
  if (skipped) show("skipped", `Not spoken: ${skipped}`);
}

function onStarted() {
  take.firstAudioMs = performance.now() - take.changedMs;
  show("first-audio", `${Math.round(take.firstAudioMs)} ms`);
}

/** An error's own words, then where it was and what would have been right. */
function showProblem(error, brokenAtS = 0) {
  $("problem").hidden = error === null;
  if (error === null) return;
  let title = "The line cannot be played here";
  if (error instanceof Problem) ({ title } = error);
  else if (brokenAtS > 0) title = `The take broke off after ${seconds(brokenAtS)}`;
  else if (error instanceof TypeError) title = "The service could not be reached"; // as fetch says it
  show("problem-title", title);
  show("problem-detail", error.message);
  show("problem-where", error.where ? `Where: ${error.where}` : "");
  show("problem-valid", error.valid ? `Valid: ${[error.valid].flat().join(", ")}` : "");
}

function showWord(word) {
  const phonemes = word?.phonemes.map((p) => p.symbol).join(" ");
  show("word-detail", word
    ? `${word.text}  /${phonemes}/  ${seconds(word.start_s, 3)} – ${seconds(word.end_s, 3)}`
    : "Point at a word for its phonemes and times; click it to hear it alone.");
}

/** Words of a layout, each with the service's own timing once there is one. */
function showWords(laid) {
  words.update(laid.map(({ text, startS, endS, phonemes, heard }) =>
    heard ?? { text, start_s: startS, end_s: endS, phonemes }));
}

function statusText() {
  const durationS = waveform.durationS;
  switch (take?.state) {
    case "asked": return "Waiting for the first audio…";
    case "making": return player.playing ? "Making and playing…" : "Making…";
    case "stopped": return durationS > 0 ? `Stopped after ${seconds(durationS)}.` : "Stopped.";
    case "broken": return durationS > 0 ? "Not finished." : "Not made.";
    case "made": return take.note || (player.playing ? "Playing." : "Ready.");
    default: return "";
  }
}

/** Brings buttons, readings and status in line with what is going on. */
function refresh() {
  const busy = take?.state === "asked" || take?.state === "making";
  const hasAudio = waveform.lengthSamples > 0;
  const state = actors.chosen?.state;
  $("speak").disabled = state !== "ready" && state !== "idle";
  $("stop").disabled = !busy && !player.playing;
  $("play").disabled = !hasAudio;
  show("play", player.playing ? "Pause" : "Play");
  $("keep-seed").disabled = director.seed === null;
  $("download").disabled = take?.state !== "made";
  $("empty").hidden = take !== null;
  $("wave").setAttribute("aria-disabled", String(!hasAudio));
  $("wave").setAttribute("aria-valuemax", waveform.durationS.toFixed(2));
  if (hasAudio) {
    show("duration", seconds(waveform.durationS) + (take.state === "making" ? "…" : ""));
    show("underruns", player.underruns);
    $("underruns").dataset.bad = String(player.underruns > 0);
  }
  show("status", statusText());
}

function animate() {
  if (waveform.lengthSamples > 0 && player.positionS !== waveform.playheadS) {
    const { positionS } = player;
    waveform.moveTo(positionS, player.playing);
    words.moveTo(positionS);
    show("position", seconds(positionS));
    $("wave").setAttribute("aria-valuenow", positionS.toFixed(2));
    $("wave").setAttribute("aria-valuetext", `${positionS.toFixed(1)} of ${seconds(waveform.durationS, 1)}`);
  }
  requestAnimationFrame(animate);
}

// --- controls ---

function togglePlay() {
  if (waveform.lengthSamples === 0) return;
  if (player.playing) player.pause();
  else if (take.state !== "making" && player.positionS >= waveform.durationS - 0.01) player.play(0);
  else player.play();
}

function speakLine() {
  startTake({ drawSeed: !$("keep-seed").checked });
}

function onKey(event) {
  const { target } = event;
  const inField = target.closest("input, textarea, select, button, a, summary");
  const types = target.closest("textarea, input[type=number], input[type=text]"); // it has its own undo
  const key = event.key.toLowerCase();
  const command = event.ctrlKey || event.metaKey;
  if (key === "enter" && command) {
    event.preventDefault();
    if (!$("speak").disabled) speakLine();
  } else if (command && !types && (key === "z" || key === "y")) {
    event.preventDefault();
    if (key === "y" || event.shiftKey) director.redo();
    else director.undo();
  } else if (key === "escape") stopTake();
  else if (key === " " && !inField) {
    event.preventDefault();
    togglePlay();
  }
}

$("line").addEventListener("submit", (event) => { event.preventDefault(); speakLine(); });
$("stop").addEventListener("click", stopTake);
$("play").addEventListener("click", togglePlay);
$("download").addEventListener("click", download);
document.addEventListener("keydown", onKey);

showWord(null);
refresh();
animate();
player.ready.catch((error) => showProblem(error));
actors.watch();
