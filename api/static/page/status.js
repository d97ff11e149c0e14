// The view for who looks after the service: how much waits, how fast it goes, and what failed.

import { useAnotherKey } from "../key.js";
import { attempt, made, toast } from "./dialogs.js";
import { ask, query, seconds } from "./rest.js";
import { bytes, count, duration, few, number, title } from "./words.js";

const LOOK_SECONDS = 2;
const SAMPLES = 60;
const PORTION = 50;

export async function start(main, signal) {
  const part = (id) => main.querySelector(`#${id}`);
  const view = { part, samples: [], code: null, next: null, codes: {}, passing: [] };
  part("more").addEventListener("click", () => attempt(() => failed(view, view.next), part("more")));
  part("retry-all").addEventListener("click", () => attempt(() => retryAll(view), part("retry-all")));
  part("other-key").addEventListener("click", useAnotherKey);
  if (!(await look(view))) return;
  await attempt(() => failed(view));
  follow(view, signal);
}

async function follow(view, signal) {
  while (!signal.aborted) {
    await seconds(LOOK_SECONDS);
    if (!signal.aborted && !document.hidden) await look(view);
  }
}

/** False where nothing is to be seen with this key. */
async function look(view) {
  const { part } = view;
  try {
    const [now, ready] = await Promise.all([ask("status"), ask("/readyz").catch(() => null)]);
    const wrong = Object.entries(ready ?? {}).filter(([name, how]) => name !== "status" && how !== "up");
    part("ready").textContent =
      ready === null
        ? "Not ready"
        : wrong.length
          ? wrong.map(([name, how]) => `${name}: ${how}`).join("; ")
          : "All parts are up";
    part("ready").dataset.state = ready && !wrong.length ? "done" : "failed";
    tiles(view, now);
    rate(view, now);
    index(view, now);
    const failures = Object.values(now.failed).reduce((sum, value) => sum + value, 0);
    if (view.failures !== undefined && view.failures !== failures && !view.next) await failed(view);
    view.failures = failures;
  } catch (error) {
    const refused = error.code === "scope_missing";
    part("ready").textContent = refused
      ? "This is for who looks after the service: it takes a key with the scope admin."
      : `The service does not answer: ${error.message}`;
    part("ready").dataset.state = "failed";
    part("other-key").hidden = !refused;
    part("failures").hidden = refused;
    return !refused;
  }
  return true;
}

function tiles({ part }, { jobs, images, failed: codes }) {
  const failures = Object.values(codes).reduce((sum, value) => sum + value, 0);
  const shown = [
    // Those in hand wait no more, but what is told of how many wait counts them, too.
    ["Waiting", Math.max(0, jobs.waiting - jobs.in_hand), jobs.waiting ? `${bytes(jobs.upload_bytes)} of uploads, with those in hand` : "nothing waits", ""],
    ["In hand", jobs.in_hand, jobs.waiting ? `the oldest picture came ${duration(jobs.oldest_seconds)} ago` : "no picture", ""],
    ["Images with faces", images.done, images.pending ? `and ${number(images.pending)} without all their matches` : "all with their matches", ""],
    ["Being erased", images.erasing, "hidden already", ""],
    ["Not processed", failures, failures ? "see below" : "none", failures ? "bad" : "good"],
  ];
  part("tiles").replaceChildren(
    ...shown.map(([name, value, more, kind]) =>
      made("div", `tile ${kind}`, null, made("dt", "", name), made("dd", "", number(value)), made("dd", "", more)),
    ),
  );
}

/** Images with faces that came in, from one look to the next. */
function rate({ part, samples }, { position }) {
  samples.push({ position, at: performance.now() / 1000 });
  if (samples.length > SAMPLES + 1) samples.shift();
  if (samples.length < 2) return;
  const rates = samples.slice(1).map((now, at) =>
    Math.max(0, (now.position - samples[at].position) / (now.at - samples[at].at)),
  );
  const most = Math.max(...rates);
  const first = samples[0];
  const all = (position - first.position) / (samples.at(-1).at - first.at);
  part("throughput").hidden = false;
  part("rate").textContent =
    `${few(rates.at(-1))} images a second now, ${few(all)} on average and ${few(most)} at most, in the last ${duration(samples.at(-1).at - first.at)}.`;
  part("throughput").querySelector("polyline").setAttribute(
    "points",
    rates.map((value, at) => `${(120 * at) / (SAMPLES - 1)},${98 - (94 * value) / Math.max(most, 0.1)}`).join(" "),
  );
}

function index({ part }, { position, index: there }) {
  part("indexes").hidden = false;
  part("index").textContent =
    there === null
      ? `The log ends at position ${number(position)}. The indexes are with the workers: ask them by facematch index status.`
      : there.ready
        ? `At position ${number(there.position)} of ${number(position)}, with ${count(there.faces, "face")}.`
        : `Not ready: ${there.detail || "it is loading the collection"}.`;
}

async function failed(view, cursor = null) {
  const { part } = view;
  const page = await ask(`failed${query({ limit: PORTION, code: view.code, cursor })}`);
  view.next = page.next;
  view.codes = page.codes;
  const body = part("failed").querySelector("tbody");
  if (!cursor) {
    body.replaceChildren();
    codes(view);
  }
  body.append(...page.jobs.map((job) => row(view, job)));
  part("failed").hidden = body.children.length === 0;
  part("more").hidden = !page.next;
  view.passing = page.may_pass;
  part("retry-all").hidden = !Object.keys(page.codes).some((code) => page.may_pass.includes(code));
  const all = Object.values(page.codes).reduce((sum, value) => sum + value, 0);
  part("failed-text").textContent = all
    ? `${count(all, "picture was", "pictures were")} not processed. Each is listed here until its job is forgotten.`
    : "Every picture was processed. Those that cannot be are listed here, with the reason.";
}

function codes(view) {
  const chip = (code, text) => {
    const made_ = made("button", "chip", text);
    made_.type = "button";
    made_.ariaPressed = String(view.code === code);
    made_.addEventListener("click", () => {
      view.code = code;
      attempt(() => failed(view));
    });
    return made_;
  };
  const each = Object.entries(view.codes);
  view.part("codes").replaceChildren(
    ...(each.length > 1 ? [chip(null, "All"), ...each.map(([code, value]) => chip(code, `${code} ${number(value)}`))] : []),
  );
}

function row(view, job) {
  const name = title([job.name], job.hash ?? job.job);
  const line = made(
    "tr", "", null,
    made("td", "", name),
    made("td", "", `${job.meaning} (${job.code})`),
    made("td", "quiet", new Date(job.time * 1000).toLocaleString()),
    // Uploaded bytes are not kept: only what has an address can be fetched once more.
    job.url ? made("td", "") : made("td", "quiet", "Add it again to try again."),
  );
  line.title = job.detail ?? "";
  if (!job.url) return line;
  const button = made("button", "plain", "Try again");
  button.type = "button";
  button.setAttribute("aria-label", `Try ${name} again`);
  line.lastChild.append(button);
  button.addEventListener("click", () =>
    attempt(async () => {
      await ask(`jobs/${job.job}/retry`, { method: "POST" });
      line.remove();
      toast("It is tried again.");
    }, button),
  );
  return line;
}

async function retryAll(view) {
  let done = 0;
  let lost = 0;
  for (const code of Object.keys(view.codes).filter((code) => view.passing.includes(code))) {
    const jobs = [];
    let cursor = null;
    do {
      const page = await ask(`failed${query({ limit: 1000, code, cursor })}`);
      jobs.push(...page.jobs);
      cursor = page.next;
    } while (cursor);
    for (const job of jobs) {
      await ask(`jobs/${job.job}/retry`, { method: "POST" }).then(() => (done += 1), () => (lost += 1));
    }
  }
  toast(`${count(done, "picture is", "pictures are")} tried again` + (lost ? `, ${number(lost)} cannot be` : "."), lost ? "bad" : "good");
  await failed(view);
}
