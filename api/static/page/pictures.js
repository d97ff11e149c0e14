// Where the picture of an image comes from: the file that was sent from this tab, a thumbnail that
// the service keeps, or its URL where the operator lets the page show those. And how it is shown.

import { answerTo, ask, lane, offers } from "./rest.js";

const KEPT = 600; // thumbnails, before those that were shown first are fetched again
const origins = document.documentElement.dataset.origins.split(" ").filter(Boolean);
const previews = new Map(); // image hash → blob URL of a picture sent from this tab
const thumbnails = new Map(); // image hash → promise of a blob URL, or of null
const images = new Map(); // image hash → promise of the image
const fetches = lane(3); // a browser opens six connections to one server at most

export function remember(hash, url) {
  previews.set(hash, url);
}

/** Nothing of an image that was erased is shown any more. */
export function forget(hash) {
  if (previews.has(hash)) URL.revokeObjectURL(previews.get(hash));
  thumbnails.get(hash)?.then((url) => url && URL.revokeObjectURL(url));
  for (const known of [previews, thumbnails, images]) known.delete(hash);
}

/** An image, asked for once; forgotten when that fails, or when it is not finished. */
export function imageOf(hash) {
  if (!images.has(hash)) {
    const found = fetches(() => ask(`images/${hash}`));
    images.set(hash, found);
    found.then(
      (image) => image.state !== "done" && images.delete(hash),
      () => images.delete(hash),
    );
  }
  return images.get(hash);
}

function thumbnailOf(hash) {
  if (!offers("thumbnails")) return null;
  if (!thumbnails.has(hash)) {
    if (thumbnails.size >= KEPT) drop(thumbnails.keys().next().value);
    const found = fetches(async () =>
      URL.createObjectURL(await (await answerTo(`images/${hash}/thumbnail`)).blob()),
    ).catch(() => null);
    thumbnails.set(hash, found);
  }
  return thumbnails.get(hash);
}

function drop(hash) {
  thumbnails.get(hash).then((url) => url && URL.revokeObjectURL(url));
  thumbnails.delete(hash);
}

/** The address of its picture, null when it cannot be shown. */
export async function pictureOf(hash, names = []) {
  const linked = names.find((name) => origins.some((origin) => name.startsWith(`${origin}/`)));
  return previews.get(hash) ?? (await thumbnailOf(hash)) ?? linked ?? null;
}

const later = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((entry) => entry.isIntersecting)) {
      later.unobserve(entry.target);
      entry.target.fill?.();
    }
  },
  { rootMargin: "300px" },
);

/** Calls `fill` once the element is nearly in sight. */
function inSight(element, fill) {
  element.fill = fill;
  later.observe(element);
}

/** A frame with the whole picture, or with a face of it if a `box` is given; filled when it comes
    into sight. `box` may be a function that gives a promise of one. */
export function frame(hash, names, box = null, initial = "") {
  const made = document.createElement("span");
  made.className = "frame";
  const nothing = document.createElement("span");
  nothing.className = "nothing";
  nothing.setAttribute("aria-hidden", "true");
  nothing.textContent = initial;
  made.append(nothing);
  if (hash) inSight(made, () => fill(made, hash, names, box));
  return made;
}

async function fill(made, hash, names, box) {
  try {
    const wanted = typeof box === "function" ? await box() : box;
    const image = wanted ? await imageOf(wanted.image ?? hash) : null;
    const url = await pictureOf(wanted?.image ?? hash, wanted?.names ?? names);
    if (url) show(made, url, wanted?.box ?? wanted, image);
  } catch (error) {
    console.warn(error); // the placeholder stays
  }
}

/** Puts a picture into a frame; with a box and the image's size, only that part. Some formats that
    the service reads, a browser cannot show. */
export function show(made, url, box = null, size = null) {
  const picture = new Image();
  picture.alt = "";
  picture.decoding = "async";
  picture.onload = () => {
    if (box && size?.width) crop(picture, box, size);
    made.replaceChildren(picture);
  };
  picture.src = url;
}

/** The square around a box, with some of what is around the face. */
export function around(box, size) {
  const side = Math.max(box.right - box.left, box.bottom - box.top) * 1.5;
  const bounded = Math.min(side, Math.max(size.width, size.height));
  const left = (box.left + box.right - bounded) / 2;
  const top = (box.top + box.bottom - bounded) / 2;
  return { left, top, side: bounded };
}

function crop(picture, box, size) {
  const { left, top, side } = around(box, size);
  picture.classList.add("cropped");
  Object.assign(picture.style, {
    width: `${(100 * size.width) / side}%`,
    height: `${(100 * size.height) / side}%`,
    left: `${(-100 * left) / side}%`,
    top: `${(-100 * top) / side}%`,
  });
}

/** Puts an element where a face is, over a picture of the whole image. */
export function place(element, box, size) {
  Object.assign(element.style, {
    left: `${(100 * box.left) / size.width}%`,
    top: `${(100 * box.top) / size.height}%`,
    width: `${(100 * (box.right - box.left)) / size.width}%`,
    height: `${(100 * (box.bottom - box.top)) / size.height}%`,
  });
}
