// Pictures on their way, from being chosen to being done. They go on while other views are shown.

import { listen } from "./events.js";
import { remember } from "./pictures.js";
import { ask, askPatiently, lane } from "./rest.js";
import { STATES, verdict } from "./words.js";

const UPLOADS_AT_ONCE = 2;
const POLLS_AT_ONCE = 2; // a browser opens six connections to one server at most
const WAIT_SECONDS = 20;
const LOST_SECONDS = 15; // after which an event counts as missed
const MATCHES = 100;

/** All pictures of this tab, the last one first. */
export const items = [];
/** "change" with the item as detail. */
export const changes = new EventTarget();

const uploads = lane(UPLOADS_AT_ONCE);
const polls = lane(POLLS_AT_ONCE);
const awaited = new Map(); // id of a job, or hash → functions to wake
const stale = new Set(); // items whose matches have changed
let quiet = null;

class Item {
  constructor(name, file) {
    this.name = name;
    this.preview = file ? URL.createObjectURL(file) : null;
    this.hash = null;
    this.job = null;
    this.finished = false;
    this.matches = 0;
    this.state = "sending";
    this.words = STATES.sending;
    items.unshift(this);
  }

  say(state, words = STATES[state]) {
    this.state = state;
    this.words = words;
    changes.dispatchEvent(new CustomEvent("change", { detail: this }));
  }

  heard(job) {
    this.job = job.job;
    if (!job.hash) return;
    this.hash = job.hash;
    if (this.preview) remember(job.hash, this.preview);
  }

  async follow(submit) {
    const waiting = () => this.say(this.state, "The service does not answer; trying again…");
    try {
      let job = await uploads(() => submit(waiting));
      for (;;) {
        this.heard(job);
        if (job.state !== "accepted" && job.state !== "indexed") break;
        this.say(job.state);
        job = await ended(job, waiting);
      }
      if (job.state === "done") await this.read();
      this.finished = true;
      if (job.state === "done") this.say("done", this.words);
      else this.say(job.state, job.detail ? `${STATES[job.state]}: ${job.detail}` : undefined);
    } catch (error) {
      this.finished = true;
      this.say("failed", `${STATES.failed}: ${error.message}`);
    }
  }

  /** Reads how many matches there are; those that are on this page have one more now. */
  async read(tellOthers = true) {
    const page = await askPatiently(`images/${this.hash}/matches?limit=${MATCHES}`);
    if (page.state !== "done") return;
    this.words = verdict(page);
    this.matches = page.matches.length;
    if (!tellOthers) return this.say("done", this.words);
    const matching = new Set(page.matches.map((match) => match.hash));
    for (const item of items) {
      // Also one that is not finished: its answer may be on the way, and older than this.
      if (item !== this && matching.has(item.hash)) refreshSoon(item);
    }
  }
}

/** Once for many pictures that come together. */
function refreshSoon(item) {
  stale.add(item);
  clearTimeout(quiet);
  quiet = setTimeout(() => {
    const some = [...stale];
    stale.clear();
    // What such an item shows stays true when this fails.
    for (const one of some) polls(() => one.read(false)).catch((error) => console.warn(error));
  }, 400);
}

/** The job once it has gone on, or after a while. */
async function ended(job, waiting) {
  const stop = wake ?? (wake = listen(hear));
  if (!stop) {
    return polls(() => askPatiently(`jobs/${job.job}?wait=${WAIT_SECONDS}`, {}, waiting));
  }
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, LOST_SECONDS * 1000);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    for (const id of [job.job, job.hash].filter(Boolean)) {
      if (!awaited.has(id)) awaited.set(id, new Set());
      awaited.get(id).add(done);
    }
    // It may have ended before somebody listened.
    if (!job.looked) polls(() => ask(`jobs/${job.job}`)).then(
      (now) => now.state !== job.state && done(), () => {});
  });
  for (const id of [job.job, job.hash]) awaited.delete(id);
  const now = await polls(() => askPatiently(`jobs/${job.job}`, {}, waiting));
  return { ...now, looked: true };
}

let wake = null;

function hear(kind, document) {
  if (kind === "open" || kind === "reset") {
    for (const functions of awaited.values()) functions.forEach((done) => done());
    return;
  }
  for (const id of [document.job, document.hash]) {
    awaited.get(id)?.forEach((done) => done());
  }
}

export function addFiles(files) {
  for (const file of files) {
    const path = `images?name=${encodeURIComponent(file.name)}`;
    new Item(file.name, file).follow((waiting) =>
      askPatiently(path, { method: "POST", body: file }, waiting),
    );
  }
  announce();
}

export function addUrls(urls) {
  for (const url of urls) {
    const body = JSON.stringify({ url });
    const headers = { "Content-Type": "application/json" };
    new Item(url, null).follow((waiting) =>
      askPatiently("images", { method: "POST", headers, body }, waiting),
    );
  }
  announce();
}

function announce() {
  changes.dispatchEvent(new CustomEvent("change", { detail: null }));
}

/** An image that was erased is no item any more. */
export function withdraw(hash) {
  for (const item of items) if (item.hash === hash) item.say("erased");
}

export function open() {
  return items.filter((item) => !item.finished).length;
}

// A tab that is closed takes what is still to be sent with it.
addEventListener("beforeunload", (event) => {
  if (items.some((item) => item.state === "sending")) event.preventDefault();
});
