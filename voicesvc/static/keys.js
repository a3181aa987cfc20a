// The keyboard: one table says what each key does and is what the list of keys shows.
// Fields keep their keys; what has handled a key itself keeps it too.

import { element } from "/static/sliders.js";

const TYPES = "textarea, select, input:not([type=checkbox], [type=radio], [type=button])";
const PRESSED = "button, a, summary, input"; // the space bar is theirs

export class Keys {
  /** find(id) -> element; groups: [{title, keys: [{shown: [..], what, on: [..], run(event)}]}].
   *  `on` is as in "l", "Shift+ArrowUp", "Control+z"; Control is the command key of a Mac too.
   */
  constructor({ find, groups }) {
    this.dialog = find("keys");
    this.table = new Map(groups.flatMap(({ keys }) => keys.flatMap((key) => key.on.map((name) => [name, key]))));
    find("key-list").replaceChildren(...groups.map(({ title, keys }) => {
      const part = element("section");
      const list = element("dl");
      for (const { shown, what } of keys) {
        const term = element("dt");
        term.append(...shown.flatMap((name, n) => (n > 0 ? [" ", element("kbd", "", name)] : [element("kbd", "", name)])));
        list.append(term, element("dd", "", what));
      }
      part.append(element("h3", "", title), list);
      return part;
    }));
    find("keys-open").addEventListener("click", () => this.dialog.showModal());
  }

  /** Listens from now on; first come the keydown events of before, as if they were pressed now. */
  begin(pressed) {
    document.addEventListener("keydown", (event) => {
      if (!event.defaultPrevented) this.onKey(event);
    });
    const before = document.activeElement;
    for (const event of pressed) {
      const { activeElement } = document;
      const isField = activeElement !== before && activeElement.matches(TYPES);
      if (isField && !event.target.closest(TYPES)) typeInto(activeElement, event);
      else this.onKey(event);
    }
  }

  show() {
    this.dialog.showModal();
  }

  onKey(event) {
    if (event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    const command = event.ctrlKey || event.metaKey;
    const key = this.table.get(nameOf(event));
    if (key === undefined) return;
    const { target } = event;
    if (target.closest(TYPES) && !key.everywhere) return;
    if (event.key === " " && target.closest(PRESSED)) return;
    if (!command || key.everywhere || !target.closest(TYPES)) {
      event.preventDefault();
      key.run(event);
    }
  }
}

/** What a key that was pressed for a field would have put there. */
function typeInto(field, event) {
  if (event.key.length !== 1 || event.ctrlKey || event.metaKey) return;
  field.setRangeText(event.key, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new InputEvent("input", { bubbles: true, data: event.key, inputType: "insertText" }));
}

/** "Control+Shift+z", "Shift+3" for the digit's key whatever sign it makes, "?" as it is typed. */
function nameOf(event) {
  const command = event.ctrlKey || event.metaKey ? "Control+" : "";
  const digit = /^Digit(\d)$/.exec(event.code)?.[1];
  if (digit !== undefined && event.shiftKey) return `${command}Shift+${digit}`;
  const isSign = event.key.length === 1 && event.key.toLowerCase() === event.key.toUpperCase();
  const shift = event.shiftKey && !isSign ? "Shift+" : "";
  return command + shift + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
}
