// What differs between the plans of two takes, in a dialog: the line as a whole, then word by word.

import { fetchDifferences } from "/static/records.js";
import { element } from "/static/sliders.js";

export class Compare {
  /** find(id) -> element; onProblem(error). */
  constructor({ find, onProblem }) {
    Object.assign(this, { find, onProblem });
  }

  /** a, b: takes; names: how they are called. */
  async open(a, b, names) {
    try {
      const found = await fetchDifferences(a.id, b.id);
      this.find("compare-title").textContent = `${names[1]} against ${names[0]}`;
      this.find("compare-body").replaceChildren(...this.build(found, names));
      this.find("compare").showModal();
    } catch (error) {
      this.onProblem(error);
    }
  }

  build({ same, line, sentences, words }, names) {
    if (same) return [element("p", "", `${names[0]} and ${names[1]} have the same plan.`)];
    const rows = [
      ...line.map(({ said }) => ["the line", said]),
      ...sentences.map(({ after, changes }) => [`sentence ${after + 1}`, changes.map(({ said }) => said).join(", ")]),
      ...words.map((word) => [word.text, wordSaid(word)]),
    ];
    const table = element("table", "values");
    table.append(...rows.map(([name, said]) => {
      const row = element("tr");
      row.append(Object.assign(element("th", "", name), { scope: "row" }), element("td", "", said));
      return row;
    }));
    return [table];
  }
}

function wordSaid({ kind, changes }) {
  if (kind === "added") return "is not in the first";
  if (kind === "removed") return "is not in the second";
  return changes.map(({ said }) => said).join(", ");
}
