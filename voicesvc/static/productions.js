// Which production is worked on. The choice is kept in this browser.

import { all } from "/static/records.js";

const KEPT_AS = "voicesvc production";

export class Productions {
  /** find(id) -> element; wanted() -> id of the one that the address names; onChoose(production or null). */
  constructor({ find, wanted, onChoose }) {
    Object.assign(this, { wanted, onChoose, list: [], opened: null });
    this.select = find("production");
    this.select.addEventListener("change", () => this.choose(this.select.value || null));
  }

  get chosen() {
    return this.list.find(({ id }) => id === this.select.value) ?? null;
  }

  /** Reads them, and opens the one that is wanted, that was open last, or the only one. */
  async read() {
    this.list = await all("productions", {});
    this.fill();
    const wanted = [this.opened, this.wanted(), localStorage.getItem(KEPT_AS), this.list.length === 1 ? this.list[0].id : null];
    const id = wanted.find((one) => this.list.some((p) => p.id === one)) ?? null;
    this.select.value = id ?? "";
    await this.choose(id);
  }

  fill() {
    this.select.replaceChildren(new Option(this.list.length === 0 ? "No production" : "No production chosen", ""),
      ...this.list.map(({ id, title }) => new Option(title, id)));
  }

  async open(id) {
    this.list = await all("productions", {});
    this.fill();
    this.select.value = id;
    await this.choose(id);
  }

  /** Opens one of those that were read -> whether there is such a one. */
  async go(id) {
    if (!this.list.some((p) => p.id === id)) return false;
    this.select.value = id;
    await this.choose(id);
    return true;
  }

  choose(id) {
    if (id === this.opened) return undefined;
    this.opened = id;
    if (id === null) localStorage.removeItem(KEPT_AS);
    else localStorage.setItem(KEPT_AS, id);
    return this.onChoose(this.chosen);
  }
}
