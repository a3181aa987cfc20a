// Which key does what, for the keyboard and for the list of keys.

const RATINGS = [0, 1, 2, 3, 4, 5];
const DIGITS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

/** The parts of the page and what its buttons do -> groups as Keys takes them. */
export function keyGroups({ stage, desk, script, steps, find, speak, stop, toggle, makeMore, compare, nextLevel, help }) {
  const focus = (id) => {
    find(id).focus();
    find(id).select?.();
  };
  return [
    { title: "Listening", keys: [
      { shown: ["L"], what: "forwards; again: twice, four times as fast", on: ["l"], run: () => stage.jog(1) },
      { shown: ["K"], what: "stop", on: ["k"], run: () => stage.head.pause() },
      { shown: ["J"], what: "backwards; again: faster", on: ["j"], run: () => stage.jog(-1) },
      { shown: ["Space"], what: "play and pause", on: [" "], run: toggle },
      { shown: ["B"], what: "A or B: the other take, at the same place", on: ["b"], run: () => desk.swap() },
      { shown: [",", "."], what: "to the word before, the next word", on: [",", "."],
        run: ({ key }) => stage.toWord(key === "." ? 1 : -1) },
      { shown: ["O"], what: "loop the word, or no longer", on: ["o"], run: () => stage.toggleLoop() },
      { shown: ["M"], what: "loudness: matched, −23 LUFS, as made", on: ["m"], run: nextLevel },
      { shown: ["S"], what: "spectrogram", on: ["s"], run: () => stage.toggleSpectrogram() },
    ] },
    { title: "Takes", keys: [
      { shown: ["1", "…", "9"], what: "choose a take; what plays goes on in it", on: DIGITS.map(String),
        run: ({ key }) => desk.chooseNumber(Number(key)) },
      { shown: ["↑", "↓"], what: "the take before, the next take", on: ["ArrowUp", "ArrowDown"],
        run: ({ key }) => desk.step(key === "ArrowDown" ? 1 : -1) },
      { shown: ["C"], what: "circle", on: ["c"], run: () => desk.circle() },
      { shown: ["Shift", "0", "…", "5"], what: "rate", on: RATINGS.map((n) => `Shift+${n}`),
        run: ({ code }) => desk.rate(Number(code.slice(-1))) },
      { shown: ["N"], what: "note", on: ["n"], run: () => focus("note") },
      { shown: ["T"], what: "tags", on: ["t"], run: () => focus("tags") },
      { shown: ["D"], what: "compare the plans of A and B", on: ["d"], run: compare },
      { shown: ["R"], what: "retake with the words as edited", on: ["r"], run: () => desk.retake() },
      { shown: ["Delete"], what: "delete the take", on: ["Delete"], run: () => desk.remove() },
    ] },
    { title: "Line", keys: [
      { shown: ["Ctrl", "Enter"], what: "speak", on: ["Control+Enter"], everywhere: true, run: speak },
      { shown: ["Shift", "Enter"], what: "5 takes", on: ["Shift+Enter"], run: makeMore },
      { shown: ["Esc"], what: "stop", on: ["Escape"], everywhere: true, run: stop },
      { shown: ["Shift", "↑", "↓"], what: "the line before, the next line", on: ["Shift+ArrowUp", "Shift+ArrowDown"],
        run: ({ key }) => script.move(key === "ArrowDown" ? 1 : -1) },
      { shown: ["/"], what: "search in the script", on: ["/"], run: () => focus("line-search") },
      { shown: ["E"], what: "edit the line's text", on: ["e"], run: () => find("text").focus() },
      { shown: ["Ctrl", "Z"], what: "undo; with Shift redo", on: ["Control+z"], run: () => steps.undo() },
      { shown: ["Ctrl", "Y"], what: "redo", on: ["Control+y", "Control+Shift+z"], run: () => steps.redo() },
      { shown: ["?"], what: "these keys", on: ["?"], run: help },
    ] },
  ];
}
