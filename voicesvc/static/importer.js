// The dialog that takes a script in: pasted, dropped or picked; into a production, new or not.

import { create } from "/static/records.js";
import { readScript } from "/static/scripttext.js";

const AT_ONCE = 500; // lines in one request
export const RATES_FPS = ["23.976", "24", "25", "29.97", "29.97df", "30", "48", "50", "59.94", "59.94df",
  "60"];

export class Importer {
  /** find(id) -> element; productionsOf() -> {list, chosen}; actorOf() -> who speaks what names
   *  nobody; onDone(production): its lines are there.
   */
  constructor({ find, productionsOf, actorOf, onDone }) {
    Object.assign(this, { find, productionsOf, actorOf, onDone });
    this.dialog = find("import");
    this.text = find("import-text");
    this.into = find("import-into");
    this.find("import-fps").replaceChildren(...RATES_FPS.map((fps) => new Option(`${fps} fps`, fps)));
    find("import-fps").value = "24";
    find("import-open").addEventListener("click", () => this.open());
    find("import-pick").addEventListener("change", ({ target }) => this.take(target.files[0]));
    this.text.addEventListener("input", () => this.refresh());
    this.into.addEventListener("change", () => this.refresh());
    this.text.addEventListener("dragover", (event) => event.preventDefault());
    this.text.addEventListener("drop", (event) => {
      const [file] = event.dataTransfer.files;
      if (file === undefined) return;
      event.preventDefault();
      this.take(file);
    });
    find("import-go").addEventListener("click", () => this.go());
  }

  open() {
    const { list, chosen } = this.productionsOf();
    this.into.replaceChildren(new Option("a new production", ""),
      ...list.map(({ id, title }) => new Option(title, id)));
    this.into.value = chosen ?? "";
    this.refresh();
    this.dialog.showModal();
    this.text.focus();
  }

  async take(file) {
    if (file === undefined) return;
    this.text.value = await file.text();
    const name = this.find("import-name");
    if (name.value === "") name.value = file.name.replace(/\.[^.]*$/, "");
    this.refresh();
  }

  refresh() {
    this.found = readScript(this.text.value);
    const { lines, left } = this.found;
    const scenes = new Set(lines.map((line) => line.scene)).size;
    const isNew = this.into.value === "";
    this.find("import-title-field").hidden = !isNew;
    this.find("import-fps").closest("label").hidden = !isNew;
    this.find("import-go").disabled = lines.length === 0;
    this.find("import-found").textContent = (lines.length === 0 ? "Nothing to import yet."
      : `${lines.length} lines in ${scenes} ${scenes === 1 ? "scene" : "scenes"}, from “${lines[0].text.slice(0, 60)}”.`)
      + (left.length > 0 ? ` Not taken: ${left.slice(0, 5).join(", ")}${left.length > 5 ? " …" : ""}.` : "");
  }

  async go() {
    const { lines } = this.found;
    const button = this.find("import-go");
    button.disabled = true;
    let at = 0;
    try {
      const title = this.find("import-name").value.trim() || "Untitled";
      const production = this.into.value
        || (await create("productions", { title, fps: this.find("import-fps").value })).id;
      for (; at < lines.length; at += AT_ONCE) {
        this.find("import-found").textContent = `${at} of ${lines.length} lines are in.`;
        const part = lines.slice(at, at + AT_ONCE);
        await create("lines", { production, lines: part.map((line) => ({ actor: this.actorOf(), ...line })) });
      }
      this.dialog.close();
      this.text.value = "";
      this.onDone(production);
    } catch (error) {
      const where = error.where ? ` (${placeOf(error.where, lines.slice(at, at + AT_ONCE))})` : "";
      this.find("import-found").textContent = `${at} of ${lines.length} lines are in; then: ${error.message}${where}`;
    }
    button.disabled = false;
  }
}

/** Where in a script a request's line is that was refused: its cue, or what it says. */
function placeOf(where, lines) {
  const [, n, field] = /^lines\.(\d+)\.(.*)$/.exec(where) ?? [];
  if (n === undefined) return where;
  const line = lines[Number(n)];
  return `${field} of ${line.cue ?? `“${line.text.slice(0, 60)}”`}`;
}
