// The service's HTTP API as this page uses it. Knows nothing about sound cards or drawing.

/** An answer that was not 2xx: RFC 9457's fields, with `where` and `valid` where given, and with
 *  412 `current`: what was to be changed as it is now. */
export class Problem extends Error {
  constructor({ title, status, detail, where, valid, current }) {
    super(detail || title || `HTTP ${status}`);
    Object.assign(this, { name: "Problem", title: title || `HTTP ${status}`, status, where, valid, current });
  }
}

let editor = ""; // who says what is asked for

/** The name that changes and takes are kept under. */
export function signAs(name) {
  editor = name;
}

export async function request(path, options = {}) {
  const who = editor ? { "Voicesvc-User": encodeURIComponent(editor) } : {}; // a header is Latin-1
  const response = await fetch(path, { ...options, headers: { ...options.headers, ...who } });
  if (response.ok) return response;
  const isProblem = (response.headers.get("content-type") || "").includes("json");
  const problem = isProblem ? await response.json() : { detail: await response.text() };
  throw new Problem({ status: response.status, ...problem });
}

/** -> [{actor_id, name, engine, language, sample_rate_hz, state, reason, demonstration, licence}] */
export async function fetchActors() {
  return (await (await request("/v1/actors")).json()).actors;
}

/** -> {emotions: [{name, source, quality, …}], …} */
export async function fetchActor(actorId) {
  return (await request(`/v1/actors/${encodeURIComponent(actorId)}`)).json();
}

/** -> {complete, duration_s, words: [{text, start_s, end_s, phonemes}]}; grows with the take. */
export async function fetchTimings(takeId, signal) {
  return (await request(`/v1/takes/${encodeURIComponent(takeId)}/timings`, { signal })).json();
}

function post(path, body, signal) {
  return request(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

/** Makes a line, or a plan with a length, explicit -> {plan, fit, delivery, skipped}. */
export async function planLine(body, signal) {
  const response = await post("/v1/plans", body, signal);
  const { plan, fit, delivery } = await response.json();
  return { plan, fit, delivery, skipped: response.headers.get("Voicesvc-Skipped") };
}

/** Starts a take of a plan or of {actor, text, …}; `keepIn`: the line of a script that it is a take of, or null
 *  -> {takeId, seed, sampleRateHz, fit, skipped, samples: async iterator of Float32Array}.
 */
export async function speak(line, { sampleRateHz, keepIn, signal }) {
  const path = keepIn === null ? "/v1/speech" : `/v1/speech?line=${encodeURIComponent(keepIn)}`;
  const response = await post(path, { ...line, format: "pcm_f32le", sample_rate_hz: sampleRateHz }, signal);
  const header = (name) => response.headers.get(`Voicesvc-${name}`);
  return {
    takeId: header("Take"),
    seed: Number(header("Seed")),
    sampleRateHz: Number(header("Sample-Rate-Hz")),
    fit: header("Fit") && readNumbers(header("Fit")),
    skipped: header("Skipped"),
    samples: readFloats(response.body),
  };
}

/** "stretch=1.02; worst=0.97" -> {stretch: 1.02, worst: 0.97} */
function readNumbers(text) {
  const pairs = text.split(";").map((pair) => pair.trim().split("="));
  return Object.fromEntries(pairs.map(([name, value]) => [name, Number(value)]));
}

/** Network chunks end anywhere: the bytes of a split sample wait for the rest. */
async function* readFloats(body) {
  const reader = body.getReader();
  let rest = new Uint8Array(0);
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const bytes = new Uint8Array(rest.length + value.length);
    bytes.set(rest);
    bytes.set(value, rest.length);
    const whole = bytes.length - (bytes.length % 4);
    rest = bytes.slice(whole);
    if (whole > 0) yield new Float32Array(bytes.buffer.slice(0, whole)); // little-endian, as sent
  }
  if (rest.length > 0) throw new Error("The stream ended inside a sample.");
}

/** Makes the same take again as a file -> Blob. Same seed, same samples. */
export async function fetchFile(body) {
  const response = await post("/v1/speech", body);
  const bytes = await response.arrayBuffer();
  if (body.format === "wav") setWavSizes(bytes);
  return new Blob([bytes], { type: response.headers.get("content-type") });
}

/** A streamed WAV cannot know its length when its header is sent; editors want it in the file. */
function setWavSizes(bytes) {
  const view = new DataView(bytes);
  view.setUint32(4, bytes.byteLength - 8, true);
  const DATA = 0x64617461;
  for (let at = 12; at + 8 <= bytes.byteLength;) {
    if (view.getUint32(at) === DATA) {
      view.setUint32(at + 4, bytes.byteLength - at - 8, true);
      return;
    }
    const sizeBytes = view.getUint32(at + 4, true);
    at += 8 + sizeBytes + (sizeBytes % 2);
  }
  throw new Error("The WAV file has no data chunk.");
}
