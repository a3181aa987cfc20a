// In which of the actor's languages a line is spoken; nothing is shown where there is one alone.

export class Language {
  /** find(id) -> element; onChange(language): "" is the actor's own. */
  constructor(find, onChange) {
    [this.row, this.select] = [find("language-row"), find("language")];
    [this.own, this.offered, this.asked] = ["", [], ""];
    this.select.addEventListener("change", () => onChange(this.select.value));
  }

  /** What the chosen actor can be asked for. */
  offer({ language, languages = [] }) {
    [this.own, this.offered] = [language, languages.filter((name) => name !== language)];
    this.show(this.asked);
  }

  show(asked) {
    this.asked = asked;
    const others = this.offered.map((name) => new Option(name, name));
    const foreign = asked !== "" && !this.offered.includes(asked);
    if (foreign) others.push(new Option(`${asked} (not this actor's)`, asked));
    this.select.replaceChildren(new Option(`${this.own} (the actor's own)`, ""), ...others);
    this.select.value = asked;
    this.row.hidden = others.length === 0;
  }
}
