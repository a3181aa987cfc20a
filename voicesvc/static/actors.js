// Whose voice: the list of actors, what is to be known of the chosen one, and waiting for it.

import { fetchActor, fetchActors } from "/static/service.js";

const POLL_MS = 1000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const notes = {
  ready: (actor) => [actor.language, actor.engine, actor.demonstration && "for demonstration only"],
  idle: (actor) => [actor.language, actor.engine, "loads when first used"],
  loading: () => ["loading, ready in a moment"],
  failed: (actor) => ["cannot be used", actor.reason],
};

export class Actors {
  /** find(id) -> element; show(id, text); onChange(): another actor, or another state of one;
   *  onEmotions(emotions or null): what the chosen actor can do; onLanguages(actor): and in which.
   */
  constructor({ find, show, onChange, onEmotions, onLanguages }) {
    Object.assign(this, { find, show, onChange, onEmotions, onLanguages, list: [], described: null, wanted: null });
    this.select = find("actor");
    this.select.addEventListener("change", () => {
      this.wanted = null;
      this.dropMissing();
      this.showNote();
      onChange();
    });
  }

  get chosen() {
    return this.list.find((actor) => actor.actor_id === this.select.value);
  }

  /** Shows an actor by id, as a line or a take has it. Nobody else speaks for one that is not
   *  installed, until the editor chooses somebody.
   */
  choose(actorId) {
    this.wanted = actorId;
    if (actorId === this.select.value || this.list.length === 0) return;
    this.dropMissing();
    this.select.value = actorId;
    if (this.select.value !== actorId) this.addMissing(actorId);
    this.showNote();
    this.onChange();
  }

  addMissing(actorId) {
    const option = new Option(`${actorId} (not installed)`, actorId);
    option.disabled = true;
    option.dataset.missing = "true";
    this.select.append(option);
    this.select.value = actorId;
  }

  dropMissing() {
    this.select.querySelector("[data-missing]")?.remove();
  }

  /** Who speaks unless somebody is chosen. */
  get usual() {
    return this.list.find((a) => a.state === "ready") ?? this.list.find((a) => a.state !== "failed") ?? this.list[0];
  }

  /** Asks until there are actors and none is being loaded. */
  async watch() {
    for (;;) {
      try {
        const found = await fetchActors();
        if (JSON.stringify(found) !== JSON.stringify(this.list) || found.length === 0) {
          this.list = found;
          this.showAll();
        }
        if (found.length > 0 && !found.some((actor) => actor.state === "loading")) return;
      } catch (error) {
        this.show("actor-note", `The service did not list its actors (${error.message}). Asking again…`);
      }
      await sleep(POLL_MS);
    }
  }

  showAll() {
    const { select, list } = this;
    const chosen = select.value;
    select.replaceChildren(...list.map((actor) => {
      const suffix = { loading: " (loading)", failed: " (failed)" }[actor.state] ?? "";
      const option = new Option((actor.name ?? actor.actor_id) + suffix, actor.actor_id);
      option.disabled = actor.state === "failed";
      return option;
    }));
    if (list.length === 0) {
      select.replaceChildren(new Option("No actors", ""));
      this.show("actor-note", "The service has no actor packs. Import one with: voicesvc pack import-piper");
    } else {
      const asBefore = list.find((a) => a.actor_id === chosen && a.state !== "failed");
      select.value = this.wanted ?? (asBefore ?? this.usual).actor_id;
      if (select.value === "") this.addMissing(this.wanted);
      this.showNote();
    }
    select.disabled = list.length === 0;
    this.onChange();
  }

  showNote() {
    const actor = this.chosen;
    if (actor === undefined) {
      this.show("actor-note", "This actor is not installed. Choose another one to speak the line.");
      this.find("actor-note").dataset.state = "failed";
      this.find("licence").hidden = true;
      return;
    }
    this.show("actor-note", notes[actor.state](actor).filter(Boolean).join(" · "));
    this.find("actor-note").dataset.state = actor.state;
    const terms = Object.entries(actor.licence ?? {}).filter(([, said]) => said);
    this.find("licence").hidden = terms.length === 0;
    this.find("licence-terms").replaceChildren(...terms.flatMap(([name, said]) => {
      const [term, text] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, text.textContent] = [name, said];
      return [term, text];
    }));
    this.onLanguages(actor);
    this.describe(actor);
  }

  /** What each emotion of the actor was measured to be; without an answer all are offered. */
  async describe(actor) {
    if (this.described === actor.actor_id || actor.state === "failed") return;
    this.described = actor.actor_id;
    const found = await fetchActor(actor.actor_id).catch(() => ({}));
    if (this.described === actor.actor_id) this.onEmotions(found.emotions ?? null);
  }
}
