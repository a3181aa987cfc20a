// What other editors do, as the service tells it: records that have changed, a few at a time.
// The browser connects again by itself and says which event it had last, so none is missed.

const GATHER_MS = 60; // changes that come together are read together

export class Live {
  /** onChange([{kind, id, line, production, action, version, by}]); onState(connected). */
  constructor({ onChange, onState }) {
    Object.assign(this, { onChange, onState, gathered: new Map(), timer: 0 });
    this.source = new EventSource("/v1/events");
    this.source.addEventListener("open", () => onState(true));
    this.source.addEventListener("error", () => {
      onState(false);
      if (this.source.readyState === EventSource.CLOSED) this.source.close();
    });
    for (const kind of ["take", "line", "production"]) {
      this.source.addEventListener(kind, ({ data }) => this.gather({ kind, ...JSON.parse(data) }));
    }
    addEventListener("pagehide", () => this.source.close());
  }

  /** Of several changes of one record only the newest is told. */
  gather(event) {
    this.gathered.set(`${event.kind} ${event.id}`, event);
    if (this.timer) return;
    this.timer = setTimeout(() => {
      const events = [...this.gathered.values()];
      this.gathered.clear();
      this.timer = 0;
      this.onChange(events);
    }, GATHER_MS);
  }
}
