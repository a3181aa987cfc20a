// States that can be gone back to. Knows nothing about what is in them; they are not changed.

const SAME_CHANGE_MS = 1000; // changes of one thing that follow so soon are one step

export class History {
  constructor(state) {
    this.states = [state];
    this.at = 0;
    this.last = { key: null, atMs: -Infinity };
  }

  /** A new state after a change of `key`; what was undone before it is forgotten.
   *  -> whether it is a step of its own.
   */
  record(state, key, nowMs) {
    const same = key === this.last.key && nowMs - this.last.atMs < SAME_CHANGE_MS && this.at > 0;
    if (!same) this.at += 1;
    this.states.splice(this.at, Infinity, state);
    this.last = { key, atMs: nowMs };
    return !same;
  }

  /** The state as it is, without a step back to what it was. */
  replace(state) {
    this.states[this.at] = state;
  }

  undo() {
    return this.move(-1);
  }

  redo() {
    return this.move(1);
  }

  move(steps) {
    this.at += steps;
    this.last = { key: null, atMs: -Infinity };
    return this.states[this.at];
  }
}
