// What an editor says of a take: circled, rating, note, tags; and what was measured of it.
// Shows and asks; keeping it is the shelf's.

import { element } from "/static/sliders.js";
import { takeName, variedText } from "/static/takelist.js";
import { decibels, milliseconds, percent, seconds, semitones } from "/static/units.js";

const RATINGS = [0, 1, 2, 3, 4, 5];
const hertz = (hz) => `${Math.round(hz)} Hz`;
const MEASURED = [
  ["Loudness", (m) => m.loudness_lufs, (x) => decibels(x).replace("dB", "LUFS")],
  ["True peak", (m) => m.true_peak_dbtp, (x) => decibels(x).replace("dB", "dBTP")],
  ["Pitch", (m) => m.f0_median_hz, (x, m) => `${hertz(x)}${m.f0_range_st ? `, over ${semitones(m.f0_range_st).replace("+", "")}` : ""}`],
  ["Silence at the ends", (m) => m.head_ms, (x, m) => `${milliseconds(x)} / ${milliseconds(m.tail_ms ?? 0)}`],
  ["Clipped", (m) => m.clipped_samples, (x) => (x === 0 ? "none" : `${x} samples`)],
  ["Sounds (MOS)", (m) => m.distillmos, (x) => x.toFixed(2)],
  ["Words wrong", (m) => m.wer, (x) => percent(x)],
];
const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class Review {
  /** find(id) -> element; onCircle(), onRate(n or null), onText({note} or {tags}, base), onDelete(). */
  constructor({ find, onCircle, onRate, onText, onDelete }) {
    Object.assign(this, { find, onText, take: null, base: null });
    this.box = find("review");
    this.note = find("note");
    this.tags = find("tags");
    find("circle").addEventListener("click", onCircle);
    find("delete-take").addEventListener("click", onDelete);
    find("rating").append(...RATINGS.map((n) => {
      const label = element("label", "star");
      const radio = Object.assign(element("input"), { type: "radio", name: "rating", value: n });
      radio.setAttribute("aria-label", n === 0 ? "not rated" : `${n} of 5`);
      label.append(radio, element("span", "", n === 0 ? "–" : "☆"));
      radio.addEventListener("change", () => onRate(n));
      return label;
    }));
    for (const [field, read] of [[this.note, (text) => ({ note: text })], [this.tags, (text) => ({ tags: tagsOf(text) })]]) {
      field.addEventListener("focus", () => { this.base = this.take; }); // what the editor saw when they began
      field.addEventListener("change", () => this.say(read(field.value.trim())));
      field.addEventListener("keydown", (event) => {
        if (event.key === "Enter") field.blur();
        else if (event.key === "Escape") {
          this.fill(field, this.take);
          field.blur();
        } else return;
        event.preventDefault();
        event.stopPropagation();
      });
    }
  }

  say(change) {
    if (this.take === null) return;
    const [name] = Object.keys(change);
    if (JSON.stringify(change[name]) !== JSON.stringify(this.base[name])) this.onText(change, this.base);
  }

  fill(field, take) {
    field.value = field === this.note ? take.note : take.tags.join(", ");
  }

  /** Shows a take, or none; fields that are being typed in stay as they are. */
  show(take) {
    const isOther = take?.id !== this.take?.id;
    if (isOther && this.box.contains(document.activeElement)) document.activeElement.blur();
    this.take = take;
    this.box.hidden = take === null;
    this.showMeasured(take);
    this.showHeard(take);
    if (take === null) return;
    const { find } = this;
    const isComplete = take.state === "complete";
    find("circle").disabled = !isComplete;
    find("circle").setAttribute("aria-pressed", String(take.circled));
    find("circle").textContent = take.circled ? "◉ Circled" : "○ Circle";
    const rating = take.rating ?? 0;
    for (const radio of find("rating").querySelectorAll("input")) {
      radio.checked = Number(radio.value) === rating;
      const isLit = radio.value > 0 && radio.value <= rating;
      radio.closest("label").dataset.lit = String(isLit);
      if (radio.value > 0) radio.nextSibling.textContent = isLit ? "★" : "☆";
    }
    for (const field of [this.note, this.tags]) {
      if (field !== document.activeElement) this.fill(field, take);
    }
  }

  about(take) {
    const made = { retake: "retake", drift: "made again with other weights", line: "", speech: "" }[take.made_by];
    return [variedText(take), made, take.created_by && `by ${take.created_by}`,
      WHEN.format(new Date(take.created_at))].filter(Boolean).join(" · ");
  }

  title(take, line) {
    return line ? `${line.cue || `Line ${line.number}`} · ${takeName(take)}` : `Loose take, ${takeName(take)}`;
  }

  showMeasured(take) {
    const measured = take?.measured ?? null;
    const box = this.find("measured");
    box.hidden = measured === null;
    if (measured === null) return;
    box.replaceChildren(...MEASURED.flatMap(([name, of, say]) => {
      const x = of(measured);
      if (typeof x !== "number") return [];
      const part = element("div");
      part.append(element("dt", "", name), element("dd", "", say(x, measured)));
      return [part];
    }));
  }

  /** The text with the words that were not heard as written. */
  showHeard(take) {
    const box = this.find("heard");
    const wrong = wrongWords(take);
    box.hidden = wrong.length === 0;
    if (wrong.length === 0) return;
    const parts = [];
    let at = 0;
    for (const { start, end, heard } of wrong) {
      const mark = element("mark", "", take.text.slice(start, end) || "‸");
      parts.push(take.text.slice(at, start), mark, " ", element("span", "heard-as", heard));
      at = end;
    }
    box.replaceChildren(element("span", "note", "Heard otherwise: "), ...parts, take.text.slice(at));
  }
}

/** What was not heard as it is written -> [{start, end, heard}], places in the text, in order. */
export function wrongWords(take) {
  const { words = [], inserted = [] } = take?.measured ?? {};
  const wrong = words.filter(({ status }) => status !== "ok").map(({ start, end, status, heard }) =>
    ({ start, end, heard: status === "missing" ? "not heard" : heard }));
  const more = inserted.map(({ at, heard }) => {
    const place = words[at]?.start ?? take.text.length;
    return { start: place, end: place, heard };
  });
  return [...wrong, ...more].sort((a, b) => a.start - b.start || a.end - b.end);
}

function tagsOf(text) {
  return [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
}

/** Asks whose value is to stay where two editors changed the same -> "mine" or "theirs". */
export function askConflict(find) {
  const dialog = find("conflict");
  const shown = (x) => (Array.isArray(x) ? x.join(", ") : x === true ? "yes" : x === false ? "no" : x ?? "none") || "empty";
  return (mine, theirs, names) => new Promise((resolve) => {
    find("conflict-who").textContent = theirs.updated_by
      ? `${theirs.updated_by} changed this take while you did.` : "This take was changed while you did.";
    find("conflict-values").replaceChildren(...names.map((name) => {
      const row = element("tr");
      row.append(Object.assign(element("th", "", name), { scope: "row" }),
        element("td", "", shown(theirs[name])), element("td", "", shown(mine[name])));
      return row;
    }));
    dialog.returnValue = "theirs";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "mine" ? "mine" : "theirs"), { once: true });
    dialog.showModal();
  });
}
