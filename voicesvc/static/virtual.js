// A list of which only what is in view is in the document, however long it is.
// Knows nothing about what its rows show.

const SPARE_PX = 240; // built above and below what is in view

export class VirtualList {
  /** scroller: the window on the list; rows: in it, as high as the whole list;
   *  heightOf(item) -> px; keyOf(item) -> string; build() -> element of a row;
   *  fill(element, item, index): brings a row up to date; onEnd(): the last row is in view.
   */
  constructor({ scroller, rows, heightOf, keyOf, build, fill, onEnd = () => {} }) {
    Object.assign(this, { scroller, rows, heightOf, keyOf, build, fill, onEnd });
    this.shown = new Map(); // key -> element
    this.spare = [];
    this.set([]);
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(scroller);
  }

  set(items) {
    this.items = items;
    this.tops = new Float64Array(items.length + 1); // px
    this.indices = new Map();
    items.forEach((item, n) => {
      this.tops[n + 1] = this.tops[n] + this.heightOf(item);
      this.indices.set(this.keyOf(item), n);
    });
    this.rows.style.height = `${this.tops[items.length]}px`;
    this.draw();
  }

  /** The first row that ends below `px`; one past the last where none does. */
  indexAt(px) {
    let [low, high] = [0, this.items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] > px) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  draw() {
    const { scrollTop, clientHeight } = this.scroller;
    const first = this.indexAt(scrollTop - SPARE_PX);
    const last = Math.min(this.indexAt(scrollTop + clientHeight + SPARE_PX), this.items.length - 1);
    for (const [key, element] of this.shown) {
      const n = this.indices.get(key);
      const held = n !== undefined && element.contains(document.activeElement); // it keeps its focus
      if ((n >= first && n <= last) || held) continue;
      this.shown.delete(key);
      element.remove();
      this.spare.push(element);
    }
    for (let n = first; n <= last; n++) this.place(n);
    this.putInOrder();
    if (this.items.length > 0 && last === this.items.length - 1) this.onEnd();
  }

  place(n) {
    const key = this.keyOf(this.items[n]);
    const element = this.shown.get(key) ?? this.spare.pop() ?? this.build();
    this.shown.set(key, element);
    element.style.transform = `translateY(${this.tops[n]}px)`;
    element.style.height = `${this.tops[n + 1] - this.tops[n]}px`;
    this.fill(element, this.items[n], n);
  }

  /** Rows follow each other in the document as they do on the screen: it is read in that order. */
  putInOrder() {
    const inOrder = [...this.shown].sort(([a], [b]) => this.indices.get(b) - this.indices.get(a));
    let next = null;
    for (const [, element] of inOrder) {
      const there = element.parentNode === this.rows && element.nextSibling === next;
      if (!there) this.rows.insertBefore(element, next);
      next = element;
    }
  }

  /** Brings one row up to date, if it is in view. */
  refresh(key) {
    const element = this.shown.get(key);
    if (element) this.fill(element, this.items[this.indices.get(key)], this.indices.get(key));
  }

  refreshAll() {
    for (const key of this.shown.keys()) this.refresh(key);
  }

  /** Scrolls no further than it must to have the row in view, with a little around it. */
  reveal(index) {
    const { scroller, tops } = this;
    const [topPx, endPx] = [tops[Math.max(0, index - 1)], tops[Math.min(index + 2, this.items.length)]];
    if (topPx < scroller.scrollTop) scroller.scrollTop = topPx;
    else if (endPx > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = endPx - scroller.clientHeight;
    }
    this.draw();
  }
}
