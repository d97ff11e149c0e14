// Questions and short messages.

/** Whether somebody says yes to what cannot be undone. */
export function confirmed(title, text, yes) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

const SHOWN_MILLISECONDS = 7000;

/** Says something that need not be answered. */
export function toast(text, kind = "good") {
  const made = document.createElement("p");
  made.className = `toast ${kind}`;
  made.textContent = text;
  document.getElementById("toasts").append(made);
  setTimeout(() => made.remove(), SHOWN_MILLISECONDS);
}

/** Does something that may fail, and says so when it does; whether it went well. */
export async function attempt(work, button = null) {
  if (button) button.disabled = true;
  try {
    await work();
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    toast(error instanceof TypeError ? "The service cannot be reached." : error.message, "bad");
    return false;
  } finally {
    if (button) button.disabled = false;
  }
}

/** An element with a class, a text, and what is in it. */
export function made(tag, name = "", text = null, ...inside) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== null) element.textContent = text;
  element.append(...inside);
  return element;
}
