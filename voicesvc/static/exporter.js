// The dialog that takes a production's takes away as a zip of files for the picture.

import { exportUrl } from "/static/records.js";

export class Exporter {
  /** find(id) -> element; about() -> {production: record or null, circled: n lines}. */
  constructor({ find, about }) {
    Object.assign(this, { find, about });
    find("export-open").addEventListener("click", () => this.open());
    for (const id of ["export-takes", "export-rate", "export-depth", "export-template"]) {
      find(id).addEventListener("input", () => this.refresh());
    }
    find("export-go").addEventListener("click", () => find("export").close());
  }

  /** What there is to be exported may have changed. */
  show() {
    this.find("export-open").disabled = this.about().production === null;
    if (this.find("export").open) this.refresh();
  }

  open() {
    this.refresh();
    this.find("export").showModal();
  }

  refresh() {
    const { find } = this;
    const { production, circled } = this.about();
    const asked = {
      takes: find("export-takes").value,
      sample_rate_hz: find("export-rate").value,
      bit_depth: find("export-depth").value,
      template: find("export-template").value.trim() || null,
    };
    find("export-go").href = exportUrl(production.id, asked);
    find("export-about").textContent = asked.takes === "circled"
      ? `${circled} circled ${circled === 1 ? "take" : "takes"} of “${production.title}”, as BWF with a manifest.`
      : `All takes of “${production.title}”, as BWF with a manifest.`;
  }
}
