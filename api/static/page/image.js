// The view of one image: its picture with its faces, and its matches.

import { compare } from "./compare.js";
import { attempt, confirmed, made, toast } from "./dialogs.js";
import { listen } from "./events.js";
import { draw, matchCard } from "./matches.js";
import { forget, imageOf, pictureOf } from "./pictures.js";
import { API, BASE, ask, entitle, offers, query, seconds } from "./rest.js";
import { withdraw } from "./sending.js";
import { slider } from "./slider.js";
import { count, expected, number, STATES, title } from "./words.js";

const PORTION = 60;
const AGAIN_SECONDS = 5;

const INSTEAD = {
  erased: ["This image was erased", "Nothing of it is left: no face, no match, no name."],
  not_found: ["No such image", "It was never given to this service, or not to this collection."],
  bad_hash: ["No such image", "The address of an image ends in its hash: 64 hexadecimal digits."],
};

export async function start(main, signal) {
  const part = (id) => main.querySelector(`#${id}`);
  const hash = part("view").dataset.image;
  const view = { main, part, hash, signal, image: null, matches: [], page: null };
  try {
    view.image = await waited(view);
  } catch (error) {
    if (signal.aborted) return;
    return instead(part, ...(INSTEAD[error.code] ?? ["It cannot be shown now", error.message]));
  }
  if (signal.aborted) return;
  const { image } = view;
  part("name").textContent = title(image.names, hash);
  entitle(title(image.names, hash));
  if (image.state === "failed") {
    const why = (await ask(`images/${hash}/matches`).catch(() => null))?.code ?? image.code;
    return instead(part, STATES.failed, `The reason is: ${why}. Give it another picture.`);
  }
  about(view);
  part("whole").hidden = false;
  await Promise.all([read(view), picture(view)]);
  watch(view);
}

/** The image once it has been looked at, which it may just be. */
async function waited({ hash, part, signal }) {
  for (;;) {
    const image = await imageOf(hash);
    if (image.state === "done" || image.state === "failed" || signal.aborted) return image;
    part("state").textContent = STATES[image.state];
    await ask(`images/${hash}/matches?wait=20&limit=1`, { signal });
    await seconds(0.2);
  }
}

function instead(part, heading, text) {
  part("state").textContent = "";
  part("whole").hidden = part("matching").hidden = true;
  part("instead").hidden = false;
  part("instead-title").textContent = heading;
  part("instead-text").textContent = text;
}

function about(view) {
  const { part, image, hash } = view;
  const facts = [
    ["Names", image.names.join(", ") || "none"],
    ["Faces", number(image.faces.length) + (image.truncated ? ", the largest of more" : "")],
    ["Size", `${number(image.width)} × ${number(image.height)} pixels`],
  ];
  const raw = made("a", "", "As JSON");
  raw.href = `${API}/images/${hash}`;
  raw.dataset.plain = "";
  const rest = [["Hash", hash], ["Model", image.model], ["Data", raw]];
  const rows = ([name, value]) => [made("dt", "", name), made("dd", "", null, value)];
  part("facts").replaceChildren(...facts.flatMap(rows));
  part("more-facts").replaceChildren(...rest.flatMap(rows));
  part("erase").addEventListener("click", () => erase(view));
}

async function picture(view) {
  const { part, hash, image } = view;
  const found = ask(`images/${hash}/people`).catch(() => ({ faces: [] }));
  const url = await pictureOf(hash, image.names);
  const people = new Map((await found).faces.map(({ number, person }) => [number, person]));
  const there = await draw(part("canvas"), image, url, (face) => {
    const person = people.get(face);
    const mark = made(person ? "a" : "span", "", null, made("span", "", person?.name ?? `${face + 1}`));
    if (!person) return mark;
    mark.href = `${BASE}/people/${person.id}`;
    mark.setAttribute("aria-label", `Face ${face + 1}: ${person.name ?? "a person without a name"}`);
    return mark;
  });
  part("caption").textContent = there
    ? ""
    : "The picture itself is not kept: this is where its faces are." +
      (offers("thumbnails") ? "" : " Who runs the service can have it keep small pictures.");
  part("who").hidden = people.size === 0;
  part("people").replaceChildren(
    ...[...people].map(([face, person]) => {
      const link = made("a", "", person.name ?? "A person without a name");
      link.href = `${BASE}/people/${person.id}`;
      return made("li", "", `Face ${face + 1}: `, link);
    }),
  );
}

async function read(view) {
  const { part, image, main } = view;
  if (image.faces.length === 0) {
    part("state").textContent = "";
    return faceless(view, "No face was found in it.");
  }
  const first = await load(view, {});
  if (!first) return;
  part("matching").hidden = false;
  if (first.matches.length > 0) {
    slider(main, first, (only) => attempt(() => load(view, only)));
  }
  part("more").addEventListener("click", () => attempt(() => more(view), part("more")));
}

function faceless({ part }, text) {
  part("matching").hidden = false;
  part("found").textContent = "";
  part("none").hidden = false;
  part("none-text").textContent = text;
  part("none").querySelector("h2").textContent = "No face";
}

/** The first page of the matches that are asked for. */
async function load(view, only) {
  view.reading?.abort();
  view.reading = new AbortController();
  view.only = only;
  const { signal } = view.reading;
  const page = await ask(path(view), { signal });
  if (signal.aborted || page.state !== "done") return null;
  view.matches = [];
  view.part("matches").replaceChildren();
  add(view, page);
  return page;
}

async function more(view) {
  add(view, await ask(path(view, view.page.next)));
}

function path({ hash, only }, cursor = null) {
  const detail = offers("pairs") ? "faces" : null;
  return `images/${hash}/matches${query({ limit: PORTION, cursor, detail, ...only })}`;
}

function add(view, page) {
  const { part, main, image, hash, matches } = view;
  view.page = page;
  const from = matches.length;
  matches.push(...page.matches);
  part("matches").append(
    ...page.matches.map((match, at) =>
      matchCard(match, () => compare(main, { hash, names: image.names, image }, matches, from + at)),
    ),
  );
  part("more").hidden = !page.next;
  part("none").hidden = matches.length > 0;
  part("none-text").textContent =
    Object.keys(view.only).length > 0
      ? "None is as sure as that. Move the slider to see others."
      : "No other image shows a face of this one, as far as the service can tell.";
  part("found").textContent = told(matches.length, page);
  part("state").textContent = `${count(page.faces, "face")}, ${page.next ? "more than " : ""}${count(matches.length, "match", "matches")}`;
  part("state").dataset.state = "done";
}

function told(shown, page) {
  if (shown === 0) return "";
  const false_ = page.expected_false_matches;
  const parts = [`${page.next ? "The first " : ""}${count(shown, "match", "matches")}`];
  if (false_ !== null) parts.push(`of which ${expected(false_)} may be expected to be false`);
  if (page.matches_truncated) parts.push("others were left out for surer ones");
  if (page.exact === false) parts.push("some may be missing: the index is an approximate one");
  return `${parts.join(", ")}. The surest first.`;
}

/** Shows matches that come later. */
function watch(view) {
  const refresh = async () => {
    if (view.matches.length > PORTION || view.main.querySelector("dialog[open]")) return;
    const page = await ask(path(view)).catch(() => null);
    const known = new Set(view.matches.map((match) => match.hash));
    const changed = page?.matches?.some((match) => !known.has(match.hash)) || page?.matches?.length < known.size;
    if (!changed || view.signal.aborted) return;
    await load(view, view.only);
  };
  const stop = listen((kind, document) => {
    if ([document.hash, document.match?.hash].includes(view.hash)) refresh();
  });
  const timer = stop ? null : setInterval(() => document.hidden || refresh(), AGAIN_SECONDS * 1000);
  view.signal.addEventListener("abort", () => {
    stop?.();
    clearInterval(timer);
  });
}

async function erase(view) {
  const { part, hash } = view;
  const yes = await confirmed(
    "Erase this image?",
    "Its faces, names and matches are taken out of the collection for good. Its name in people goes with its last face. This cannot be undone.",
    "Erase it",
  );
  if (!yes) return;
  await attempt(async () => {
    await ask(`images/${hash}`, { method: "DELETE" });
    forget(hash);
    withdraw(hash);
    instead(part, ...INSTEAD.erased);
    part("instead").querySelector("a").focus();
    toast("The image was erased.");
  }, part("erase"));
}

