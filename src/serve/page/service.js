// What the page asks the service: what it is, and scores.

/** The documents of a request, and how many requests are under way at a time: small enough to stream, large enough for full batches. */
const CHUNK_DOCUMENTS = 64;
const CHUNK_CHARACTERS = 1 << 20;
const CONCURRENT = 4;
/** How often a request is sent again that found the queue full, and the longest wait before that. */
const TRIES = 6;
const LONGEST_WAIT = 30;
const HEALTH_INTERVAL = 1000;
/** Scores in the dialect that the page reads, whatever the service was started with. */
export const RANKING = "rerank/v1/rerank";

/** An answer that is no success. */
export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** An address of the service. It is relative to the page's own, so that a proxy may put both under a path. */
export function address(path) {
  return new URL(path, new URL(".", document.baseURI)).href;
}

async function send(path, options, key) {
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  try {
    return await fetch(address(path), { cache: "no-store", credentials: "same-origin", referrerPolicy: "no-referrer", ...options, headers });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new ServiceError(0, `There is no answer from ${location.host}. Is the service running?`);
  }
}

/** The sentence in an error's body, whatever dialect it is written in. */
async function errorOf(response) {
  let body = "";
  try {
    body = await response.text();
    const json = JSON.parse(body);
    const found = [json.message, json.error?.message, json.error, json.detail?.[0]?.msg, json.detail].find((value) => typeof value === "string");
    if (found) return new ServiceError(response.status, found);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
  }
  const isPage = (response.headers.get("content-type") ?? "").includes("html");
  return new ServiceError(response.status, (!isPage && body.trim().slice(0, 500)) || response.statusText || "The service gave no reason.");
}

/** Whether the service has loaded its model. One that has and can't score is a problem that waiting does not mend. */
export async function isReady(key, signal) {
  const response = await send("health", { signal }, key);
  if (response.ok) return true;
  if (response.status !== 503) throw await errorOf(response);
  const { status } = await response.json().catch(() => ({}));
  if (status === "failing") throw new ServiceError(503, "The service can’t score any more, and has to be started anew.");
  return false;
}

/** What `/info` holds. */
export async function info(key) {
  const response = await send("info", {}, key);
  if (!response.ok) throw await errorOf(response);
  return response.json();
}

/** Waits, unless `signal` ends it. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("cancelled", "AbortError"));
    };
    if (signal?.aborted) return reject(new DOMException("cancelled", "AbortError"));
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The seconds that `Retry-After` asks for: a number or a date. */
function retryAfter(response, attempt) {
  const value = response.headers.get("retry-after");
  const seconds = value === null ? NaN : /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Math.min(Number.isFinite(seconds) ? Math.max(seconds, 0.1) : 2 ** attempt / 2, LONGEST_WAIT);
}

/** The body of a request for the scores of `documents`. */
export function bodyOf({ query, instruction }, documents) {
  return { query, documents, ...(instruction ? { instruction } : {}), return_documents: false };
}

async function ask(request, documents, { signal, key, onWait }) {
  for (let attempt = 0; ; attempt += 1) {
    const response = await send(RANKING, {
      method: "POST", signal, headers: { "content-type": "application/json" }, body: JSON.stringify(bodyOf(request, documents)),
    }, key);
    if (response.ok) return response.json();
    if (response.status === 429 && attempt < TRIES) {
      const seconds = retryAfter(response, attempt);
      onWait(`The service has too much to do. The page tries again in ${seconds < 1 ? "a moment" : `${Math.ceil(seconds)} s`}.`);
      await pause(seconds * 1000, signal);
    } else if (response.status === 503) {
      onWait("The service is not ready: it is loading its model, or about to end. The page waits for it.");
      do await pause(HEALTH_INTERVAL, signal);
      while (!(await isReady(key, signal)));
    } else {
      throw await errorOf(response);
    }
  }
}

/** The scores of a reply, as `{index, score, logit, truncated}`. */
function scoresOf(reply, count) {
  const results = reply?.results;
  if (!Array.isArray(results) || results.length !== count) {
    throw new ServiceError(200, `The reply has ${Array.isArray(results) ? results.length : "no"} results for ${count} documents. Is this the service of rerank?`);
  }
  return results.map((result) => {
    const { relevance_score: score, logit } = result;
    const hasIndex = Number.isInteger(result.index) && result.index >= 0 && result.index < count;
    if (!hasIndex || !Number.isFinite(score) || !Number.isFinite(logit)) {
      throw new ServiceError(200, "A result of the reply has no index, no score or no logit. Is this the service of rerank?");
    }
    return { index: result.index, score, logit, truncated: result.truncated === true };
  });
}

/** Parts of the candidates, each small enough for a request. */
function partsOf(documents, most) {
  const parts = [];
  let start = 0;
  let characters = 0;
  documents.forEach((text, at) => {
    if (at > start && (at - start >= most || characters + text.length > CHUNK_CHARACTERS)) {
      parts.push([start, at]);
      start = at;
      characters = 0;
    }
    characters += text.length;
  });
  return [...parts, [start, documents.length]];
}

/**
 * Scores `documents` in parts. `onScores(scores, reply, milliseconds)` is called for each part as it comes; its indices are those of
 * `documents`. A part that is too large for the service is halved.
 */
export async function rank(request, documents, { signal, key, most, onScores, onWait }) {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const parts = partsOf(documents, Math.min(most || CHUNK_DOCUMENTS, CHUNK_DOCUMENTS));
  const work = async () => {
    while (parts.length) {
      const [start, end] = parts.shift();
      const started = performance.now();
      try {
        const reply = await ask(request, documents.slice(start, end), { signal: either, key, onWait });
        const scores = scoresOf(reply, end - start).map((result) => ({ ...result, index: result.index + start }));
        onScores(scores, reply, performance.now() - started);
      } catch (problem) {
        if (problem.status !== 413 || end - start === 1) {
          stop.abort();
          throw problem;
        }
        const middle = (start + end) >> 1;
        parts.unshift([start, middle], [middle, end]);
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(CONCURRENT, parts.length) }, work));
  const problems = ended.filter((one) => one.status === "rejected").map((one) => one.reason);
  const cause = problems.find((problem) => problem.name !== "AbortError") ?? problems[0];
  if (cause) throw cause;
}
