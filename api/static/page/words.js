// Numbers and states in words.

export const STATES = {
  sending: "Sending…",
  accepted: "Waiting for its turn…",
  indexed: "Looking for matches…",
  failed: "Not processed",
  erased: "Erased",
};

export const number = (value) => value.toLocaleString("en");

export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** Two digits of a small number. */
export const few = (value) => number(Number(value.toPrecision(2)));

/** A number that may be very small. */
export const expected = (value) =>
  value !== 0 && value < 0.001 ? "fewer than 0.001" : few(value);

/** A false match rate. */
export function chance(rate) {
  if (rate >= 0.1) return `${Math.round(rate * 100)} %`;
  const times = Number((1 / rate).toPrecision(2));
  for (const [size, word] of [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]]) {
    if (times >= 1e15) return "less than 1 in a quadrillion";
    if (times >= size) return `1 in ${number(times / size)} ${word}`;
  }
  return `1 in ${number(times)}`;
}

/** How sure a match is, in a few words. */
export function sureness(match) {
  return match.false_match_rate === null || match.false_match_rate === undefined
    ? `distance ${match.distance.toFixed(3)}`
    : `by chance ${chance(match.false_match_rate)}`;
}

/** What became of an image: its faces and matches. */
export function verdict(page) {
  if (page.faces === 0) return "No face found";
  const faces = count(page.faces, "face");
  if (page.matches.length === 0) return `${faces}, no matches yet`;
  const many = page.next ? `more than ${number(page.matches.length)}` : number(page.matches.length);
  return `${faces}, ${many} ${page.matches.length === 1 ? "match" : "matches"}`;
}

export function duration(value) {
  if (value < 90) return `${Math.round(value)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return value < 129600 ? `${Math.round(value / 3600)} h` : `${Math.round(value / 86400)} days`;
}

export function bytes(value) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; value >= 1000 && unit < 4; unit += 1) value /= 1000;
  return `${few(value)} ${units[unit]}`;
}

/** The name to show of an image: the last part of a path or URL, shortened. */
export function title(names, hash) {
  const name = names[0] ?? hash;
  const tail = /^https?:/i.test(name) ? (name.split(/[?#]/)[0].split("/").pop() || name) : name;
  return tail === hash ? `${hash.slice(0, 12)}…` : tail;
}
