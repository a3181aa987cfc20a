// The page is painted before its modules are asked for, all in one go: they would be in its way.

const begin = () => {
  document.head.append(document.getElementById("modules").content);
  import("/static/app.js");
};

if (document.hidden) begin(); // a page that nobody sees has no frames to wait for
else requestAnimationFrame(() => setTimeout(begin));
