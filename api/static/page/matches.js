// Matches as cards, and what is known of their faces; for an image and for a search.

import { made } from "./dialogs.js";
import { frame, imageOf, place } from "./pictures.js";
import { BASE } from "./rest.js";
import { sureness, title } from "./words.js";

const SIDE = 60; // hundredths of the window that a picture may be high
const MOST_TIMES = 2; // that a small picture is shown larger than it is

/** A match in a grid; `compare` is called by its button. */
export function matchCard(match, compare) {
  const name = title(match.names, match.hash);
  const link = made("a", "whole");
  link.href = `${BASE}/images/${match.hash}`;
  link.append(
    frame(match.hash, match.names),
    made("span", "name", name),
    made("span", "sure", sureness(match)),
  );
  link.title = match.names.join(", ");
  const card = made("li", "card", null, link);
  if (compare) {
    const button = made("button", "plain", "Compare");
    button.type = "button";
    button.setAttribute("aria-label", `Compare with ${name}`);
    button.addEventListener("click", compare);
    card.append(made("div", "actions", null, button));
  }
  return card;
}

/** The most certain pair of faces of a match of an image: the boxes on either side, null where they are not
    known. Where both images have one face it is those two. */
export async function bestPair(match, image) {
  const [pair] = match.pairs ?? [];
  if (pair) return { here: pair.face.box, there: pair.other.box, pair };
  const other = await imageOf(match.hash).catch(() => null);
  const one = (faces) => (faces?.length === 1 ? faces[0].box : null);
  return { here: one(image?.faces), there: one(other?.faces), pair: null };
}

/** The whole picture with a mark on each face; `mark(number)` gives the element. Without a
    picture, the marks on an empty ground of its form. */
export async function draw(canvas, image, url, mark) {
  const picture = new Image();
  picture.alt = "";
  picture.src = url ?? "";
  const there = url ? await picture.decode().then(() => true, () => false) : false;
  canvas.classList.toggle("empty", !there);
  const [width, height] = there ? [picture.naturalWidth, picture.naturalHeight] : [image.width, image.height];
  canvas.style.aspectRatio = `${width} / ${height}`;
  canvas.style.maxWidth = `min(${SIDE}vh * ${width / height}, ${Math.max(MOST_TIMES * width, 320)}px)`;
  const marks = (image.faces ?? []).map((face, number) => {
    const element = mark(number);
    element.classList.add("box");
    element.classList.toggle("low", face.box.bottom > 0.8 * image.height);
    place(element, face.box, image);
    return element;
  });
  canvas.replaceChildren(...(there ? [picture] : []), ...marks);
  return there;
}

