// Cards that can be chosen, and the bar that tells how many are.

import { made } from "./dialogs.js";
import { number } from "./words.js";

/** Keeps what is chosen: key → value. `words` makes a text of how many. */
export function chooser(part, words) {
  const chosen = new Map();
  const boxes = new Map();

  function tell() {
    part("bar").hidden = chosen.size === 0;
    part("chosen").textContent = words(chosen.size);
  }

  function clear() {
    for (const key of chosen.keys()) mark(key, false);
    chosen.clear();
    tell();
  }

  function mark(key, on) {
    const box = boxes.get(key);
    if (!box) return;
    box.checked = on;
    box.closest(".card").classList.toggle("chosen", on);
  }

  part("clear").addEventListener("click", clear);
  return {
    chosen,
    clear,
    /** The box to put into a card. */
    box(key, value, label) {
      const box = made("input");
      box.type = "checkbox";
      box.setAttribute("aria-label", label);
      boxes.set(key, box);
      box.checked = chosen.has(key);
      box.addEventListener("change", () => {
        if (box.checked) chosen.set(key, value);
        else chosen.delete(key);
        mark(key, box.checked);
        tell();
      });
      return made("label", "choose", null, box);
    },
  };
}

export const chosenWords = (one, many) => (count) => `${number(count)} ${count === 1 ? one : many} chosen`;
