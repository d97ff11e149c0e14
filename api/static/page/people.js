// The view of all people: to open, and to merge.

import { chooser, chosenWords } from "./choosing.js";
import { attempt, confirmed, made, toast } from "./dialogs.js";
import { frame } from "./pictures.js";
import { BASE, ask, query, seconds, tell } from "./rest.js";
import { count } from "./words.js";

const PORTION = 60;
const AGAIN_SECONDS = 3;

export async function start(main, signal) {
  const part = (id) => main.querySelector(`#${id}`);
  const choosing = chooser(part, chosenWords("person", "people"));
  const view = { part, choosing, next: null, shown: 0, ungrouped: 0 };
  part("single").addEventListener("change", () => attempt(() => load(view)));
  part("more").addEventListener("click", () => attempt(() => more(view), part("more")));
  part("merge").addEventListener("click", () => merge(view));
  if (!(await attempt(() => load(view)))) part("found").textContent = "They cannot be shown now.";
  settle(view, signal);
}

/** Looks again while there is something that is not grouped. */
async function settle(view, signal) {
  while (!signal.aborted) {
    await seconds(AGAIN_SECONDS);
    const busy = view.choosing.chosen.size > 0 || view.shown > PORTION || document.hidden;
    if (!signal.aborted && view.ungrouped > 0 && !busy) await load(view).catch(() => {});
  }
}

async function load(view) {
  const page = await ask(path(view));
  view.part("everybody").replaceChildren();
  view.shown = 0;
  add(view, page);
}

async function more(view) {
  add(view, await ask(path(view, view.next)));
}

function path({ part }, cursor = null) {
  return `people${query({ limit: PORTION, fewest: part("single").checked ? 1 : 2, cursor })}`;
}

function add(view, page) {
  const { part } = view;
  view.next = page.next;
  view.ungrouped = page.ungrouped;
  view.shown += page.people.length;
  part("everybody").append(...page.people.map((person) => card(view, person)));
  part("more").hidden = !page.next;
  part("none").hidden = view.shown > 0;
  const waiting = page.ungrouped ? `${count(page.ungrouped, "image")} still to be grouped` : "";
  part("none-text").textContent = waiting
    ? `${waiting}; this view fills by itself.`
    : part("single").checked
      ? "There is no face in the collection."
      : "No person has two faces yet. Those with one are shown where you ask for them above.";
  part("found").textContent = view.shown
    ? `${page.next ? "The first " : ""}${count(view.shown, "person", "people")}, those with most faces first${waiting ? `; ${waiting}` : ""}.`
    : "";
}

function card({ choosing }, person) {
  const name = person.name ?? "No name yet";
  const link = made("a", "whole");
  link.href = `${BASE}/people/${person.id}`;
  link.append(
    frame(person.id, [], () => firstFace(person.id)),
    made("span", "name", name),
    made("span", "sure", count(person.faces, "face")),
  );
  return made("li", "card", null, link, choosing.box(person.id, person, `Choose ${name}, ${count(person.faces, "face")}`));
}

async function firstFace(person) {
  const [face] = (await ask(`people/${person}?limit=1`)).faces;
  return face ?? null;
}

async function merge(view) {
  const people = [...view.choosing.chosen.values()];
  if (people.length < 2) return toast("Choose at least two people.", "bad");
  // Who has a name stays, else who has most faces.
  people.sort((one, other) => Boolean(other.name) - Boolean(one.name) || other.faces - one.faces);
  const [stays, ...others] = people;
  const yes = await confirmed(
    `Merge ${people.length} people?`,
    `All their faces become ${stays.name ?? "one person"}. Later pictures and regrouping go by that; it can be split again.`,
    "Merge them",
  );
  if (!yes) return;
  await attempt(async () => {
    await tell(`people/${stays.id}/merge`, "POST", { people: others.map((person) => person.id) });
    view.choosing.clear();
    toast(`${people.length} people are one now.`);
    await load(view);
  }, view.part("merge"));
}
