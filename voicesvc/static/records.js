// Productions, lines and takes as the service keeps them. Knows nothing about showing them.
//
// Every record has a `version`; a change says which version it was made on and is refused with 412
// if somebody else was first. The refusal brings the record as it is now: `Problem.current`.

import { request } from "/static/service.js";

const PAGE = 500; // records asked for at once
const JSON_TYPE = { "content-type": "application/json" };

/** Names a POST, so that one sent twice is carried out once. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const idPath = (kind, id) => `/v1/${kind}/${encodeURIComponent(id)}`;

/** {production: "pr_1", state: ["open", "complete"], q: null} -> "production=pr_1&state=open&…" */
function queryOf(filters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined) query.append(name, one);
  }
  return query.toString();
}

async function answer(response) {
  return (await response).json();
}

function post(path, body) {
  return answer(request(path, {
    method: "POST",
    headers: { ...JSON_TYPE, "Idempotency-Key": newKey() },
    body: JSON.stringify(body),
  }));
}

/** One page of a list -> {items, next}. */
export function page(kind, filters, cursor = null, limit = PAGE) {
  return answer(request(`/v1/${kind}?${queryOf({ ...filters, cursor, limit })}`));
}

/** A whole list, page after page; `first` is how many come with the first one. */
export async function* pages(kind, filters, first = PAGE) {
  let [cursor, limit] = [null, first];
  do {
    const { items, next } = await page(kind, filters, cursor, limit);
    yield items;
    [cursor, limit] = [next, PAGE];
  } while (cursor !== null);
}

export async function all(kind, filters) {
  const found = [];
  for await (const items of pages(kind, filters)) found.push(...items);
  return found;
}

/** The record, or null where there is none any more. */
export async function fetchRecord(kind, id) {
  try {
    return await answer(request(idPath(kind, id)));
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

export function create(kind, body) {
  return post(`/v1/${kind}`, body);
}

/** Changes members of a record as it was read; it must not have been changed since. */
export function change(kind, record, members) {
  return answer(request(idPath(kind, record.id), {
    method: "PATCH",
    headers: { ...JSON_TYPE, "If-Match": `"${record.version}"` },
    body: JSON.stringify(members),
  }));
}

export async function remove(kind, record) {
  await request(idPath(kind, record.id), {
    method: "DELETE", headers: { "If-Match": `"${record.version}"` },
  });
}

export function restoreTake(id) {
  return post(`${idPath("takes", id)}/restore`, {});
}

/** Asks for more takes of a line -> the takes, most of them still waiting. */
export async function makeTakes(lineId, body) {
  return (await post(`${idPath("lines", lineId)}/takes`, body)).takes;
}

/** One more take, as this one but for some words -> the take, waiting. */
export async function retake(takeId, body) {
  return (await post(`${idPath("takes", takeId)}/retake`, body)).takes[0];
}

export async function fetchPlan(takeId) {
  return answer(request(`${idPath("takes", takeId)}/plan`));
}

/** -> {points, min: [-127 to 127], max: the same} */
export function fetchPeaks(takeId, signal) {
  return answer(request(`${idPath("takes", takeId)}/peaks`, { signal }));
}

/** The samples as they are kept, at the rate of the sound card -> Float32Array. */
export async function fetchSamples(takeId, sampleRateHz, signal) {
  const query = queryOf({ format: "pcm_f32le", sample_rate_hz: sampleRateHz });
  const response = await request(`${idPath("takes", takeId)}/audio?${query}`, { signal });
  return new Float32Array(await response.arrayBuffer());
}

export function fetchDifferences(takeId, otherId) {
  return answer(request(`${idPath("takes", takeId)}/differences?${queryOf({ with: otherId })}`));
}

/** Where a browser fetches a take or an export as a file. */
export function audioUrl(takeId, file) {
  return `${idPath("takes", takeId)}/audio?${queryOf(file)}`;
}

export function exportUrl(productionId, asked) {
  return `${idPath("productions", productionId)}/export?${queryOf(asked)}`;
}
