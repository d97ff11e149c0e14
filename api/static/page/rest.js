// Asks the REST interface: errors as Problem, a key where the service wants one.

import { keyedFetch } from "../key.js";

const root = document.documentElement.dataset;
/** Where the REST interface of the collection that is shown is, and where its views are: paths that
    others are put behind. One tab shows one collection. */
export const API = root.api;
export const BASE = root.base;
/** Its name. */
export const COLLECTION = root.collection;
const RETRY_SECONDS = 2;

/** Whether the service has what only some services have: search, events, pairs, thumbnails. */
export function offers(name) {
  return root.offers.split(" ").includes(name);
}

/** Says in the title of the window what is shown, and of which collection. */
export function entitle(text) {
  document.title = [text, ...(BASE ? [COLLECTION] : []), "facematch"].join(" · ");
}

export class Problem extends Error {
  constructor(answer, body) {
    super(body.detail ?? `the service answered ${answer.status}`);
    this.status = answer.status;
    this.code = body.code ?? "";
    this.retryAfter = Number(answer.headers.get("Retry-After")) || RETRY_SECONDS;
  }
}

/** The answer to a request for a path below the collection's, or for one from the root. Throws
    Problem, and TypeError when the service cannot be reached. */
export async function answerTo(path, options = {}) {
  const answer = await keyedFetch(path.startsWith("/") ? path : `${API}/${path}`, options);
  if (!answer.ok) throw new Problem(answer, await answer.json().catch(() => ({})));
  return answer;
}

/** What it answers, as JSON; null when there is nothing. */
export async function ask(path, options) {
  const answer = await answerTo(path, options);
  return answer.status === 204 ? null : answer.json();
}

/** Sends a document. */
export function tell(path, method, document) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method, headers, body: JSON.stringify(document) });
}

export const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1000));

/** Asks again while the service is away or busy, after `waiting` was told; any other problem is
    final. */
export async function askPatiently(path, options = {}, waiting = () => {}) {
  for (;;) {
    try {
      return await ask(path, options);
    } catch (error) {
      const passing = error instanceof Problem && [429, 502, 503, 504].includes(error.status);
      if (options.signal?.aborted || !(passing || error instanceof TypeError)) throw error;
      await readable(options.body);
      waiting(error);
      await seconds(error.retryAfter ?? RETRY_SECONDS);
    }
  }
}

/** Throws if it is a file that is gone or may not be read: fetch calls that a failure of the net. */
async function readable(body) {
  if (!(body instanceof Blob)) return;
  try {
    await body.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error("the file cannot be read");
  }
}

/** Runs at most `limit` of the given functions at once, in order. */
export function lane(limit) {
  const waiting = [];
  let running = 0;
  const next = async () => {
    if (running >= limit || waiting.length === 0) return;
    running += 1;
    const { work, resolve, reject } = waiting.shift();
    try {
      resolve(await work());
    } catch (error) {
      reject(error);
    } finally {
      running -= 1;
      next();
    }
  };
  return (work) =>
    new Promise((resolve, reject) => {
      waiting.push({ work, resolve, reject });
      next();
    });
}

/** A query of a URL, without what is null. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}
