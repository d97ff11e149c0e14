// Two faces side by side, and from one match to the next.

import { bestPair } from "./matches.js";
import { frame, show } from "./pictures.js";
import { BASE } from "./rest.js";
import { chance, title } from "./words.js";

/** Opens the dialog for one of the matches. `here`: what is on the left: its `hash`, `names`
    and `image`; of a picture that is searched by its `url`, `names`, `image` and the `box` of the
    face. */
export function compare(main, here, matches, at) {
  const part = (id) => main.querySelector(`#${id}`);
  const dialog = part("compare");

  async function turn(to) {
    at = to;
    const match = matches[at];
    ends();
    const { left, right, sure } = await sides(here, match);
    if (matches[at] !== match) return; // somebody was quicker
    part("left").replaceChildren(left);
    part("right").replaceChildren(right);
    part("left-text").textContent = here.names.join(", ") || here.hash;
    part("right-text").textContent = match.names.join(", ") || match.hash;
    part("compare-title").textContent = `Compare with ${title(match.names, match.hash)}`;
    part("compare-text").textContent = sure;
    part("compare-open").href = `${BASE}/images/${match.hash}`;
  }

  function ends() {
    const focused = document.activeElement;
    part("before").disabled = at === 0;
    part("after").disabled = at === matches.length - 1;
    // A button that is disabled would take the keys with it.
    if (focused?.disabled) part("compare-close").focus();
  }

  part("before").onclick = () => turn(at - 1);
  part("after").onclick = () => turn(at + 1);
  dialog.onkeydown = ({ key }) => {
    if (key === "ArrowLeft" && at > 0) turn(at - 1);
    if (key === "ArrowRight" && at < matches.length - 1) turn(at + 1);
  };
  turn(at);
  dialog.showModal();
}

async function sides(here, match) {
  const { here: box, there, pair } = here.box
    ? { here: here.box, there: match.faces[0].box, pair: match.faces[0] }
    : await bestPair(match, here.image);
  const known = pair ?? match;
  const rate = known.false_match_rate ?? null;
  const sure =
    (rate === null
      ? `Distance ${known.distance.toFixed(3)}; the smaller, the more alike.`
      : `Faces of two different people are this much alike by a chance of ${chance(rate)}` +
        ` (distance ${known.distance.toFixed(3)}).`) +
    (box && there ? "" : " Which of the faces it is, is not known here: these are the whole pictures.");
  const left = here.url ? ofUrl(here, box) : frame(here.hash, here.names, box);
  return { left, right: frame(match.hash, match.names, there), sure };
}

/** A face of a picture that is not in the collection. */
function ofUrl(here, box) {
  const made = document.createElement("span");
  made.className = "frame";
  show(made, here.url, box, here.image);
  return made;
}

