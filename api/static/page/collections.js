// Which collection is shown: the others to choose from, and what is said where there is none.

import { hasKey, useAnotherKey } from "../key.js";
import { made } from "./dialogs.js";
import { BASE, COLLECTION, Problem, ask, query } from "./rest.js";

const PORTION = 200;
const MOST = 1000; // to choose from; any other is to be had by its address
const DEFAULT = "default";
const KEPT = /^\/(people|search|status)$/; // views that there are in each collection

let others = null; // once it is known that the one of this address is not there

/** Where the views of a collection begin. */
const baseOf = (name) => (name === DEFAULT ? "" : `/c/${name}`);

/** Shows which collections there are for the key, which is asked for where one is needed; `refuse`
    is called when that of this address is none of them. */
export async function offerCollections(refuse) {
  const names = await known().catch(() => []); // a key that is not for reading, or the service is away
  if (names.length === 0 && !BASE) return;
  if (!names.includes(COLLECTION) && (await isAbsent())) {
    // Who comes to the front door with a key for one collection means that one.
    if (names.length === 1 && location.pathname === "/") return location.replace(`${baseOf(names[0])}/`);
    others = names;
    return refuse();
  }
  if (names.length < 2) return;
  const choice = document.getElementById("collection");
  if (!names.includes(COLLECTION)) names.push(COLLECTION);
  choice.replaceChildren(...names.map((name) => made("option", "", name)));
  choice.value = COLLECTION;
  choice.addEventListener("change", () => {
    const wanted = baseOf(choice.value);
    const view = location.pathname.slice(BASE.length);
    choice.value = COLLECTION; // whoever stays, because pictures are still being sent, stays with it
    location.assign(wanted + (KEPT.test(view) ? view : "/"));
  });
  document.getElementById("collections").hidden = false;
}

/** The names of those that the key is for. */
async function known() {
  const names = [];
  let cursor = null;
  do {
    const page = await ask(`/v1/collections${query({ limit: PORTION, cursor })}`);
    names.push(...page.collections.map((collection) => collection.name));
    cursor = page.next;
  } while (cursor && names.length < MOST);
  return names;
}

async function isAbsent() {
  try {
    await ask(`/v1/collections/${COLLECTION}`);
  } catch (error) {
    return error instanceof Problem && error.status === 404;
  }
  return false;
}

/** Says instead of a view that its collection is not there, when that is known; whether it is. What
    the view is still doing it does to what is not shown any more. */
export function absent(main) {
  if (others === null) return false;
  const text = document.getElementById("no-collection").content.cloneNode(true);
  const part = (name) => text.querySelector(`.${name}`);
  part("which").textContent = COLLECTION;
  part("or-key").hidden = part("another-key").hidden = !hasKey();
  part("there").hidden = others.length === 0;
  part("none-there").hidden = others.length > 0;
  part("others").append(
    ...others.map((name) => {
      const link = made("a", "", name);
      link.href = `${baseOf(name)}/`;
      return made("li", "", null, link);
    }),
  );
  part("another-key").addEventListener("click", useAnotherKey);
  const instead = main.cloneNode(false);
  instead.dataset.ready = "yes";
  instead.append(text);
  main.replaceWith(instead);
  document.getElementById("toasts").replaceChildren();
  return true;
}
