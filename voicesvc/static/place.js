// The production and the line that are worked on, in the address as `#production/line`: a reload or a
// link leads back to them. Knows nothing about showing them.

export class Place {
  /** onGo(): the address was changed by hand, or by a link. */
  constructor(onGo) {
    this.isKept = false; // not before the page is at what the address names
    addEventListener("hashchange", onGo);
  }

  /** Ids that the address names, each "" where it names none. */
  get wanted() {
    const [production = "", line = ""] = location.hash.slice(1).split("/");
    return { production, line };
  }

  keep(production, line) {
    if (!this.isKept) return;
    const hash = production === null ? "" : `#${[production, line].filter(Boolean).join("/")}`;
    if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
  }
}
