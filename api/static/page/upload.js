// The view to add pictures in, and to see what became of them.

import { made } from "./dialogs.js";
import { show } from "./pictures.js";
import { BASE } from "./rest.js";
import { addFiles, addUrls, changes, items, open } from "./sending.js";
import { count, number } from "./words.js";

const PORTION = 60;
const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])$/i;
const FILTERS = {
  all: () => true,
  open: (item) => !item.finished,
  matched: (item) => item.matches > 0,
  failed: (item) => item.state === "failed",
};
const cards = new WeakMap();

export function start(main, signal) {
  const part = (id) => main.querySelector(`#${id}`);
  const list = part("pictures");
  let filter = "all";
  let shown = PORTION;

  function draw() {
    const wanted = items.filter(FILTERS[filter]);
    const now = wanted.slice(0, shown).map(cardOf);
    if (now.length !== list.children.length || now.some((card, at) => card !== list.children[at])) {
      list.replaceChildren(...now);
    }
    part("more-pictures").hidden = wanted.length <= shown;
    part("filters").hidden = items.length < 2;
    const waiting = open();
    if (items.length === 0) return;
    part("progress").hidden = waiting === 0;
    part("progress").max = items.length;
    part("progress").value = items.length - waiting;
    const failed = items.filter(FILTERS.failed).length;
    part("summary").textContent =
      `${number(items.length - waiting)} of ${count(items.length, "picture")} looked at` +
      (failed ? `, ${number(failed)} not processed` : "") +
      (wanted.length === 0 ? ". None of this kind." : ".");
  }

  let due = false;
  const soon = () => {
    if (due || signal.aborted) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      draw();
    });
  };
  changes.addEventListener(
    "change",
    ({ detail }) => {
      if (detail && cards.has(detail)) cards.get(detail).fill();
      soon();
    },
    { signal },
  );
  part("filters").addEventListener("click", ({ target }) => {
    if (!target.dataset.filter) return;
    filter = target.dataset.filter;
    for (const chip of part("filters").children) chip.ariaPressed = String(chip === target);
    shown = PORTION;
    draw();
  });
  part("more-pictures").addEventListener("click", () => {
    shown += PORTION;
    draw();
  });
  for (const id of ["files", "folder"]) {
    part(id).addEventListener("change", ({ target }) => {
      addFiles([...target.files].filter((file) => id === "files" || isPicture(file)));
      target.value = "";
    });
  }
  takeDrops(part("drop"), signal);
  takeAddresses(part("urls"), part("url"), part("url-problem"));
  draw();
}

function cardOf(item) {
  if (!cards.has(item)) {
    const card = made("li", "card");
    card.fill = () => {
      const old = card.firstElementChild;
      const link = made(item.hash ? "a" : "div", "whole");
      if (item.hash) link.href = `${BASE}/images/${item.hash}`;
      let frame = old?.querySelector(".frame");
      if (!frame) {
        frame = made("span", "frame", null, made("span", "nothing"));
        if (item.preview) show(frame, item.preview);
      }
      const state = made("span", "state", item.words);
      state.dataset.state = item.state;
      link.append(frame, made("span", "name", item.name), state);
      if (old?.tagName === link.tagName) old.replaceChildren(...link.children);
      else card.replaceChildren(link);
    };
    card.fill();
    cards.set(item, card);
  }
  return cards.get(item);
}

const isPicture = (file) => file.type.startsWith("image/") || PICTURE.test(file.name);

function takeDrops(drop, signal) {
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(
      kind,
      (event) => {
        event.preventDefault();
        drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      },
      { signal },
    );
  }
  document.addEventListener(
    "drop",
    async ({ dataTransfer }) => {
      // Entries are gone once this function has waited for anything.
      const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.());
      const plain = [...dataTransfer.files];
      const address = dataTransfer.getData("text/uri-list");
      if (entries.some((entry) => entry?.isDirectory)) {
        return addFiles((await Promise.all(entries.filter(Boolean).map(filesIn))).flat());
      }
      if (plain.length > 0) return addFiles(plain);
      // A picture dragged out of another page is an address.
      addUrls(address.split(/\r?\n/).filter(isAddress));
    },
    { signal },
  );
}

/** The pictures in a file or folder that was dropped. */
async function filesIn(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return isPicture(file) ? [file] : [];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return found;
    for (const inside of some) found.push(...(await filesIn(inside)));
  }
}

const isAddress = (text) => /^https?:\/\/[^/]/i.test(text);

function takeAddresses(form, field, problem) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const urls = field.value.split(/\s+/).filter(Boolean);
    const wrong = urls.find((url) => !isAddress(url));
    problem.textContent =
      wrong !== undefined
        ? `${wrong} is not an http or https address.`
        : urls.length === 0
          ? "Paste an address first."
          : "";
    if (problem.textContent) return field.focus();
    addUrls(urls);
    field.value = "";
  });
  field.addEventListener("input", () => {
    field.rows = Math.min(8, field.value.split("\n").length);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
}
