// The view of one person: name, faces, and which of them are somebody else.

import { chooser, chosenWords } from "./choosing.js";
import { attempt, made, toast } from "./dialogs.js";
import { frame } from "./pictures.js";
import { BASE, ask, entitle, query, tell } from "./rest.js";
import { count, title } from "./words.js";

const PORTION = 120;

export async function start(main, signal) {
  const part = (id) => main.querySelector(`#${id}`);
  const choosing = chooser(part, chosenWords("face", "faces"));
  const view = { part, choosing, id: part("view").dataset.person, next: null };
  part("naming").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => rename(view), part("naming").querySelector("button"));
  });
  part("more").addEventListener("click", () => attempt(() => load(view, view.next), part("more")));
  part("split").addEventListener("click", () => setApart(view, "split"));
  part("exclude").addEventListener("click", () => setApart(view, "exclude"));
  try {
    await load(view);
  } catch (error) {
    if (signal.aborted) return;
    part("found").textContent = "";
    part("instead").hidden = false;
    part("instead-text").textContent =
      error.code === "no_person"
        ? "This person was merged into another one, or its last face is gone."
        : error.message;
  }
}

async function load(view, cursor = null) {
  const { part, choosing, id } = view;
  const page = await ask(`people/${id}${query({ limit: PORTION, cursor })}`);
  view.next = page.next;
  called(view, page.name);
  part("naming").hidden = part("theirs").hidden = false;
  part("found").textContent =
    count(page.count, "face") +
    (page.ungrouped ? `; ${count(page.ungrouped, "image")} of the collection still to be grouped` : "");
  if (!cursor) part("faces").replaceChildren();
  part("faces").append(...page.faces.map((face) => card(choosing, face)));
  part("more").hidden = !page.next;
}

function called({ part }, name) {
  part("name").textContent = name ?? "No name yet";
  part("new-name").value = name ?? "";
  entitle(name ?? "Person");
}

function card(choosing, face) {
  const name = title(face.names, face.image);
  const link = made("a", "whole");
  link.href = `${BASE}/images/${face.image}`;
  link.append(frame(face.image, face.names, face.box), made("span", "name", name));
  const key = { image: face.image, number: face.number };
  return made("li", "card", null, link, choosing.box(`${face.image} ${face.number}`, key, `Choose the face in ${name}`));
}

async function rename(view) {
  const name = view.part("new-name").value.trim();
  const person = await tell(`people/${view.id}`, "PATCH", { name });
  called(view, person.name);
  toast(person.name ? `This is ${person.name} now.` : "The name is gone.");
}

/** Says that the chosen faces are one other person ("split"), or not this one ("exclude"). */
async function setApart(view, how) {
  const faces = [...view.choosing.chosen.values()];
  await attempt(async () => {
    const { people } = await tell(`people/${view.id}/${how}`, "POST", { faces });
    view.choosing.clear();
    await load(view);
    toast(`${count(faces.length, "face")} went to ${count(people.length, "other person", "other people")}.`);
  }, view.part(how));
}
