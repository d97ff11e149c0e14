// The web page: submits pictures, follows each one's job by long polls, shows its matches.

import { checkKey, keyedFetch } from "./key.js";

const UPLOADS_AT_ONCE = 2;
const POLLS_AT_ONCE = 3; // a browser opens six connections to one server at most
const WAIT_SECONDS = 20;
const RETRY_SECONDS = 2;
const MATCHES_ON_A_PAGE = 20;

const WORDS = {
  sending: "Sending…",
  accepted: "Waiting for its turn…",
  indexed: "Looking for matches…",
  failed: "Not processed",
  erased: "Erased",
};

const list = document.getElementById("pictures");
const summary = document.getElementById("summary");
const cards = new Set();
const previews = new Map(); // image hash → blob URL of a picture sent from this page

class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `the service answered ${status}`);
    this.status = status;
  }
}

/** Runs at most `limit` of the given functions at once, in order. */
function lane(limit) {
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

const uploads = lane(UPLOADS_AT_ONCE);
const polls = lane(POLLS_AT_ONCE);

async function ask(path, options) {
  const answer = await keyedFetch(path, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, body);
  return body;
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

/** Asks again while the service is away or busy; any other problem is final. */
async function askPatiently(card, path, options) {
  for (;;) {
    try {
      return await ask(path, options);
    } catch (error) {
      if (error instanceof Problem && error.status !== 503 && error.status !== 429) throw error;
      await readable(options?.body);
      card.say("sending", "The service does not answer; trying again…");
      await new Promise((resolve) => setTimeout(resolve, RETRY_SECONDS * 1000));
    }
  }
}

class Card {
  constructor(name, preview) {
    this.hash = null;
    this.finished = false;
    this.preview = preview;
    const item = document.getElementById("picture").content.cloneNode(true).firstElementChild;
    this.part = (selector) => item.querySelector(selector);
    this.part("h3").textContent = name;
    if (preview) show(this.part("img"), preview);
    list.prepend(item);
    cards.add(this);
    this.say("sending");
  }

  say(state, words) {
    const line = this.part(".state");
    line.dataset.state = state;
    line.textContent = words ?? WORDS[state];
    summarise();
  }

  known(hash) {
    if (!hash) return;
    this.hash = hash;
    if (this.preview) previews.set(hash, this.preview);
    name(this.part(".hash a"), hash);
    this.part(".hash").hidden = false;
  }

  async follow(submit) {
    try {
      let job = await uploads(() => askPatiently(this, ...submit));
      for (;;) {
        this.known(job.hash);
        if (job.state !== "accepted" && job.state !== "indexed") break;
        this.say(job.state);
        const path = `/v1/jobs/${job.job}?wait=${WAIT_SECONDS}`;
        job = await polls(() => askPatiently(this, path));
      }
      this.finished = true;
      if (job.state === "done") await this.showMatches(true);
      else this.say(job.state, job.detail && `${WORDS[job.state]}: ${job.detail}`);
    } catch (error) {
      this.finished = true;
      this.say("failed", `${WORDS.failed}: ${error.message}`);
    }
  }

  async showMatches(tellOthers) {
    const path = `/v1/images/${this.hash}/matches?limit=${MATCHES_ON_A_PAGE}`;
    const page = await askPatiently(this, path);
    if (page.state !== "done") return;
    this.say("done", verdict(page));
    this.part(".matches").replaceChildren();
    this.add(page);
    if (!tellOthers) return;
    const matching = new Set(page.matches.map((match) => match.hash));
    for (const card of cards) {
      if (card !== this && card.finished && matching.has(card.hash)) {
        card.showMatches(false).catch((error) => console.warn(error)); // what it shows stays true
      }
    }
  }

  add(page) {
    const matches = this.part(".matches");
    matches.append(...page.matches.map(matchItem));
    matches.hidden = matches.children.length === 0;
    const more = this.part(".more");
    more.hidden = !page.next;
    more.onclick = async () => {
      more.disabled = true;
      const cursor = encodeURIComponent(page.next);
      const path = `/v1/images/${this.hash}/matches?limit=${MATCHES_ON_A_PAGE}&cursor=${cursor}`;
      try {
        this.add(await ask(path));
      } catch (error) {
        this.say("done", `The next matches could not be read: ${error.message}`);
      }
      more.disabled = false;
    };
  }
}

function verdict(page) {
  if (page.faces === 0) return "No face found";
  const faces = page.faces === 1 ? "1 face" : `${page.faces} faces`;
  const left = page.matches_truncated ? "; others were left out for more certain ones" : "";
  if (page.matches.length === 0) return `${faces}, no matches found${left}`;
  const count = page.next ? `more than ${page.matches.length}` : page.matches.length;
  const matches = `${faces}, ${count} ${page.matches.length === 1 ? "match" : "matches"}`;
  const expected = page.expected_false_matches;
  if (expected === null) return matches + left;
  return `${matches}, of which ${Number(expected.toPrecision(2))} may be false${left}`;
}

/** A false match rate, for people. */
function chance(rate) {
  if (rate >= 0.1) return `${Math.round(rate * 100)} %`;
  const times = Number((1 / rate).toPrecision(2));
  return `1 in ${times < 1e15 ? times.toLocaleString("en") : times.toExponential(0)}`;
}

function matchItem(match) {
  const item = document.getElementById("match").content.cloneNode(true).firstElementChild;
  item.querySelector(".names").textContent = match.names.join(", ");
  const distance = `distance ${match.distance.toFixed(3)}`;
  const rate = match.false_match_rate;
  item.querySelector(".distance").textContent =
    rate === null ? distance : `${distance} · by chance ${chance(rate)}`;
  name(item.querySelector(".hash"), match.hash);
  const preview = previews.get(match.hash);
  if (preview) show(item.querySelector("img"), preview);
  return item;
}

function name(link, hash) {
  link.textContent = `${hash.slice(0, 12)}…`;
  link.title = hash;
  link.href = `/v1/images/${hash}`;
}

/** Some formats that the service reads, a browser cannot show. */
function show(image, url) {
  image.hidden = false;
  image.onerror = () => (image.hidden = true);
  image.src = url;
}

function summarise() {
  const open = [...cards].filter((card) => !card.finished).length;
  summary.textContent =
    cards.size === 0
      ? "None yet."
      : `${cards.size - open} of ${cards.size} looked at.`;
}

function addFiles(files) {
  for (const file of files) {
    const card = new Card(file.name, URL.createObjectURL(file));
    const path = `/v1/images?name=${encodeURIComponent(file.name)}`;
    card.follow([path, { method: "POST", body: file }]);
  }
}

function isAddress(text) {
  return /^https?:\/\/[^/]/i.test(text);
}

function addUrl(url) {
  const headers = { "Content-Type": "application/json" };
  const body = JSON.stringify({ url });
  new Card(url, null).follow(["/v1/images", { method: "POST", headers, body }]);
}

const picker = document.getElementById("files");
picker.addEventListener("change", () => {
  addFiles(picker.files);
  picker.value = "";
});

const drop = document.getElementById("drop");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
  });
}
document.addEventListener("drop", (event) => {
  const { files } = event.dataTransfer;
  if (files.length > 0) return addFiles(files);
  // A picture dragged out of another page is an address.
  const lines = event.dataTransfer.getData("text/uri-list").split(/\r?\n/);
  lines.filter((line) => isAddress(line)).forEach(addUrl);
});

document.getElementById("urls").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("url");
  const urls = field.value.split(/\s+/).filter(Boolean);
  const wrong = urls.find((url) => !isAddress(url));
  const problem = document.getElementById("url-problem");
  problem.textContent =
    wrong !== undefined
      ? `${wrong} is not an http or https address.`
      : urls.length === 0
        ? "Paste an address first."
        : "";
  if (problem.textContent) return field.focus();
  urls.forEach(addUrl);
  field.value = "";
});

checkKey();
