// What was changed word by word, laid over a plan of /v1/plans; and when each word then is.
// Pure functions on plans; knows nothing about the page.
//
// Edits are relative to the plan as the service made it, so they outlive a new delivery:
// {words: [text], of: {index: edit}}, where `words` are the texts that the indices count.

export const NO_EDIT = Object.freeze({
  stretch: 1, // factor of every phoneme's duration
  pitchSt: 0, // added
  energyDb: 0, // added
  pauseMs: 0, // added to the pause after the word
  breath: null, // in that pause: true, false, or as planned
  stress: false,
});
export const NO_EDITS = Object.freeze({ words: [], of: {} });
export const LIMITS = { stretch: [0.25, 4], pitchSt: [-12, 12], energyDb: [-24, 24], pauseMs: [-60_000, 60_000] };
export const BREATH_MS = 450; // what a breath adds to its pause, as the service does it

// What strong emphasis is; figures and sources are those of voicesvc/delivery/emphasis.py.
const STRESSED = { vowelScale: 1.4, pitchSt: 3, energyDb: 3, tiltDb: 2 };
const UNSTRESSED = { vowelScale: 1, pitchSt: 0, energyDb: 0, tiltDb: 0 };
const STRESS_SIGNS = ["ˈ", "ˌ"];
const VOWELS = new Set("aeiouyæøœɐɑɒɔɘəɚɛɜɝɞɤɨɪɯɵɶʉʊʌʏᵻ");
const PITCH_ST = [-4, 8]; // what a plan may hold, and beyond it if it says `extreme`
const EXTREME_ST = [-24, 24];
const ENERGY_DB = [-60, 24];
const TILT_DB = [-24, 24];

const clamp = (x, [low, high]) => Math.min(Math.max(x, low), high);
const rounded = (x) => Math.round(x * 1e4) / 1e4; // as the service's documents are
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

export function wordsOf(plan) {
  return plan.sentences.flatMap((sentence) => sentence.words);
}

export function editOf(edits, index) {
  return edits.of[index] ?? NO_EDIT;
}

/** Edits with one word's changed; a word that is as planned again has none. */
export function withEdit(edits, words, index, change) {
  const edit = { ...editOf(edits, index), ...change };
  for (const [name, limits] of Object.entries(LIMITS)) edit[name] = clamp(edit[name], limits);
  const of = { ...edits.of, [index]: edit };
  if (Object.keys(NO_EDIT).every((name) => edit[name] === NO_EDIT[name])) delete of[index];
  return { words, of };
}

/** The plan with every edited word changed; the others are the very same objects. */
export function edited(plan, edits) {
  let index = 0;
  const word = (planned) => {
    const edit = edits.of[index++];
    return edit ? editedWord(planned, edit, plan.extreme ? EXTREME_ST : PITCH_ST) : planned;
  };
  return { ...plan, sentences: plan.sentences.map((s) => ({ ...s, words: s.words.map(word) })) };
}

function editedWord(word, edit, limitsSt) {
  const stress = edit.stress ? STRESSED : UNSTRESSED;
  const vowel = stressedVowel(word.phonemes.map((p) => p.symbol));
  const phonemes = word.phonemes.map((p, i) => ({
    ...p,
    duration_ms: rounded(Math.min(
      p.duration_ms * edit.stretch * (i === vowel ? stress.vowelScale : 1), 10_000)),
    pitch_st: rounded(clamp(p.pitch_st + edit.pitchSt + stress.pitchSt, limitsSt)),
    energy_db: rounded(clamp(p.energy_db + edit.energyDb + stress.energyDb, ENERGY_DB)),
  }));
  const breath = edit.breath ?? word.breath;
  let pauseMs = word.pause_ms + edit.pauseMs;
  if (breath && !word.breath) pauseMs = Math.max(pauseMs, word.pause_ms + BREATH_MS);
  if (!breath && word.breath) pauseMs -= BREATH_MS;
  const tiltDb = rounded(clamp(word.tilt_db + stress.tiltDb, TILT_DB));
  return { ...word, phonemes, breath, tilt_db: tiltDb, pause_ms: rounded(clamp(pauseMs, [0, 60_000])) };
}

/** The vowel with the main stress, else with a secondary one, else the first; -1 without any. */
export function stressedVowel(symbols) {
  const isVowel = (symbol) => [...symbol].some((c) => VOWELS.has(c));
  const vowels = symbols.flatMap((symbol, i) => (isVowel(symbol) ? [i] : []));
  for (const sign of STRESS_SIGNS) {
    const begun = symbols.findIndex((symbol) => symbol[0] === sign);
    const stressed = vowels.find((i) => i >= begun);
    if (begun >= 0 && stressed !== undefined) return stressed;
  }
  return vowels[0] ?? -1;
}

/** Edits for another text or delivery: they go with their words -> {edits, lost: [text]}. */
export function carried(edits, words) {
  const same = longestCommon(edits.words.map(fold), words.map(fold));
  const [of, lost] = [{}, []];
  for (const [index, edit] of Object.entries(edits.of)) {
    if (same.has(Number(index))) of[same.get(Number(index))] = edit;
    else lost.push(edits.words[index]);
  }
  return { edits: { words, of }, lost };
}

const fold = (text) => text.toLowerCase();

/** Which index of `a` is which of `b`, by their longest common subsequence. */
function longestCommon(a, b) {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i][j] = a[i] === b[j]
        ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const pairs = new Map();
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) pairs.set(i++, j++);
    else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  return pairs;
}

/** Length of a plan in seconds. */
export function durationS(plan) {
  return sum(plan.sentences.map((s) => s.lead_ms + s.tail_ms + s.pause_ms
    + sum(s.words.map((w) => saidMs(w) + w.pause_ms)))) / 1000;
}

export function saidMs(word) {
  return sum(word.phonemes.map((p) => p.duration_ms));
}

/** When each word is heard, in seconds: [{text, charStart, startS, endS, pauseEndS, pauseMs,
 *  durationMs, pitchSt, energyDb, breath, phonemes: [{symbol, startS, endS}]}].
 */
export function layout(plan) {
  const words = [];
  let atMs = 0;
  for (const sentence of plan.sentences) {
    atMs += sentence.lead_ms;
    for (const word of sentence.words) {
      const startMs = atMs;
      const phonemes = word.phonemes.map((p) => {
        const startS = atMs / 1000;
        atMs += p.duration_ms;
        return { symbol: p.symbol, startS, endS: atMs / 1000 };
      });
      const mean = (name) => sum(word.phonemes.map((p) => p[name])) / word.phonemes.length;
      words.push({
        text: word.text,
        charStart: word.start,
        startS: startMs / 1000,
        endS: atMs / 1000,
        pauseEndS: (atMs + word.pause_ms) / 1000,
        pauseMs: word.pause_ms,
        durationMs: atMs - startMs,
        pitchSt: mean("pitch_st"),
        energyDb: mean("energy_db"),
        breath: word.breath,
        phonemes,
      });
      atMs += word.pause_ms;
    }
    atMs += sentence.tail_ms + sentence.pause_ms;
  }
  return words;
}

/** A layout moved to where each word was heard in the end: frames are whole, durations are not. */
export function heardAt(words, timings) {
  const byPlace = new Map(timings.map((t) => [t.char_start, t]));
  return words.map((word) => {
    const heard = byPlace.get(word.charStart);
    const laterS = (heard?.start_s ?? word.startS) - word.startS;
    return {
      ...word,
      heard,
      startS: word.startS + laterS,
      endS: word.endS + laterS,
      pauseEndS: word.pauseEndS + laterS,
      phonemes: word.phonemes.map((p) => ({ ...p, startS: p.startS + laterS, endS: p.endS + laterS })),
    };
  });
}
