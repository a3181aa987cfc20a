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
    this.moved = false; // whether words are at other times than they stand at
    this.list.replaceChildren();
  }

  /** Takes the whole list as it stands now; what is already shown stays, moved to its new time. */
  update(words) {
    if (this.words.some((word, n) => word.text !== words[n]?.text)) this.clear();
    this.words.forEach((_, n) => this.take(n, words[n]));
    for (const word of words.slice(this.words.length)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = word.text;
      const n = this.words.length;
      button.addEventListener("click", () => this.onPlay(this.words[n]));
      for (const type of ["focus", "pointerenter"]) {
        button.addEventListener(type, () => this.onShow(this.words[n]));
      }
      for (const type of ["blur", "pointerleave"]) button.addEventListener(type, () => this.onShow(null));
      const item = document.createElement("li");
      item.append(button);
      this.list.append(item);
      this.buttons.push(button);
      this.take(n, word);
    }
    const fresh = this.buttons.slice(this.widthsPx.length);
    this.widthsPx.push(...fresh.map((button) => button.offsetWidth));
    if (this.moved) this.place();
  }

  take(n, word) {
    const before = this.words[n];
    this.moved ||= before?.start_s !== word.start_s || before.end_s !== word.end_s;
    this.words[n] = word;
    this.buttons[n].dataset.startS = word.start_s;
    this.buttons[n].dataset.endS = word.end_s;
    if (word.wrong === undefined) delete this.buttons[n].dataset.wrong;
    else this.buttons[n].dataset.wrong = word.wrong;
    this.buttons[n].title = word.wrong === undefined ? "" : `heard: ${word.wrong}`;
  }

  layout(pxPerS) {
    if (pxPerS === this.pxPerS) return;
    this.pxPerS = pxPerS;
    this.place();
  }

  /** Puts each word at its start, in the first lane where it does not cover the one before. */
  place() {
    this.moved = false;
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
