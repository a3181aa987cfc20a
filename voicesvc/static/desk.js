// What is being worked on: a line of the script, its takes, the chosen one (A) and the other (B).
// Brings shelf, script, rows and stage into line with each other; knows nothing about drawing.

import { NO_EDITS } from "/static/edits.js";
import { deliveryFields, deliveryOf } from "/static/delivery.js";
import * as records from "/static/records.js";
import { fetchTimings } from "/static/service.js";

const PREFETCH_MS = 200; // after a line was opened, so that going through lines costs nothing
const PREFETCHED = 20; // takes
const PAPERS = 300; // takes whose timings and plan are in memory
const SHOWN_STATES = ["queued", "open", "complete", "failed", "refused"];
const SCOPES = { // which takes the list shows -> filters of /v1/takes
  line: ({ line }) => ({ line }),
  loose: () => ({ line: "none", state: SHOWN_STATES }),
  circled: ({ production }) => ({ production, circled: true }),
  flagged: ({ production }) => ({ production, flagged: true }),
  all: ({ production }) => ({ production, state: SHOWN_STATES }),
};

export class Desk {
  /** The other parts by their names; onText({actor, text}): what is to be said is another;
   *  onProblem(error); onUnkept(take, what, error, again): the service did not take a change of it, `again()` sends it;
   *  onChange(): something else is worked on.
   */
  constructor({ shelf, stage, director, bench, takeList, steps, onText, onProblem, onUnkept, onChange }) {
    Object.assign(this, { shelf, stage, director, bench, takeList, steps, onText, onProblem, onUnkept, onChange });
    Object.assign(this, { lineId: null, chosen: null, other: null, scope: "loose", cursor: null });
    this.papers = new Map(); // take id -> promise of {timings, plan}
    this.drafts = new Map(); // take id -> edits of its words that are not a take yet
    this.adopted = null; // the take whose plan the director holds
    this.opening = 0;
  }

  get line() {
    return this.shelf.line(this.lineId);
  }

  get take() {
    return this.shelf.take(this.chosen);
  }

  guard(promise) {
    return promise.catch((error) => this.onProblem(error));
  }

  // --- lines ---

  /** A line of the script is opened, or none (null). */
  async openLine(id) {
    if (id !== null && id === this.lineId && this.scope === "line") return;
    this.bench.leave();
    this.stage.deck.pause();
    this.stage.clear();
    this.lineId = id;
    this.putAside();
    this.pick(null, null);
    const { line } = this;
    this.director.begin(deliveryOf(line?.delivery ?? {}));
    if (line !== null) this.onText(line);
    await this.openScope(line === null ? "loose" : "line");
  }

  async openScope(scope) {
    const opening = ++this.opening;
    this.scope = scope;
    this.cursor = null;
    this.onChange();
    const { lineId } = this;
    try {
      if (scope === "line") {
        const takes = await this.shelf.takesOf(lineId);
        if (opening !== this.opening) return;
        this.takeList.show(takes.filter(isShown));
        const shown = this.takeList.takes;
        const first = shown.find((take) => take.circled) ?? shown.find((take) => take.state === "complete");
        if (first && this.bench.take === null) this.choose(first.id);
        setTimeout(() => { if (opening === this.opening) this.prefetch(); }, PREFETCH_MS);
      } else {
        this.takeList.show([], true);
        await this.more(opening);
      }
    } catch (error) {
      if (opening === this.opening) this.onProblem(error);
    }
    if (opening === this.opening) this.onChange();
  }

  /** The next page of a list that is longer. */
  async more(opening = this.opening) {
    if (this.scope === "line" || this.cursor === "end" || this.paging === opening) return;
    this.paging = opening;
    const found = await this.shelf.takesWhere(SCOPES[this.scope](this.where), this.cursor);
    this.paging = null;
    if (opening !== this.opening) return;
    this.cursor = found.next ?? "end";
    this.takeList.show([...this.takeList.takes, ...found.items.filter(isShown)], true);
    this.onChange();
  }

  get where() {
    return { production: this.shelf.production, line: this.lineId };
  }

  /** Takes are had in memory before they are asked for: going between them then needs no wait. */
  async prefetch() {
    const opening = this.opening;
    const complete = this.takeList.takes.filter((take) => take.state === "complete").slice(0, PREFETCHED);
    for (const take of complete) {
      if (opening !== this.opening) return;
      await this.stage.deck.hold(take.id).catch(() => {});
      this.papersOf(take.id).catch(() => {});
    }
  }

  /** {timings, plan}, read once. */
  papersOf(id) {
    if (!this.papers.has(id)) {
      if (this.papers.size > PAPERS) this.papers.delete(this.papers.keys().next().value);
      const read = Promise.all([fetchTimings(id), records.fetchPlan(id)])
        .then(([timings, plan]) => ({ timings, plan }));
      read.catch(() => this.papers.delete(id));
      this.papers.set(id, read);
    }
    return this.papers.get(id);
  }

  // --- takes ---

  pick(chosen, other) {
    [this.chosen, this.other] = [chosen, other];
    this.takeList.select(chosen, other);
    this.onChange();
  }

  /** A take is chosen: what plays goes on in it. The one before is the other one then. */
  choose(id, { atS } = {}) {
    if (id !== this.chosen || this.stage.kept?.id !== id) {
      const before = this.chosen !== id && this.chosen !== null ? this.chosen : this.other;
      this.putAside();
      this.pick(id, before);
      this.showChosen();
    }
    if (atS !== undefined && this.take?.state === "complete") this.stage.deck.play(atS);
  }

  /** By its number, or where takes of many lines are listed by its place. */
  chooseNumber(n) {
    const { takes } = this.takeList;
    const take = this.scope === "line" ? takes.find(({ number }) => number === n) : takes[n - 1];
    if (take) this.choose(take.id);
  }

  /** The next take in the list (`by` 1), or the one before (-1). */
  step(by) {
    const { takes, list } = this.takeList;
    const at = this.chosen === null ? (by > 0 ? -1 : takes.length) : list.indices.get(this.chosen) ?? -1;
    const take = takes[at + by];
    if (!take) return;
    const hadFocus = this.takeList.box.contains(document.activeElement);
    this.choose(take.id);
    if (hadFocus) this.takeList.focus(take.id);
  }

  /** A is B and B is A, at the same place. */
  swap() {
    if (this.other === null) {
      const another = this.takeList.takes.find((take) => take.id !== this.chosen && take.state === "complete");
      if (another) this.choose(another.id);
    } else this.choose(this.other);
  }

  /** A new take is heard: none of those that are kept is. */
  onLive() {
    if (this.bench.take.keepIn === null && this.lineId !== null) this.pick(null, this.chosen ?? this.other);
  }

  /** The take that was heard is kept: as a take of the line, or as a loose one. */
  async onLiveMade(made) {
    const take = await this.shelf.readTake(made.id);
    if (take === null || this.bench.take !== made || this.stage.kept !== null) return;
    if (take.line === this.lineId) this.pick(take.id, this.chosen === take.id ? this.other : this.chosen);
  }

  /** What was heard becomes a take of the line. */
  async keep(made) {
    try {
      const kept = await this.shelf.assign(made.id, this.lineId);
      made.keepIn = kept.line;
      this.pick(kept.id, this.chosen ?? this.other);
    } catch (error) {
      this.onProblem(error);
    }
  }

  get hasMore() {
    return this.scope !== "line" && this.cursor !== "end";
  }

  async showChosen() {
    const { take } = this;
    if (take?.state !== "complete") return;
    this.bench.leave();
    const peaks = this.takeList.peaks.get(take.id);
    this.stage.showKept(take, peaks ?? null);
    if (!peaks) this.takeList.peaks.ask(take.id, () => this.showPeaks(take.id));
    try {
      const { timings, plan } = await this.papersOf(take.id);
      if (this.chosen !== take.id || this.stage.kept?.id !== take.id) return;
      this.adopt(take, plan);
      this.director.timed(timings.words);
      this.stage.takeWave.mark(timings.words);
    } catch (error) {
      this.onProblem(error);
    }
    this.onChange();
  }

  showPeaks(id) {
    const peaks = this.takeList.peaks.get(id);
    if (peaks && this.stage.kept?.id === id) this.stage.takeWave.draw(peaks);
    this.takeList.list.refresh(id);
  }

  adopt(take, plan) {
    const delivery = deliveryOf(take.asked ?? {});
    this.onText(take);
    const made = { delivery, seed: take.seed, plan, isFromPlan: take.from_plan === true };
    this.director.adopt({ actor: take.actor, text: take.text }, made, this.drafts.get(take.id) ?? NO_EDITS);
    this.adopted = take.id;
  }

  /** Edits of a take's words wait for its return. */
  putAside() {
    if (this.adopted === null || !this.director.isAdopted) return;
    if (this.director.isEdited) this.drafts.set(this.adopted, this.director.edits);
    else this.drafts.delete(this.adopted);
    this.adopted = null;
  }

  // --- changes, each with its way back ---

  circle(id = this.chosen) {
    const take = this.shelf.take(id);
    if (take?.state === "complete") this.change(id, { circled: !take.circled });
  }

  rate(rating) {
    if (this.take !== null) this.change(this.chosen, { rating: rating === 0 ? null : rating });
  }

  async change(id, members, base = this.shelf.take(id)) {
    const before = Object.fromEntries(Object.keys(members).map((name) => [name, base[name]]));
    const goTo = (to, from) => this.goTo(id, to, from);
    const step = { of: id, undo: () => goTo(before, members), redo: () => goTo(members, before) };
    this.steps.push(step);
    const again = () => this.change(id, members, base);
    const isKept = await this.carryOut(id, unkeptText(members), this.shelf.changeTake(id, { ...members }, base), again);
    if (!isKept) this.steps.drop(step);
  }

  /** Waits for a change of a take -> whether the service has it. If not, `what` is said of the take;
   *  and no more of it once the service has a change of the same take.
   */
  async carryOut(id, what, changing, again = null) {
    try {
      await changing;
    } catch (error) {
      this.onUnkept(this.shelf.take(id), what, error, again);
      return false;
    }
    this.takeList.tell(id, null);
    return true;
  }

  /** What the service did not take of a take, once more and in order. */
  async sendAgain(id) {
    this.onProblem(null);
    for (const again of this.takeList.againOf(id)) await again();
  }

  /** What somebody else has changed since is theirs, and not taken back -> false where it is not kept. */
  async goTo(id, to, from) {
    const take = this.shelf.take(id);
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    if (take && Object.keys(to).every((name) => same(take[name], from[name]))) {
      return this.carryOut(id, unkeptText(to), this.shelf.changeTake(id, { ...to }));
    }
    this.onProblem(new Error("Somebody else has changed it since; it stays as it is now."));
    return true;
  }

  async remove(id = this.chosen) {
    const take = this.shelf.take(id);
    if (!take || take.state === "queued" || take.state === "open") return;
    const at = this.takeList.list.indices.get(id);
    const removeIt = () => this.carryOut(id, "not deleted", this.shelf.removeTake(id), () => this.remove(id));
    const restored = async () => this.shelf.putTake(await records.restoreTake(id));
    const step = { of: id, undo: () => this.carryOut(id, "not restored", restored()), redo: removeIt };
    this.steps.push(step);
    if (!await removeIt()) {
      this.steps.drop(step);
      return;
    }
    const next = this.takeList.takes[at] ?? this.takeList.takes[at - 1];
    if (next) this.choose(next.id);
  }

  async makeMore(asked) {
    const { lineId } = this;
    const delivery = deliveryFields(this.director.delivery.value);
    await this.guard(records.makeTakes(lineId, { ...asked, delivery }).then((takes) => {
      for (const take of takes) this.shelf.putTake(take);
    }));
  }

  get canRetake() {
    return this.director.isAdopted && this.director.isEdited;
  }

  async retake() {
    if (!this.canRetake) return;
    const id = this.adopted;
    await this.guard(records.retake(id, { plan: this.director.editedPlan }).then((take) => {
      this.drafts.delete(id);
      this.shelf.putTake(take);
    }));
  }

  // --- what has changed ---

  /** Whether a take that is not known yet belongs into the list. */
  wants({ line, production }) {
    if (this.scope === "line") return line !== null && line === this.lineId;
    return this.scope === "loose" ? line === null : production === this.shelf.production;
  }

  /** A take is not as it was: new, changed, complete, deleted, restored. */
  onTake(take) {
    const { takes, list } = this.takeList;
    const at = list.indices.get(take.id);
    const belongs = isShown(take) && this.wants(take) && (this.scope !== "circled" || take.circled)
      && (this.scope !== "flagged" || take.flags.length > 0);
    if (at !== undefined && !isShown(take)) {
      this.takeList.show(takes.filter(({ id }) => id !== take.id), this.scope !== "line");
      if (take.id === this.chosen) this.pick(null, this.other);
    } else if (at !== undefined) {
      const wasMade = takes[at].state !== "complete" && take.state === "complete";
      this.takeList.showTake(take);
      if (wasMade) this.onMade(take);
    } else if (belongs) this.insert(take);
    if (take.id === this.chosen) this.onChange();
  }

  onMade(take) {
    if (this.scope === "line") this.stage.deck.hold(take.id).catch(() => {});
    if (take.id === this.chosen && this.bench.take?.id !== take.id) this.showChosen();
  }

  /** By number in a line, the newest first elsewhere. */
  insert(take) {
    const takes = [...this.takeList.takes];
    if (this.scope === "line") {
      const next = takes.findIndex((other) => other.number > take.number);
      takes.splice(next < 0 ? takes.length : next, 0, take);
    } else takes.unshift(take);
    this.takeList.show(takes, this.scope !== "line");
    this.onChange();
  }
}

/** {note: "late"} -> "note “late” not kept": what was typed is still there to be read. */
function unkeptText(members) {
  const said = Object.entries(members).map(([name, value]) => {
    const typed = name === "tags" ? value.join(", ") : name === "note" ? value : "";
    return `${name === "circled" ? "circle" : name}${typed && ` “${typed}”`}`;
  });
  return `${said.join(", ")} not kept`;
}

function isShown(take) {
  return !take.deleted_at && take.state !== "cancelled";
}
