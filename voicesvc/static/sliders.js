// Rows of a label, a slider, its value with unit, and a way back to the usual value.
// Knows nothing about what the values are for.

const FOLLOWING_KEYS = new Set(["Delete", "Backspace"]);

export class Slider {
  /** onChange(value) is called for each step, while the slider is moved too. */
  constructor({ name, label, min, max, step, usual, show, title = "" }, onChange) {
    Object.assign(this, { usual, show, onChange });
    this.row = element("div", "row");
    this.row.title = title;
    const text = element("label", "", label);
    this.input = Object.assign(element("input"), { type: "range", id: `set-${name}`, min, max, step });
    text.htmlFor = this.input.id;
    this.output = Object.assign(element("output"), { id: `value-${name}` });
    this.output.htmlFor.add(this.input.id);
    this.resetButton = resetButton(label, () => this.reset());
    this.row.append(text, this.input, this.output, this.resetButton);
    this.input.addEventListener("input", () => this.change(Number(this.input.value)));
    this.input.addEventListener("dblclick", () => this.reset());
    this.input.addEventListener("keydown", (event) => {
      if (!FOLLOWING_KEYS.has(event.key)) return;
      event.preventDefault();
      this.reset();
    });
    this.value = usual;
  }

  get value() {
    return this.now;
  }

  /** Shows a value without telling anybody. */
  set value(value) {
    this.now = value;
    this.input.value = value;
    this.output.textContent = this.show(value);
    this.input.setAttribute("aria-valuetext", this.show(value));
    this.refresh();
  }

  set disabled(disabled) {
    this.input.disabled = disabled;
    this.refresh();
  }

  refresh() {
    this.resetButton.disabled = this.now === this.usual || this.input.disabled;
    this.row.dataset.changed = String(this.now !== this.usual);
  }

  change(value) {
    this.value = value;
    this.onChange(value);
  }

  reset() {
    if (this.now !== this.usual) this.change(this.usual);
  }
}

export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** A small button that says in words what it sets back. */
export function resetButton(label, onReset) {
  const button = Object.assign(element("button", "reset", "↺"), { type: "button" });
  button.setAttribute("aria-label", `Reset ${label.toLowerCase()}`);
  button.title = `Reset ${label.toLowerCase()}`;
  button.addEventListener("click", onReset);
  return button;
}
