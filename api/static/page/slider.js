// The slider for how sure matches are to be: by how many of them may be false where rates are
// known, else by distance.

import { few } from "./words.js";

const FALSE = [1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100];
const NEAREST = 0.2;
const STEP = 0.02;
const PAUSE_MILLISECONDS = 120;

/** Sets it up for what the first page says; `ask` is called with what of a query it stands for. */
export function slider(main, page, ask) {
  const part = (id) => main.querySelector(`#${id}`);
  const steps = page.expected_false_matches === null ? distances(page) : rates(page);
  const sure = part("sure");
  sure.max = steps.length - 1;
  sure.value = sure.max;
  part("slider").hidden = false;

  const tell = () => {
    part("sure-text").textContent = steps[sure.value].text;
    sure.setAttribute("aria-valuetext", steps[sure.value].text);
  };
  let timer = null;
  sure.addEventListener("input", () => {
    tell();
    clearTimeout(timer);
    timer = setTimeout(() => ask(steps[sure.value].only), PAUSE_MILLISECONDS);
  });
  tell();
}

function rates(page) {
  const most = page.max_false_matches ?? Infinity;
  const steps = FALSE.filter((value) => value < most).map((value) => ({
    only: { max_false_matches: value },
    text: `So sure that of a face no more than ${shown(value)} of the matches shown may be expected to be false.`,
  }));
  const all = page.max_false_matches === null
    ? `All within distance ${few(page.threshold)}, however many of them may be false.`
    : `All that are kept: of a face no more than ${shown(most)} may be expected to be false.`;
  return [...steps, { only: {}, text: all }];
}

const shown = (value) => (value < 0.001 ? `1 in ${(1 / value).toLocaleString("en")}` : few(value));

function distances(page) {
  const steps = [];
  for (let value = NEAREST; value < page.threshold - 1e-9; value += STEP) {
    const distance = Number(value.toFixed(2));
    steps.push({ only: { max_distance: distance }, text: `Faces at most ${distance} apart.` });
  }
  return [...steps, { only: {}, text: `All within distance ${few(page.threshold)}.` }];
}
