// A script as text -> lines for /v1/lines. Reads CSV with a row of names, or plain text as scripts
// are typed. Pure functions; knows nothing about the page or the service.

const NAMES = { // what columns are called -> our member
  text: "text", line: "text", dialogue: "text", dialog: "text",
  scene: "scene", sc: "scene",
  cue: "cue", id: "cue", "cue id": "cue", cue_id: "cue",
  character: "character", role: "character", name: "character", speaker: "character",
  actor: "actor", voice: "actor",
  timecode_in: "timecode_in", in: "timecode_in", tc_in: "timecode_in", "tc in": "timecode_in", timecode: "timecode_in",
  timecode_out: "timecode_out", out: "timecode_out", tc_out: "timecode_out", "tc out": "timecode_out",
  notes: "notes", note: "notes", comment: "notes",
};
const SCENE = /^(?:scene|sc\.?)\s+([\p{L}\p{N}.-]+)|^(?:int|ext|int\.?\/ext|i\/e)[. ]/iu;
const SAID_BY = /^([\p{Lu}][\p{Lu}\p{N} .'’-]{0,40}?)(?:\s*\([^)]*\))?\s*:\s+(\S.*)$/u;
const CUE = /^[\p{Lu}][\p{Lu}\p{N} .'’-]{0,40}(?:\s*\((?:V\.?O\.?|O\.?S\.?|CONT['’]D)\))*$/u;
const ASIDE = /^\(.*\)$/;
const EMOJI = /[0-9#*]\uFE0F?\u20E3|[©®™]\uFE0F/gu; // of characters that are read out elsewhere
const SPOKEN = /[\p{Script=Latin}\p{Nd}&@#%+=$£€¥¢°©®™×÷±µ¹²³¼½¾]/u;

/** Whether anything in a text can be spoken, as far as that is seen without the service. */
const isSpoken = (text) => SPOKEN.test(text.replace(EMOJI, ""));

/** -> {lines: [{text, scene, cue, …}], left: [what was not taken, as text]} */
export function readScript(text) {
  const trimmed = text.replace(/^\uFEFF/, "").trim();
  if (trimmed === "") return { lines: [], left: [] };
  const head = trimmed.split(/\r?\n/, 1)[0];
  const separator = ["\t", ";", ","].find((sign) => namesIn(cells(head, sign)[0] ?? []).includes("text"));
  return separator === undefined ? readPlain(trimmed) : readTable(trimmed, separator);
}

const namesIn = (row) => row.map((cell) => NAMES[cell.trim().toLowerCase()] ?? null);

function readTable(text, separator) {
  const [head, ...rows] = cells(text, separator);
  const names = namesIn(head);
  const left = head.filter((_, n) => names[n] === null).map((cell) => `column “${cell.trim()}”`);
  const whole = (row) => [ // a separator in the last column that nobody has quoted
    ...row.slice(0, head.length - 1), row.slice(head.length - 1).join(separator)];
  const lines = rows.map((row) => Object.fromEntries(
    whole(row).map((cell, n) => [names[n], cell.trim()]).filter(([name, cell]) => name !== null && cell !== "")));
  const told = (what, isIt) => {
    const found = lines.map((line, n) => [line, line.cue ?? `row ${n + 2}`]).filter(([line]) => isIt(line));
    if (found.length === 0) return [];
    const named = found.slice(0, 5).map(([, name]) => name).join(", ");
    return [`${found.length} ${found.length === 1 ? "row" : "rows"} ${what} (${named}${found.length > 5 ? " …" : ""})`];
  };
  left.unshift(
    ...told("without text", (line) => line.text === undefined),
    ...told("with nothing that can be spoken", (line) => line.text !== undefined && !isSpoken(line.text)));
  return { lines: lines.filter((line) => isSpoken(line.text ?? "")), left };
}

/** Rows of cells, as RFC 4180 has them: quotes around a cell keep separators and line ends in it. */
export function cells(text, separator) {
  const rows = [];
  let [row, cell, quoted] = [[], "", false];
  const endRow = () => {
    row.push(cell);
    if (row.some((one) => one.trim() !== "")) rows.push(row);
    [row, cell] = [[], ""];
  };
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === separator) {
      row.push(cell);
      cell = "";
    } else if (sign === "\n") endRow();
    else if (sign !== "\r") cell += sign;
  }
  endRow();
  return rows;
}

function readPlain(text) {
  const [lines, left] = [[], []];
  let [scene, character, said] = [null, null, []];
  const end = () => {
    if (said.length > 0) lines.push(lineOf({ text: said.join(" "), scene, character }));
    [said, character] = [[], null];
  };
  for (const raw of text.split(/\r?\n/)) {
    const row = raw.trim();
    const heading = SCENE.exec(row);
    const by = SAID_BY.exec(row);
    if (row === "") end();
    else if (heading) {
      end();
      scene = heading[1] ?? row;
    } else if (by) {
      end();
      lines.push(lineOf({ text: by[2], scene, character: by[1] }));
    } else if (character === null && said.length === 0 && CUE.test(row)) {
      character = row.replace(/\s*\(.*$/, "");
    } else if (ASIDE.test(row)) left.push(row);
    else said.push(row);
  }
  end();
  left.push(...lines.filter((line) => !isSpoken(line.text)).map((line) => `“${line.text}”`));
  return { lines: lines.filter((line) => isSpoken(line.text)), left };
}

function lineOf(line) {
  return Object.fromEntries(Object.entries(line).filter(([, value]) => value !== null));
}
