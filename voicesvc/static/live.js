// What other editors do, as the service tells it: records that have changed, a few at a time.
// A connection that breaks is made again, from the event that came last, so none is missed.

const GATHER_MS = 60; // changes that come together are read together
const AGAIN_MS = 2000;

export class Live {
  /** onChange([{kind, id, line, production, action, version, by}]); onState(connected). */
  constructor({ onChange, onState }) {
    Object.assign(this, { onChange, onState, gathered: new Map(), timer: 0, last: null });
    this.open();
    addEventListener("pagehide", () => this.source.close());
    addEventListener("pageshow", (event) => { if (event.persisted) this.open(); });
  }

  open() {
    this.source = new EventSource(this.last === null ? "/v1/events" : `/v1/events?after=${this.last}`);
    this.source.addEventListener("open", () => this.onState(true));
    this.source.addEventListener("error", () => {
      this.onState(false);
      if (this.source.readyState !== EventSource.CLOSED) return; // the browser tries again itself
      setTimeout(() => this.open(), AGAIN_MS);
    });
    for (const kind of ["take", "line", "production"]) {
      this.source.addEventListener(kind, ({ data, lastEventId }) => {
        this.last = lastEventId || this.last;
        this.gather({ kind, ...JSON.parse(data) });
      });
    }
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
