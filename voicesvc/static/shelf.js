// The records that the page has at hand: one production's lines, and the takes it has come across.
// Reads, changes and keeps them as the service has them; knows nothing about showing them.

import * as records from "/static/records.js";

const FIRST_LINES = 100; // shown at once; the rest comes after
const MANY = 40; // changed lines beyond which the whole script is read anew

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Shelf {
  /** onLines(): lines changed; onTake(take): one changed or is gone (`deleted_at`);
   *  onConflict(mine, theirs, names) -> "mine" or "theirs", asked of the editor.
   */
  constructor({ onLines, onTake, onConflict }) {
    Object.assign(this, { onLines, onTake, onConflict });
    this.production = null;
    this.lines = []; // by number
    this.lineAt = new Map(); // id -> place in lines
    this.takes = new Map(); // id -> take as it is shown
    this.kept = new Map(); // id -> take as the service has it, as far as is known
    this.changing = new Map(); // id -> the last change under way
    this.said = new Map(); // id -> {member: {value, version}}, of our own changes
    this.reading = 0;
  }

  line(id) {
    return this.lines[this.lineAt.get(id)] ?? null;
  }

  take(id) {
    return this.takes.get(id) ?? null;
  }

  // --- reading ---

  async openProduction(id) {
    this.production = id;
    this.setLines([]);
    if (id !== null) await this.readLines();
  }

  async readLines() {
    const reading = ++this.reading;
    const found = [];
    for await (const items of records.pages("lines", { production: this.production }, FIRST_LINES)) {
      if (reading !== this.reading) return;
      found.push(...items);
      if (found.length > this.lines.length || found.length <= FIRST_LINES) this.setLines([...found]);
    }
    if (reading === this.reading) this.setLines(found);
  }

  setLines(lines) {
    this.lines = lines;
    this.lineAt = new Map(lines.map((line, n) => [line.id, n]));
    this.onLines();
  }

  /** The takes of a line, by number. */
  async takesOf(lineId) {
    const found = await records.all("takes", { line: lineId });
    for (const take of found) this.hold(take);
    return found;
  }

  /** One page of a list of takes -> {items, next}. */
  async takesWhere(filters, cursor) {
    const found = await records.page("takes", filters, cursor);
    for (const take of found.items) this.hold(take);
    return found;
  }

  async readTake(id) {
    const take = await records.fetchRecord("takes", id);
    if (take !== null) this.putTake(take);
    return take;
  }

  hold(take) {
    this.takes.set(take.id, take);
    this.kept.set(take.id, take);
  }

  putTake(take) {
    const before = this.takes.get(take.id);
    if (before && before.version > take.version) return;
    this.hold(take);
    this.onTake(take, before ?? null);
  }

  putLine(line) {
    const at = this.lineAt.get(line.id);
    if (at === undefined || line.number !== this.lines[at].number) {
      const others = this.lines.filter(({ id }) => id !== line.id);
      const next = others.findIndex((other) => other.number > line.number);
      others.splice(next < 0 ? others.length : next, 0, line);
      this.setLines(others);
    } else if (line.version >= this.lines[at].version) {
      this.lines[at] = line;
      this.onLines(line.id);
    }
  }

  // --- what others did ---

  /** Reads what has changed; `wants(event)` says whether a take that is not known is wanted. */
  async follow(events, wants) {
    const takes = events.filter((e) => e.kind === "take" && (this.takes.has(e.id) || wants(e)));
    const here = events.filter((e) => e.production === this.production && this.production !== null);
    const lines = new Map(); // id -> whether it is gone; what a line says of its takes changes with them
    for (const { kind, id, line, action } of here) {
      if (kind === "line") lines.set(id, action === "deleted");
      else if (line && !lines.has(line)) lines.set(line, false);
    }
    if (lines.size > MANY) await this.readLines();
    else await Promise.all([...lines].map(([id, isGone]) => this.followLine(id, isGone)));
    await Promise.all(takes.map((event) => this.followTake(event)));
  }

  async followLine(id, isGone) {
    const line = isGone ? null : await records.fetchRecord("lines", id);
    if (line !== null) this.putLine(line);
    else if (this.line(id)) this.setLines(this.lines.filter((other) => other.id !== id));
  }

  async followTake({ id, action, version }) {
    const known = this.takes.get(id);
    if (action === "deleted") {
      if (known) this.putTake({ ...known, version, deleted_at: known.deleted_at ?? "now" });
    } else if (!known || known.version < version || action === "measured") await this.readTake(id);
  }

  // --- changing ---

  /** Changes members of a take, seen at once. `base` is the take as the editor saw it: what somebody
   *  else has changed since is not overwritten unasked -> the take as it is then. What the service
   *  does not take is taken back, and its error thrown.
   */
  async changeTake(id, members, base = this.takes.get(id)) {
    this.show(id, members);
    const before = this.changing.get(id) ?? Promise.resolve();
    const now = before.then(() => this.carryOut(id, members, base));
    this.changing.set(id, now.catch(() => {}));
    try {
      return await now;
    } catch (error) {
      const names = Object.keys(members);
      this.show(id, Object.fromEntries(names.map((name) => [name, this.kept.get(id)[name]])));
      const found = await this.readTake(id).catch(() => null); // perhaps only the answer was lost
      if (found === null || names.some((name) => !same(found[name], members[name]))) throw error;
      return found;
    }
  }

  show(id, members) {
    const take = { ...this.takes.get(id), ...members };
    this.takes.set(id, take);
    this.onTake(take, take);
  }

  /** A change of our own that was carried out meanwhile is no conflict; one of somebody else is, also
   *  where it was read here before.
   */
  async carryOut(id, members, base) {
    const seen = this.asSeen(base);
    const known = this.kept.get(id);
    let changed;
    try {
      changed = await (known?.version > base.version
        ? this.settle(seen, known, members) : records.change("takes", base, members));
    } catch (error) {
      if (error.status !== 412 || !error.current) throw error;
      changed = await this.settle(seen, error.current, members);
    }
    const { version } = changed;
    const said = Object.keys(members).map((name) => [name, { value: changed[name], version }]);
    this.said.set(id, { ...this.said.get(id), ...Object.fromEntries(said) });
    return this.done(changed);
  }

  /** A take as the editor saw it, with what they have changed of it themselves since. */
  asSeen(base) {
    const own = Object.entries(this.said.get(base.id) ?? {}).filter(([, { version }]) => version > base.version);
    return { ...base, ...Object.fromEntries(own.map(([name, { value }]) => [name, value])) };
  }

  /** Somebody was first. What they left as it was is changed all the same; about the rest we ask. */
  async settle(base, theirs, members) {
    const both = Object.keys(members).filter(
      (name) => !same(base[name], theirs[name]) && !same(theirs[name], members[name]));
    this.hold(theirs);
    const isOwn = Object.values(this.said.get(base.id) ?? {}).some(({ version }) => version === theirs.version);
    const shown = isOwn ? { ...theirs, updated_by: null } : theirs; // it was before our own last change
    if (both.length > 0 && await this.onConflict(members, shown, both) === "theirs") {
      for (const name of both) delete members[name];
    }
    if (Object.keys(members).length === 0) return theirs;
    return records.change("takes", theirs, members);
  }

  /** A loose take becomes one of a line's, whatever else was noted of it meanwhile. */
  async assign(id, line) {
    return this.done(await this.onNewest(id, (take) => records.change("takes", take, { line })));
  }

  async removeTake(id) {
    const last = await this.onNewest(id, async (take) => {
      await records.remove("takes", take);
      return take;
    });
    this.putTake({ ...last, version: last.version + 1, deleted_at: "now" });
  }

  /** Does something to a take as it is now; once more if it was changed just then. */
  async onNewest(id, act) {
    const take = await records.fetchRecord("takes", id);
    if (take === null) throw new Error("The take is not there any more.");
    try {
      return await act(take);
    } catch (error) {
      if (error.status !== 412 || !error.current) throw error;
      return act(error.current);
    }
  }

  done(take) {
    this.hold(take);
    this.onTake(take, take);
    return take;
  }

  async changeLine(line, members) {
    const changed = await records.change("lines", line, members);
    this.putLine(changed);
    return changed;
  }
}
