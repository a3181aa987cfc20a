// What can be taken back, of all kinds, in the order it was done. Knows nothing about what it is.

const MOST = 500;

export class Steps {
  constructor(onChange) {
    Object.assign(this, { onChange, done: [], undone: [] });
  }

  get canUndo() {
    return this.done.length > 0;
  }

  get canRedo() {
    return this.undone.length > 0;
  }

  /** {undo, redo}: both functions; `of` names whose it is, to be forgotten together. */
  push(step) {
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

  undo() {
    const step = this.done.pop();
    if (step === undefined) return;
    this.undone.push(step);
    this.onChange();
    step.undo();
  }

  redo() {
    const step = this.undone.pop();
    if (step === undefined) return;
    this.done.push(step);
    this.onChange();
    step.redo();
  }
}
