// What the form says of the line of the script that is worked on, and what goes back to the script.

import { deliveryFields } from "/static/delivery.js";
import { create } from "/static/records.js";

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class LineForm {
  /** find(id) -> element; show(id, text); said() -> {actor, text} as the fields have it;
   *  onAdded(line), onSaved(), onProblem(error).
   */
  constructor({ find, show, shelf, desk, director, bench, said, onAdded, onProblem }) {
    Object.assign(this, { find, show, shelf, desk, director, bench, said, onAdded, onProblem });
    find("line-save").addEventListener("click", () => this.save());
    find("line-add").addEventListener("click", () => this.add());
    find("line-close").addEventListener("click", () => desk.openLine(null));
    find("keep").addEventListener("click", () => desk.keep(bench.take));
  }

  /** What is other here than in the script. */
  get changes() {
    const { line } = this.desk;
    const now = { ...this.said(), delivery: deliveryFields(this.director.delivery.value) };
    return Object.fromEntries(Object.entries(now).filter(([name, value]) =>
      !same(value, name === "delivery" ? line.delivery ?? {} : line[name])));
  }

  /** Whether the fields say what nobody but this editor has said: neither the script nor the take. */
  get isChanged() {
    const { desk, director } = this;
    const { text, actor } = this.said();
    const asTaken = director.isAdopted && director.history.at === 0
      && text === desk.take?.text && actor === desk.take.actor;
    return desk.line !== null && !asTaken && Object.keys(this.changes).length > 0;
  }

  get isReworded() {
    return this.desk.line !== null && "text" in this.changes;
  }

  refresh() {
    const { line } = this.desk;
    const { find, bench } = this;
    const hasText = this.said().text.trim() !== "";
    this.show("line-about", line === null ? "" : aboutLine(line));
    find("text-help").hidden = line !== null;
    find("line-close").hidden = line === null;
    find("line-save").hidden = !hasText || !this.isChanged;
    find("line-add").hidden = line !== null || this.shelf.production === null || !hasText;
    find("keep").hidden = line === null || bench.take?.state !== "made" || bench.take.keepIn !== null;
  }

  async save() {
    try {
      await this.shelf.changeLine(this.desk.line, this.changes);
    } catch (error) {
      if (error.current) this.shelf.putLine(error.current);
      this.onProblem(error);
    }
    this.refresh();
  }

  async add() {
    try {
      const delivery = deliveryFields(this.director.delivery.value);
      const line = await create("lines", { production: this.shelf.production, ...this.said(), delivery });
      this.shelf.putLine(line);
      this.onAdded(line);
    } catch (error) {
      this.onProblem(error);
    }
  }
}

export function aboutLine({ number, cue, scene, character, timecode_in: timecode, notes }) {
  return [cue || `line ${number}`, scene && `scene ${scene}`, character, timecode, notes].filter(Boolean).join(" · ");
}
