// What can be taken back, of all kinds, in the order it was done. Knows nothing about what it is.

const MOST = 500;

export class Steps {
  constructor(onChange) {
    Object.assign(this, { onChange, done: [], undone: [], pushed: 0 });
  }

  get canUndo() {
    return this.done.length > 0;
  }

  get canRedo() {
    return this.undone.length > 0;
  }

  /** {undo, redo}: both functions, whose promise may be of false: not carried out. `of` names whose
   *  it is, to be forgotten together.
   */
  push(step) {
    step.place = ++this.pushed;
    this.done.push(step);
    if (this.done.length > MOST) this.done.shift();
    this.undone = [];
    this.onChange();
  }

  forget(of) {
    this.done = this.done.filter((step) => step.of !== of);
    this.undone = this.undone.filter((step) => step.of !== of);
    this.onChange();
  }

  /** Forgets one step: it did not come about. */
  drop(step) {
    this.done = this.done.filter((other) => other !== step);
    this.undone = this.undone.filter((other) => other !== step);
    this.onChange();
  }

  async undo() {
    const step = this.done.pop();
    if (step === undefined) return;
    this.undone.push(step);
    this.onChange();
    if (await step.undo() !== false || !this.undone.includes(step)) return;
    this.drop(step); // it can be tried again
    this.done.push(step);
    this.done.sort((a, b) => a.place - b.place);
    this.onChange();
  }

  async redo() {
    const step = this.undone.pop();
    if (step === undefined) return;
    this.done.push(step);
    this.onChange();
    if (await step.redo() !== false || !this.done.includes(step)) return;
    this.drop(step);
    this.undone.push(step);
    this.undone.sort((a, b) => b.place - a.place);
    this.onChange();
  }
}
