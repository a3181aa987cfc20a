// The audition page: what its parts are, how they are joined, and what each button does.

import { Actors } from "/static/actors.js";
import { Batch } from "/static/batch.js";
import { Bench } from "/static/bench.js";
import { Compare } from "/static/compare.js";
import { gainDb, LEVELS } from "/static/deck.js";
import { Desk } from "/static/desk.js";
import { Director } from "/static/director.js";
import { Exporter } from "/static/exporter.js";
import { Files } from "/static/files.js";
import { Importer } from "/static/importer.js";
import { keyGroups } from "/static/keymap.js";
import { Keys } from "/static/keys.js";
import { LineForm } from "/static/lineform.js";
import { Live } from "/static/live.js";
import { Place } from "/static/place.js";
import { Productions } from "/static/productions.js";
import { audioUrl } from "/static/records.js";
import { askConflict, Review, wrongWords } from "/static/review.js";
import { Script } from "/static/script.js";
import { Problem, signAs } from "/static/service.js";
import { Shelf } from "/static/shelf.js";
import { Stage } from "/static/stage.js";
import { Steps } from "/static/steps.js";
import { TakeList, takeName } from "/static/takelist.js";
import { TakesPanel } from "/static/takespanel.js";
import { seconds } from "/static/units.js";

const EDITOR = "voicesvc editor"; // what this browser keeps the name as
const LEVEL = "voicesvc loudness";
const LEVEL_NAMES = { matched: "loudness matched", r128: "−23 LUFS", made: "loudness as made" };

const $ = (id) => document.getElementById(id);
const show = (id, text) => {
  if ($(id).textContent !== String(text)) $(id).textContent = text; // said aloud once, not again
};

let refreshing = false;

// --- the parts ---

const steps = new Steps(() => refreshSteps());
const director = new Director({
  find: $, show, steps,
  onChange: (how) => {
    bench.settle(how);
    refresh();
  },
  onWords: showWords,
});
const stage = new Stage({
  find: $, show, lane: director.lane, gainOf, onStarted, onShow: showWord,
  onStatus: () => refresh(), onTime: (timeS) => takeList.moveTo(timeS),
});
const shelf = new Shelf({
  onLines: (id) => {
    if (id === undefined) script.show(shelf.lines);
    else script.showLine(shelf.line(id));
    refresh();
  },
  onTake: (take) => desk.onTake(take),
  onConflict: askConflict($),
});
const bench = new Bench({
  find: $, show, stage, director, lineOf: said, canSpeak: () => !$("speak").disabled,
  onChange: refresh, onAnswer, onProblem: showProblem, onMade,
});
const takeList = new TakeList({
  find: $, lineOf: (take) => shelf.line(take.line),
  onChoose: (id, how) => desk.choose(id, how), onCircle: (id) => desk.circle(id), onAgain: (id) => desk.sendAgain(id),
  onEnd: () => desk.guard(desk.more()),
});
const desk = new Desk({
  shelf, stage, director, bench, takeList, steps,
  onText: ({ actor, text }) => {
    $("text").value = text;
    actors.choose(actor);
  },
  onProblem: showProblem, onUnkept: showUnkept, onChange: refresh,
});
const script = new Script({ find: $, onChoose: (id) => desk.openLine(id) });
const takesPanel = new TakesPanel({ find: $, show, onScope: (scope) => desk.openScope(scope) });
const files = new Files($("format"), $("file-rate"));
const actors = new Actors({
  find: $, show, onChange: refresh, onEmotions: (emotions) => director.delivery.pad.offer(emotions),
  onLanguages: (actor) => director.delivery.language.offer(actor),
});
const lineForm = new LineForm({
  find: $, show, shelf, desk, director, bench, said, onProblem: showProblem,
  onAdded: (line) => script.choose(line.id),
});
const review = new Review({
  find: $, onCircle: () => desk.circle(), onRate: (n) => desk.rate(n), onDelete: () => desk.remove(),
  onText: (change, base) => desk.change(base.id, change, base),
});
const batch = new Batch({ find: $, onMake: makeMore });
const compare = new Compare({ find: $, onProblem: showProblem });
const place = new Place(() => desk.guard(goToPlace()));
const productions = new Productions({ find: $, wanted: () => place.wanted.production, onChoose: openProduction });
const exporter = new Exporter({
  find: $,
  about: () => ({ production: productions.chosen, circled: shelf.lines.reduce((n, line) => n + line.takes.circled, 0) }),
});
const importer = new Importer({
  find: $, actorOf: () => (actors.chosen ?? actors.usual).actor_id,
  productionsOf: () => ({ list: productions.list, chosen: productions.chosen?.id }),
  onDone: (id) => desk.guard(productions.open(id)),
});
const keys = new Keys({
  find: $,
  groups: keyGroups({
    stage, desk, script, steps, find: $, speak: speakLine, stop: stopAll, toggle, compare: compareTakes, nextLevel,
    makeMore: () => batch.make(), help: () => keys.show(),
  }),
});

function said() {
  return { actor: actors.chosen?.actor_id ?? actors.wanted ?? "", text: $("text").value };
}

// --- what buttons do ---

function speakLine() {
  if (!$("speak").disabled) bench.start({ drawSeed: !$("keep-seed").checked, keepIn: desk.lineId });
}

function stopAll() {
  bench.stop();
  stage.deck.pause();
}

function toggle() {
  stage.toggle(bench.take?.state === "making");
}

function makeMore(asked) {
  if (desk.line === null) return;
  if (lineForm.isReworded) show("notice", "The line reads otherwise in the script. Save it there first, then make takes of it.");
  else desk.makeMore(asked);
}

function compareTakes() {
  const [a, b] = [desk.take, shelf.take(desk.other)];
  if (a && b) compare.open(a, b, [takeName(a), takeName(b)]);
}

async function openProduction(production) {
  const cleared = desk.openLine(null);
  await desk.guard(shelf.openProduction(production?.id ?? null));
  await cleared;
  refresh();
}

/** To what the address names; from then on it names what is worked on. */
async function goToPlace() {
  const { production, line } = place.wanted;
  let isThere = production === "" || await productions.go(production);
  if (isThere && line !== "") {
    isThere = shelf.line(line) !== null;
    if (isThere && (place.isKept || desk.lineId === null)) script.choose(line);
  }
  if (!isThere) show("notice", "What this address names is not here, or not for you.");
  place.isKept = true;
  refresh();
}

/** The very samples that are heard, as a file. */
async function download() {
  showProblem(null);
  const link = document.createElement("a");
  try {
    if (stage.kept) {
      link.href = audioUrl(stage.kept.id, { ...files.body, download: true });
      link.download = files.name(stage.kept);
    } else {
      $("download").disabled = true;
      show("status", "Making the file…");
      const { blob, line, seed } = await bench.file(files.body);
      link.href = URL.createObjectURL(blob);
      link.download = files.name({ ...line, seed });
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    }
    link.click();
  } catch (error) {
    showProblem(error);
  }
  refresh();
}

// --- loudness ---

function gainOf(id) {
  const others = takeList.takes.map((take) => take.measured);
  return gainDb(shelf.take(id)?.measured, others, $("level").value);
}

function setLevel(level) {
  $("level").value = level;
  localStorage.setItem(LEVEL, level);
  stage.deck.level();
}

function nextLevel() {
  setLevel(LEVELS[(LEVELS.indexOf($("level").value) + 1) % LEVELS.length]);
  show("notice", `Listening with ${LEVEL_NAMES[$("level").value]}.`);
}

// --- what the bench says ---

function onAnswer({ takeId, seed, sampleRateHz, skipped }) {
  desk.onLive();
  showWord(null);
  for (const id of ["first-audio", "duration", "position"]) show(id, "–");
  delete $("underruns").dataset.bad;
  show("take", takeId);
  show("seed", seed);
  show("rate", `${(sampleRateHz / 1000).toFixed(1)} kHz`);
  $("skipped").hidden = !skipped;
  if (skipped) show("skipped", `Not spoken: ${skipped}`);
}

function onStarted() {
  bench.take.firstAudioMs = performance.now() - bench.take.changedMs;
  show("first-audio", `${Math.round(bench.take.firstAudioMs)} ms`);
}

function onMade(made) {
  if (actors.chosen?.state !== "ready") actors.watch(); // the take may have loaded the voice
  if (made.state === "made") desk.guard(desk.onLiveMade(made));
}

// --- showing ---

/** An error's own words, then where it was and what would have been right. */
function showProblem(error, brokenAtS = 0) {
  // What was lost says more than that the service is away, which whatever else asks then says too.
  if (error instanceof TypeError && $("problem").dataset.unkept && !$("problem").hidden) return;
  delete $("problem").dataset.unkept;
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

/** A change that is not kept: said above all, in the take's row and where it is reviewed. */
function showUnkept(take, what, error, again) {
  delete $("problem").dataset.unkept;
  showProblem(error);
  $("problem").dataset.unkept = take.id;
  const why = error instanceof TypeError ? "the service could not be reached" : $("problem-title").textContent;
  takeList.tell(take.id, `${what}: ${why}`, again);
  show("problem-title", `${takeName(take)}: ${what}: ${why}`);
  refresh();
}

function showWord(word) {
  const phonemes = word?.phonemes?.map((p) => p.symbol).join(" ");
  show("word-detail", word
    ? `${word.text}  /${phonemes}/  ${seconds(word.start_s, 3)} – ${seconds(word.end_s, 3)}`
    : "Point at a word for its phonemes and times; click it to hear it alone.");
}

/** Words of a layout, each with the service's own timing once there is one. */
function showWords(laid) {
  const wrong = wrongWords(stage.kept);
  stage.words.update(laid.map(({ text, charStart, startS, endS, phonemes, heard }) => ({
    ...(heard ?? { text, start_s: startS, end_s: endS, phonemes }),
    wrong: wrong.find(({ start, end }) => charStart >= start && charStart < end)?.heard,
  })));
}

function refreshSteps() {
  $("undo").disabled = !steps.canUndo;
  $("redo").disabled = !steps.canRedo;
}

/** Soon, once for all that happens together. */
function refresh() {
  if (refreshing) return;
  refreshing = true;
  queueMicrotask(() => {
    refreshing = false;
    refreshNow();
  });
}

/** Brings buttons, readings and status in line with what is going on. */
function refreshNow() {
  const { hasAudio, kept, playing, durationS } = stage;
  const state = actors.chosen?.state;
  const { take } = desk;
  const isLive = bench.take !== null && kept === null;
  $("speak").disabled = state !== "ready" && state !== "idle";
  $("stop").disabled = !bench.isBusy && !playing;
  $("play").disabled = !hasAudio;
  show("play", playing ? "Pause" : "Play");
  $("keep-seed").disabled = director.seed === null;
  $("download").disabled = kept === null && bench.take?.state !== "made";
  $("empty").hidden = isLive || kept !== null;
  show("empty", desk.lineId === null ? "No take yet. Type a line and press Speak." : "No take is chosen.");
  $("wave").setAttribute("aria-disabled", String(!hasAudio));
  $("wave").setAttribute("aria-valuemax", durationS.toFixed(2));
  if (hasAudio) show("duration", seconds(durationS) + (isLive && bench.take.state === "making" ? "…" : ""));
  if (isLive && hasAudio) {
    show("underruns", stage.player.underruns);
    $("underruns").dataset.bad = String(stage.player.underruns > 0);
  }
  if (kept) showKeptReadings(kept);
  for (const reading of document.querySelectorAll(".of-live")) reading.hidden = kept !== null;
  show("status", kept ? (playing ? "Playing." : "Ready.") : bench.status);
  refreshTake(take, kept);
  lineForm.refresh();
  takesPanel.offer(desk.lineId !== null, shelf.production !== null);
  takesPanel.refresh({ scope: desk.scope, takes: takeList.takes, hasMore: desk.hasMore });
  batch.enabled = desk.line !== null;
  exporter.show();
  place.keep(shelf.production, desk.lineId);
}

function showKeptReadings({ id, seed, sample_rate_hz: rateHz }) {
  show("take", id);
  show("seed", seed);
  show("rate", `${(stage.deck.rateHz / 1000).toFixed(1)} kHz${rateHz ? `, made at ${rateHz / 1000}` : ""}`);
}

function refreshTake(take, kept) {
  review.show(take);
  const isPreview = take === null && bench.take !== null;
  show("take-title", take ? review.title(take, shelf.line(take.line)) : isPreview ? "As it is directed now" : "No take chosen");
  show("take-about", take ? review.about(take) : "");
  show("unkept", take ? takeList.unkeptOf(take.id).join("; ") : "");
  const isKept = kept !== null;
  for (const id of ["jog-back", "jog-on"]) $(id).disabled = !stage.hasAudio || (!isKept && id === "jog-back");
  $("next-take").disabled = takeList.takes.length < 2;
  $("ab").disabled = takeList.takes.length < 2;
  $("loop").disabled = $("spectrum").disabled = !isKept;
  $("differences").disabled = desk.other === null || take === null;
  $("retake").disabled = !desk.canRetake;
}

// --- begin ---

$("line").addEventListener("submit", (event) => { event.preventDefault(); speakLine(); });
$("text").addEventListener("input", () => lineForm.refresh());
$("stop").addEventListener("click", stopAll);
$("play").addEventListener("click", toggle);
$("undo").addEventListener("click", () => steps.undo());
$("redo").addEventListener("click", () => steps.redo());
$("download").addEventListener("click", download);
$("jog-back").addEventListener("click", () => stage.jog(-1));
$("jog-on").addEventListener("click", () => stage.jog(1));
$("next-take").addEventListener("click", () => desk.step(1));
$("ab").addEventListener("click", () => desk.swap());
$("loop").addEventListener("click", () => stage.toggleLoop());
$("spectrum").addEventListener("click", () => desk.guard(stage.toggleSpectrogram()));
$("differences").addEventListener("click", compareTakes);
$("retake").addEventListener("click", () => desk.retake());
$("level").replaceChildren(...LEVELS.map((level) => new Option(LEVEL_NAMES[level], level)));
$("level").value = LEVELS.includes(localStorage.getItem(LEVEL)) ? localStorage.getItem(LEVEL) : LEVELS[0];
$("level").addEventListener("change", () => setLevel($("level").value));
const typedEarly = $("editor").value.trim(); // before this ran
if (typedEarly) localStorage.setItem(EDITOR, typedEarly);
$("editor").value = localStorage.getItem(EDITOR) ?? "";
signAs($("editor").value);
$("editor").addEventListener("change", ({ target }) => {
  localStorage.setItem(EDITOR, target.value.trim());
  signAs(target.value.trim());
});

showWord(null);
refreshSteps();
refresh();
stage.player.ready.catch((error) => showProblem(error));
actors.watch();
const live = new Live({
  onState: (isConnected) => {
    $("live").dataset.state = isConnected ? "on" : "off";
    show("live", isConnected ? "" : "Not connected: what others do is not shown. Connecting…");
  },
  onChange: (events) => {
    if (events.some(({ kind }) => kind === "production")) desk.guard(productions.read().finally(() => keys.begin(window.keysPressed()))); // on what is there then
    desk.guard(shelf.follow(events, (event) => desk.wants(event)));
  },
});
desk.guard(desk.openLine(null));
desk.guard(productions.read().then(goToPlace).finally(() => keys.begin(window.keysPressed()))); // on what is there then
