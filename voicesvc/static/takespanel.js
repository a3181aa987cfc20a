// The head of the list of takes: which takes are shown, how many, and more of them.

const SCOPES = {
  line: "Takes of this line", loose: "Loose takes", circled: "All circled", flagged: "All flagged", all: "All takes",
};
const NONE = {
  line: "No take of this line yet. Speak makes one that you hear at once; “5 takes” makes several that differ.",
  loose: "Takes that belong to no line come here.",
  circled: "No take is circled yet.",
  flagged: "Nothing is flagged.",
  all: "No takes yet.",
};

export class TakesPanel {
  /** find(id) -> element; show(id, text); onScope(scope). */
  constructor({ find, show, onScope }) {
    Object.assign(this, { find, show });
    this.scope = find("take-scope");
    this.scope.addEventListener("change", () => onScope(this.scope.value));
    this.offer(false, false);
  }

  /** Which lists there can be. */
  offer(hasLine, hasProduction) {
    const has = { line: hasLine, loose: true, circled: hasProduction, flagged: hasProduction, all: hasProduction };
    const key = JSON.stringify(has);
    if (key === this.offered) return;
    this.offered = key;
    const now = this.scope.value;
    this.scope.replaceChildren(...Object.entries(SCOPES).filter(([name]) => has[name]).map(
      ([name, label]) => new Option(label, name)));
    this.scope.value = has[now] ? now : "loose";
  }

  refresh({ scope, takes, hasMore }) {
    this.scope.value = scope;
    const waiting = takes.filter(({ state }) => state === "queued" || state === "open").length;
    const count = `${takes.length}${hasMore ? "+" : ""}`;
    this.show("take-count", takes.length === 0 ? "" : waiting > 0 ? `${count}, ${waiting} being made` : count);
    this.find("take-list").dataset.scope = scope;
    this.find("takes-empty").hidden = takes.length > 0;
    this.show("takes-empty", NONE[scope]);
  }
}
