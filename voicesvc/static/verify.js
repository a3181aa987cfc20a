// Sends a recording to POST /v1/verify and shows what is known of it, and where.

const $ = (id) => document.getElementById(id);
const drop = $("drop");
let newest = 0; // the file that was chosen last: answers to others are not shown

function seconds(s) {
  const tenths = Math.round(10 * s);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

function bar(kind, begin, end, whole) {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const at = { x: (1000 * begin) / whole, width: (1000 * (end - begin)) / whole };
  const row = { y: kind === "take" ? 8 : 40, height: 22 };
  for (const [name, value] of Object.entries({ ...at, ...row })) rect.setAttribute(name, value);
  rect.classList.add(kind);
  $("where").append(rect);
}

function item(text) {
  const li = document.createElement("li");
  li.textContent = text;
  $("stretches").append(li);
}

function stretches({ recording, fingerprint, watermark }) {
  $("where").replaceChildren();
  $("stretches").replaceChildren();
  const whole = recording.duration_s;
  for (const m of fingerprint.matches) {
    bar("take", m.begin_s, Math.min(m.end_s, whole), whole);
    const from = `${seconds(m.begin_s)} to ${seconds(m.end_s)}`;
    const own = `its own ${seconds(m.take_begin_s)} to ${seconds(m.take_end_s)}`;
    const speed = m.speed === 1 ? "" : `, at ${m.speed} of its speed`;
    const wrong = (100 * m.bit_error_rate).toFixed(1);
    item(`${from}: take ${m.take}, ${own}${speed}; ${wrong} % of the bits differ`);
  }
  for (const [begin, end] of watermark.marked) {
    bar("marked", begin, end, whole);
    item(`${seconds(begin)} to ${seconds(end)}: marked as synthetic`);
  }
  if (!$("stretches").children.length) item("Nothing was found in it.");
}

function show(told) {
  const { fingerprint, takes, watermark, credentials, recording } = told;
  $("answer").textContent = told.answer;
  stretches(told);
  const below = (100 * fingerprint.wrong_below).toFixed(1);
  $("fingerprint").textContent = fingerprint.matches.length
    ? `Found among ${fingerprint.among} takes. A take is named wrongly in less than ${below} % of cases.`
    : `Not found among ${fingerprint.among} takes.`;
  $("ledger").textContent =
    takes
      .map(({ take, ledger, kept, grant }) => {
        const stands = grant.stands ? "the grant stands" : grant.reason;
        const gone = kept ? "" : "; the take was deleted";
        return `Take ${take} is entry ${ledger.entry}, made ${ledger.made_at}; ${stands}${gone}.`;
      })
      .join(" ") || "There is no take to look for.";
  const score = watermark.score === null ? "" : ` The surest of its parts has ${watermark.score} of 1.`;
  $("watermark").textContent = `${recording.kind}, ${seconds(recording.duration_s)}: ${watermark.verdict}.${score}`;
  $("credentials").textContent = [credentials.words, ...credentials.reasons].join(" ");
  $("found").hidden = false;
  $("answer").focus();
}

async function verify(file) {
  const mine = ++newest;
  $("found").hidden = true;
  $("status").textContent = `${file.name} is being examined…`;
  let said = "";
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const answer = await fetch("/v1/verify", { method: "POST", body: file, headers });
    const told = await answer.json();
    if (mine !== newest) return;
    if (answer.ok) show(told);
    else said = `${told.title}: ${told.detail}.${told.valid ? ` Valid: ${[told.valid].flat().join(", ")}.` : ""}`;
  } catch {
    said = "The service did not answer.";
  }
  if (mine === newest) $("status").textContent = said || `${file.name}: examined.`;
}

$("file").addEventListener("change", ({ target }) => target.files[0] && verify(target.files[0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) verify(file);
});
