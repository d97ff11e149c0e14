// The API key of who uses the page: asked for when the service asks, kept until the tab is closed.

const PLACE = "facematch-key";
let question = null; // one at a time, whoever waits for its answer

/** As fetch, with the key. When the service wants another one, so does the page, and tries again. */
export async function keyedFetch(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(PLACE);
    const headers = new Headers(options.headers);
    if (key !== null) headers.set("X-Api-Key", key);
    const answer = await fetch(path, { ...options, headers });
    if (answer.status !== 401) return answer;
    // Another request may have been told a key meanwhile.
    if (sessionStorage.getItem(PLACE) === key) await askForKey(key !== null);
  }
}

/** Whether there is one. */
export function hasKey() {
  return sessionStorage.getItem(PLACE) !== null;
}

/** Forgets the key, so that another one is asked for. */
export function useAnotherKey() {
  sessionStorage.removeItem(PLACE);
  location.reload();
}

function askForKey(refused) {
  question ??= new Promise((resolve) => {
    const dialog = made(refused);
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      const field = dialog.querySelector("input");
      const key = field.value.trim();
      // What is no ASCII cannot be sent.
      if (!/^[\x21-\x7e]+$/.test(key)) return field.focus();
      sessionStorage.setItem(PLACE, key);
      dialog.close();
    });
    // Escape leaves the question open: without a key there is nothing to do here.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.addEventListener("close", () => {
      if (sessionStorage.getItem(PLACE) === null) return dialog.showModal();
      dialog.remove();
      question = null;
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return question;
}

function made(refused) {
  const dialog = element("dialog", { className: "key" });
  dialog.setAttribute("aria-labelledby", "key-heading");
  const form = element("form", { autocomplete: "off", noValidate: true });
  const words = refused
    ? "That key does not work: it may be mistyped, revoked or expired."
    : "Ask whoever runs this service for one; facematch keys create makes it.";
  form.append(
    element("h2", { id: "key-heading", textContent: "This service asks for a key" }),
    element("p", { id: "key-words", className: refused ? "problem" : "quiet", textContent: words }),
    element("label", { htmlFor: "key", textContent: "API key" }),
    element("input", { id: "key", type: "password", spellcheck: false, autocomplete: "off" }),
    element("button", { type: "submit", textContent: "Use it" }),
    element("p", { className: "quiet", textContent: "It is kept until this tab is closed." }),
  );
  form.querySelector("input").setAttribute("aria-describedby", "key-words");
  dialog.append(form);
  return dialog;
}

function element(name, properties) {
  return Object.assign(document.createElement(name), properties);
}
