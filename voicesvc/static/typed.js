// A client of WS /v1/speech/live: what is typed is sent as it is typed, and heard as it comes.

const actor = document.querySelector("#actor");
const text = document.querySelector("#text");
const said = document.querySelector("#said");
const status = document.querySelector("#status");

let socket = null;
let context = null;
let sent = ""; // of the text, so far
let rate = 22050;
let told = null; // of the binary frame that comes next
let base = 0; // when the audio's 0 s is heard, by the context's clock
let playing = [];

function open() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/v1/speech/live`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    send({ actor: actor.value, format: "pcm_s16le" });
    sent = "";
    said.replaceChildren();
    follow();
  };
  socket.onmessage = ({ data }) => (typeof data === "string" ? hear(JSON.parse(data)) : play(data));
  socket.onclose = () => (socket = null);
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function hear(event) {
  if (event.event === "started") rate = event.sample_rate_hz;
  if (event.event === "audio") told = event;
  if (event.event === "problem") status.textContent = event.detail;
  if (event.event === "flushed") status.textContent = "";
}

function play(bytes) {
  const samples = Float32Array.from(new Int16Array(bytes), (s) => s / 32768);
  if (samples.length) {
    const buffer = context.createBuffer(1, samples.length, rate);
    buffer.copyToChannel(samples, 0);
    // Later than it should be heard: all after it moves by as much.
    base = Math.max(base, context.currentTime + 0.02 - told.start_s);
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(context.destination);
    source.start(base + told.start_s);
    playing.push(source);
    source.onended = () => (playing = playing.filter((s) => s !== source));
  }
  for (const word of told.words) show(word);
}

function show(word) {
  const span = document.createElement("span");
  span.textContent = `${word.text} `;
  said.append(span);
  const wait = base + word.start_s - context.currentTime;
  setTimeout(() => span.classList.add("heard"), Math.max(0, 1000 * wait));
}

// Sends what was added at the end; what was changed before cannot be taken back, it was spoken.
function follow() {
  if (!socket) return open();
  if (text.value.startsWith(sent)) {
    if (text.value.length > sent.length) send({ text: text.value.slice(sent.length) });
    sent = text.value;
  }
}

function stop() {
  send({ cancel: true });
  for (const source of playing) source.stop();
  status.textContent = "Stopped.";
}

text.addEventListener("input", () => {
  context ??= new AudioContext();
  follow();
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
  if (event.key !== "Enter" || event.shiftKey) return;
  follow();
  send({ flush: true });
});
document.querySelector("#stop").addEventListener("click", stop);
actor.addEventListener("change", () => socket?.close());

const { actors } = await (await fetch("/v1/actors")).json();
for (const { actor_id: id, state } of actors) {
  if (state !== "failed") actor.append(new Option(id, id));
}
