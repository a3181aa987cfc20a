// Runs where it stands in the page, before anything is painted. The header is painted first and the
// rest a frame later, which takes most of the time; the modules are asked for after that, all in one
// go: they would be in its way. What is pressed until they are there is kept.

{
  const page = document.documentElement;
  page.dataset.opening = "";
  const pressed = [];
  const keep = (event) => {
    pressed.push(event);
    const isSign = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (isSign && event.target === document.body) event.preventDefault(); // the space bar scrolls
  };
  addEventListener("keydown", keep);
  /** Keeps keys no longer; gives those that were. */
  window.keysPressed = () => {
    removeEventListener("keydown", keep);
    return pressed.splice(0);
  };

  const begin = () => {
    document.head.append(document.getElementById("modules").content);
    import("/static/app.js");
  };
  // A page that nobody sees has no frames to wait for.
  const afterPaint = (act) => (document.hidden ? act() : requestAnimationFrame(() => setTimeout(act)));
  addEventListener("DOMContentLoaded", () => {
    afterPaint(() => {
      delete page.dataset.opening;
      afterPaint(begin);
    });
  });
}
