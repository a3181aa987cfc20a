// The words under the waveform, each a button at its own time. Knows nothing about sound.

const LANES = 3;
const LANES_KEPT = 2; // room left for a second lane, so that the page does not jump
const GAP_PX = 4;

export class Words {
  /** onPlay(word): a word was chosen; onShow(word or null): one is pointed at or focused. */
  constructor({ list, onPlay, onShow }) {
    Object.assign(this, { list, onPlay, onShow });
    this.pxPerS = 1;
    this.clear();
  }

  clear() {
    this.words = [];
    this.buttons = [];
    this.widthsPx = [];
    this.current = -1;
    this.list.replaceChildren();
  }

  /** Takes the whole list as it stands now; what is already shown stays. */
  update(words) {
    for (const word of words.slice(this.words.length)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = word.text;
      button.dataset.startS = word.start_s;
      button.dataset.endS = word.end_s;
      button.addEventListener("click", () => this.onPlay(word));
      for (const type of ["focus", "pointerenter"]) button.addEventListener(type, () => this.onShow(word));
      for (const type of ["blur", "pointerleave"]) button.addEventListener(type, () => this.onShow(null));
      const item = document.createElement("li");
      item.append(button);
      this.list.append(item);
      this.words.push(word);
      this.buttons.push(button);
    }
    const fresh = this.buttons.slice(this.widthsPx.length);
    this.widthsPx.push(...fresh.map((button) => button.offsetWidth));
    if (fresh.length > 0) this.place();
  }

  layout(pxPerS) {
    if (pxPerS === this.pxPerS) return;
    this.pxPerS = pxPerS;
    this.place();
  }

  /** Puts each word at its start, in the first lane where it does not cover the one before. */
  place() {
    const laneEnds = new Array(LANES).fill(0);
    this.words.forEach((word, n) => {
      const startPx = word.start_s * this.pxPerS;
      const free = laneEnds.findIndex((endPx) => endPx <= startPx);
      const lane = free >= 0 ? free : laneEnds.indexOf(Math.min(...laneEnds));
      const leftPx = Math.max(startPx, laneEnds[lane]);
      const { style } = this.buttons[n];
      style.left = `${leftPx}px`;
      style.setProperty("--lane", lane);
      laneEnds[lane] = leftPx + this.widthsPx[n] + GAP_PX;
    });
    const used = laneEnds.filter((endPx) => endPx > 0).length;
    this.list.style.setProperty("--lanes", Math.max(LANES_KEPT, used));
  }

  /** Marks the word that is heard at `timeS`. */
  moveTo(timeS) {
    const now = this.words.findIndex((word) => timeS >= word.start_s && timeS < word.end_s);
    if (now === this.current) return;
    this.buttons[this.current]?.removeAttribute("aria-current");
    this.buttons[now]?.setAttribute("aria-current", "true");
    this.current = now;
  }
}
