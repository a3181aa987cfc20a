// What differs between the plans of two takes, in a dialog.

import { fetchDifferences } from "/static/records.js";
import { element } from "/static/sliders.js";

export class Compare {
  constructor({ find, onProblem }) {
    Object.assign(this, { find, onProblem });
  }

  /** a, b: takes; names: how they are called. */
  async open(a, b, names) {
    try {
      const found = await fetchDifferences(a.id, b.id);
      this.find("compare-title").textContent = `What differs: ${names[0]} and ${names[1]}`;
      this.find("compare-body").replaceChildren(...this.build(found, names));
      this.find("compare").showModal();
    } catch (error) {
      this.onProblem(error);
    }
  }

  build(found) {
    return [element("pre", "", JSON.stringify(found, null, 2))];
  }
}
