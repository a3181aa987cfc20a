// A key is sent once; from then on the browser's cookie stands for it, which no script reads.

const said = document.getElementById("said");

async function ask(method, body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  try {
    return await fetch("/v1/session", { method, headers, body: body && JSON.stringify(body) });
  } catch {
    said.textContent = "The service does not answer.";
    return null;
  }
}

const form = document.querySelector("form");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = document.getElementById("key");
  const answer = await ask("POST", { key: key.value });
  if (answer === null) return;
  if (answer.ok) location.assign(form.dataset.next + location.hash); // a line that a link led to
  else said.textContent = (await answer.json()).detail;
});

document.getElementById("out").addEventListener("click", async () => {
  const answer = await ask("DELETE");
  if (answer !== null) said.textContent = answer.ok ? "You are logged out." : "That failed.";
});
