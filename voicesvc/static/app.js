// The audition page: what the buttons do, and the order in which a take is made and shown.

import { Player } from "/static/player.js";
import { fetchActors, fetchFile, fetchTimings, Problem, speak } from "/static/service.js";
import { Waveform } from "/static/waveform.js";
import { Words } from "/static/words.js";

const ACTORS_POLL_MS = 1000;
const TIMINGS_POLL_MS = 200;
const FILES = {
  wav24: { label: "WAV 24-bit", extension: "wav", body: { format: "wav", bit_depth: 24 } },
  wav16: { label: "WAV 16-bit", extension: "wav", body: { format: "wav", bit_depth: 16 } },
  wav32f: { label: "WAV 32-bit float", extension: "wav", body: { format: "wav", bit_depth: "32f" } },
  flac: { label: "FLAC", extension: "flac", body: { format: "flac" } },
  opus: { label: "Opus", extension: "ogg", body: { format: "opus" }, ratesHz: [48000] },
  mp3: { label: "MP3", extension: "mp3", body: { format: "mp3" }, ratesHz: [48000, 44100] },
};
const FILE_RATES_HZ = [48000, 44100, 96000, 24000, 22050, 16000];

const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const show = (id, text) => {
  if ($(id).textContent !== String(text)) $(id).textContent = text; // said aloud once, not again
};
const seconds = (s, digits = 2) => `${s.toFixed(digits)} s`;

let actors = [];
let take = null; // what was asked for, what came back, and how far it is

const player = new Player({ onStarted, onStatus: refresh });
const words = new Words({
  list: $("words"),
  onPlay: (word) => player.play(word.start_s, word.end_s),
  onShow: showWord,
});
const waveform = new Waveform({
  canvas: $("wave"),
  strip: $("strip"),
  scroller: $("timeline"),
  sampleRateHz: player.sampleRateHz,
  onSeek: (timeS) => player.play(timeS),
  onLayout: (pxPerS) => words.layout(pxPerS),
});

// --- actors ---

const actorNotes = {
  ready: (actor) => [actor.language, actor.engine, actor.demonstration && "for demonstration only"],
  idle: (actor) => [actor.language, actor.engine, "loads when first used"],
  loading: () => ["loading, ready in a moment"],
  failed: (actor) => ["cannot be used", actor.reason],
};

function showActors() {
  const select = $("actor");
  const chosen = select.value;
  select.replaceChildren(...actors.map((actor) => {
    const suffix = { loading: " (loading)", failed: " (failed)" }[actor.state] ?? "";
    const option = new Option((actor.name ?? actor.actor_id) + suffix, actor.actor_id);
    option.disabled = actor.state === "failed";
    return option;
  }));
  if (actors.length === 0) {
    select.replaceChildren(new Option("No actors", ""));
    show("actor-note", "The service has no actor packs. Import one with: voicesvc pack import-piper");
  } else {
    const usable = actors.find((a) => a.actor_id === chosen && a.state !== "failed")
      ?? actors.find((a) => a.state === "ready") ?? actors.find((a) => a.state !== "failed");
    select.value = (usable ?? actors[0]).actor_id;
    showActorNote();
  }
  select.disabled = actors.length === 0;
  refresh();
}

function chosenActor() {
  return actors.find((actor) => actor.actor_id === $("actor").value);
}

function showActorNote() {
  const actor = chosenActor();
  show("actor-note", actorNotes[actor.state](actor).filter(Boolean).join(" · "));
  $("actor-note").dataset.state = actor.state;
  const terms = Object.entries(actor.licence ?? {}).filter(([, said]) => said);
  $("licence").hidden = terms.length === 0;
  $("licence-terms").replaceChildren(...terms.flatMap(([name, said]) => {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, text.textContent] = [name, said];
    return [term, text];
  }));
}

async function watchActors() {
  for (;;) {
    try {
      const found = await fetchActors();
      if (JSON.stringify(found) !== JSON.stringify(actors) || found.length === 0) {
        actors = found;
        showActors();
      }
      if (actors.length > 0 && !actors.some((actor) => actor.state === "loading")) return;
    } catch (error) {
      show("actor-note", `The service did not list its actors (${error.message}). Asking again…`);
    }
    await sleep(ACTORS_POLL_MS);
  }
}

// --- making a take ---

async function startTake() {
  take?.abort.abort();
  const actor = chosenActor();
  const request = { actor: actor.actor_id, text: $("text").value, sampleRateHz: player.sampleRateHz };
  if ($("keep-seed").checked && take?.seed !== undefined) request.seed = take.seed;
  const made = { request, actor, abort: new AbortController(), pressedMs: performance.now(), state: "asked" };
  if (request.seed !== undefined) made.seed = request.seed;
  take = made;
  showProblem(null);
  clearTake();
  refresh();
  try {
    await player.clear();
    const answer = await speak(request, made.abort.signal);
    if (take !== made) return;
    Object.assign(made, { state: "making", id: answer.takeId, seed: answer.seed });
    showAnswer(answer);
    followTimings(made);
    for await (const samples of answer.samples) {
      if (take !== made) return;
      if (waveform.lengthSamples === 0) player.play();
      waveform.push(samples);
      player.push(samples);
      refresh();
    }
    made.state = "made";
  } catch (error) {
    if (take !== made) return;
    const stopped = made.abort.signal.aborted;
    if (!stopped) showProblem(error, waveform.durationS);
    made.state = stopped ? "stopped" : "broken";
  }
  player.complete();
  waveform.complete();
  refresh();
  if (actor.state !== "ready") watchActors(); // the take may have loaded the voice
}

function stopTake() {
  player.pause();
  take?.abort.abort(); // closes the connection, so the service stops computing too
}

/** Words appear while the take is being made, and are read once more when it is complete. */
async function followTimings(made) {
  for (let asksAfterEnd = 0; take === made && asksAfterEnd < 10;) {
    if (made.state !== "making") asksAfterEnd += 1;
    const askedMs = performance.now();
    try {
      const timings = await fetchTimings(made.id);
      if (take !== made) return;
      words.update(timings.words);
      waveform.expect(timings.words.at(-1)?.end_s ?? 0);
      if (timings.complete || made.state === "stopped" || made.state === "broken") return;
    } catch (error) {
      if (take === made) showProblem(error);
      return;
    }
    const tookMs = performance.now() - askedMs; // long for a scene, and then asked less often
    await sleep(Math.max(TIMINGS_POLL_MS, 10 * tookMs));
  }
}

async function download() {
  const made = take;
  const file = FILES[$("format").value];
  const sampleRateHz = Number($("file-rate").value);
  const { actor, text } = made.request;
  showProblem(null);
  $("download").disabled = true;
  show("status", "Making the file…");
  try {
    const body = { actor, text, seed: made.seed, sample_rate_hz: sampleRateHz, ...file.body };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await fetchFile(body));
    link.download = `${actor}_${slug(text)}_seed${made.seed}.${file.extension}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    showProblem(error);
  }
  refresh();
}

function slug(text) {
  const plain = text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  return plain.slice(0, 40).replace(/-$/, "") || "line";
}

// --- showing ---

function clearTake() {
  waveform.clear();
  words.clear();
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
  take.firstAudioMs = performance.now() - take.pressedMs;
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

function statusText() {
  const durationS = waveform.durationS;
  switch (take?.state) {
    case "asked": return "Waiting for the first audio…";
    case "making": return player.playing ? "Making and playing…" : "Making…";
    case "stopped": return durationS > 0 ? `Stopped after ${seconds(durationS)}.` : "Stopped.";
    case "broken": return durationS > 0 ? "Not finished." : "Not made.";
    case "made": return player.playing ? "Playing." : "Ready.";
    default: return "";
  }
}

/** Brings buttons, readings and status in line with what is going on. */
function refresh() {
  const busy = take?.state === "asked" || take?.state === "making";
  const hasAudio = waveform.lengthSamples > 0;
  const state = chosenActor()?.state;
  $("speak").disabled = state !== "ready" && state !== "idle";
  $("stop").disabled = !busy && !player.playing;
  $("play").disabled = !hasAudio;
  show("play", player.playing ? "Pause" : "Play");
  $("keep-seed").disabled = take?.seed === undefined;
  $("download").disabled = take?.state !== "made";
  $("empty").hidden = take !== null;
  $("wave").setAttribute("aria-disabled", String(!hasAudio));
  $("wave").setAttribute("aria-valuemax", waveform.durationS.toFixed(2));
  if (hasAudio) {
    show("duration", seconds(waveform.durationS) + (busy ? "…" : ""));
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

function fillFileRates() {
  const ratesHz = FILES[$("format").value].ratesHz ?? FILE_RATES_HZ;
  const chosen = $("file-rate").value;
  $("file-rate").replaceChildren(...ratesHz.map((hz) => new Option(`${hz / 1000} kHz`, hz)));
  if (ratesHz.includes(Number(chosen))) $("file-rate").value = chosen;
}

function onKey(event) {
  const inField = event.target.closest("input, textarea, select, button, a, summary");
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (!$("speak").disabled) startTake();
  } else if (event.key === "Escape") stopTake();
  else if (event.key === " " && !inField) {
    event.preventDefault();
    togglePlay();
  }
}

$("line").addEventListener("submit", (event) => { event.preventDefault(); startTake(); });
$("stop").addEventListener("click", stopTake);
$("play").addEventListener("click", togglePlay);
$("download").addEventListener("click", download);
$("actor").addEventListener("change", () => { showActorNote(); refresh(); });
$("format").addEventListener("change", fillFileRates);
document.addEventListener("keydown", onKey);

$("format").replaceChildren(...Object.entries(FILES).map(([key, { label }]) => new Option(label, key)));
fillFileRates();
showWord(null);
refresh();
animate();
player.ready.catch((error) => showProblem(error));
watchActors();
