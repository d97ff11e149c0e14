// The view to search by a picture that is not kept.

import { compare } from "./compare.js";
import { attempt, made } from "./dialogs.js";
import { draw, matchCard } from "./matches.js";
import { ask, offers, tell } from "./rest.js";
import { count, expected } from "./words.js";

const PORTION = 100;

export function start(main, signal) {
  if (!offers("search")) return;
  const part = (id) => main.querySelector(`#${id}`);
  const view = { main, part, url: null };
  part("probe").addEventListener("change", ({ target }) => {
    if (target.files[0]) byFile(view, target.files[0]);
    target.value = "";
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(
      kind,
      (event) => {
        event.preventDefault();
        part("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files[0]) byFile(view, event.dataTransfer.files[0]);
      },
      { signal },
    );
  }
  part("by-url").addEventListener("submit", (event) => {
    event.preventDefault();
    const url = part("url").value.trim();
    if (url) search(view, null, () => tell(`search?limit=${PORTION}`, "POST", { url }));
  });
  signal.addEventListener("abort", () => view.url && URL.revokeObjectURL(view.url));
}

function byFile(view, file) {
  search(view, URL.createObjectURL(file), () =>
    ask(`search?limit=${PORTION}`, { method: "POST", body: file }),
  );
}

async function search(view, url, work) {
  const { part } = view;
  if (view.url) URL.revokeObjectURL(view.url);
  view.url = url;
  part("whole").hidden = true;
  part("found").textContent = "Searching…";
  const went = await attempt(async () => {
    const found = await work();
    await faces(view, found);
  });
  if (!went) part("found").textContent = "Nothing was searched for.";
}

async function faces(view, found) {
  const { part, url } = view;
  part("whole").hidden = false;
  part("found").textContent =
    found.faces.length === 0
      ? "No face was found in this picture. Try one in which it is larger."
      : `${count(found.faces.length, "face")} in this picture.`;
  await draw(part("canvas"), found, url, (at) => {
    const mark = made("span", "", null, made("span", "", `${at + 1}`));
    return mark;
  });
  part("which").hidden = found.faces.length < 2;
  part("which").replaceChildren(
    ...found.faces.map((face, at) => {
      const chip = made("button", "chip", `Face ${at + 1} (${count(face.matches.length, "match", "matches")})`);
      chip.type = "button";
      chip.addEventListener("click", () => choose(view, found, at));
      return chip;
    }),
  );
  choose(view, found, 0);
}

function choose({ main, part, url }, found, at) {
  const face = found.faces[at];
  const matches = face?.matches ?? [];
  [...part("which").children].forEach((chip, number) => (chip.ariaPressed = String(number === at)));
  part("canvas").querySelectorAll(".box").forEach((box, number) => box.classList.toggle("lit", number === at));
  const here = { url, names: ["The picture that you search by"], image: found, box: face?.box };
  part("matches").replaceChildren(
    ...matches.map((match, number) => matchCard(match, url && (() => compare(main, here, matches, number)))),
  );
  part("told").textContent =
    (face?.more ? `The first ${count(matches.length, "match", "matches")}` : count(matches.length, "match", "matches")) +
    (typeof face?.expected_false_matches === "number" && matches.length
      ? `, of which ${expected(face.expected_false_matches)} may be expected to be false`
      : "") +
    ". The surest first.";
  part("told").hidden = matches.length === 0;
  part("none").hidden = matches.length > 0 || found.faces.length === 0;
}
