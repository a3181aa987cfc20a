// "5 takes": how many more takes of a line, and what is to differ between them.

import { element } from "/static/sliders.js";

const VARY = { seed: "seed", emotion: "emotion", pace: "pace" };

export class Batch {
  /** find(id) -> element; onMake({count, vary}). */
  constructor({ find, onMake }) {
    Object.assign(this, { onMake });
    this.count = find("batch-count");
    this.button = find("batch-make");
    this.boxes = Object.entries(VARY).map(([name, label]) => {
      const box = Object.assign(element("input"), { type: "checkbox", name, checked: true });
      const text = element("label", "check");
      text.append(box, ` ${label}`);
      find("batch-vary").append(text);
      return box;
    });
    this.count.addEventListener("input", () => this.refresh());
    find("batch").addEventListener("submit", (event) => {
      event.preventDefault();
      this.make();
    });
  }

  set enabled(enabled) {
    this.button.disabled = !enabled;
  }

  make() {
    if (this.button.disabled || !this.count.validity.valid) return;
    const vary = this.boxes.filter((box) => box.checked).map((box) => box.name);
    this.onMake({ count: Number(this.count.value), vary: vary.length > 0 ? vary : ["seed"] });
  }

  refresh() {
    const count = Number(this.count.value);
    this.button.textContent = count === 1 ? "take" : "takes";
    this.button.setAttribute("aria-label", `Make ${count} ${count === 1 ? "take" : "takes"}`);
  }
}
