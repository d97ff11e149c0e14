// Starts a view, and shows another one without leaving the page: pictures go on being sent.

import { absent, offerCollections } from "./collections.js";
import { BASE } from "./rest.js";
import { changes, items, open } from "./sending.js";
import { count, number } from "./words.js";

const VIEWS = /^\/(images\/[^/]+|people(\/[^/]+)?|search|status)?$/; // behind BASE
let left = new AbortController();

async function start() {
  const main = document.getElementById("main");
  left = new AbortController();
  const { signal } = left;
  for (const link of document.querySelectorAll(".top nav a")) {
    const here = link.dataset.view.split(" ").includes(main.dataset.view);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  tray();
  const module = await import(`./${main.dataset.view}.js`);
  if (!signal.aborted && !absent(main)) await module.start(main, signal);
  main.dataset.ready = "yes";
  performance.mark("ready"); // benchmarks/browsing.py asks when that was
}

/** Shows the view at an address. */
export async function visit(address, remember = true) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return location.assign(address);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  left.abort();
  document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
  if (remember) {
    history.replaceState({ scrolled: scrollY }, "");
    history.pushState({ scrolled: 0 }, "", address);
  }
  document.title = page.title;
  const main = document.adoptNode(page.getElementById("main"));
  document.getElementById("main").replaceWith(main);
  await start();
  scrollTo(0, history.state?.scrolled ?? 0);
  main.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || link.target || "plain" in link.dataset) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const address = new URL(link.href);
  if (address.origin !== location.origin || !isView(address.pathname) || address.hash) return;
  event.preventDefault();
  visit(address.pathname + address.search);
});
addEventListener("popstate", () => visit(location.pathname + location.search, false));
history.scrollRestoration = "manual";

/** Of this collection: those of another one are another document. */
function isView(path) {
  return path.startsWith(`${BASE}/`) && VIEWS.test(path.slice(BASE.length));
}

function tray() {
  const shown = document.getElementById("tray");
  const waiting = open();
  shown.hidden = waiting === 0 || document.getElementById("main").dataset.view === "upload";
  shown.querySelector("progress").value = items.length ? 1 - waiting / items.length : 0;
  shown.querySelector("span").textContent = `${number(items.length - waiting)} of ${count(items.length, "picture")}`;
}
changes.addEventListener("change", tray);

// Asks for a key at once where one is needed, and not when a large picture was sent for nothing.
offerCollections(() => {
  left.abort();
  absent(document.getElementById("main"));
});
start();
