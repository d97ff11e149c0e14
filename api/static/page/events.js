// What happens in the collection, as it happens, where the service tells: server-sent events, read
// by fetch because an EventSource cannot send a key.

import { answerTo, offers, Problem, seconds } from "./rest.js";

const PAUSE_SECONDS = 2;
const listeners = new Set();
let running = null;

/** Calls `hear(kind, document)` for each event, until the returned function is called; null where
    the service does not tell. */
export function listen(hear) {
  if (!offers("events")) return null;
  listeners.add(hear);
  running ??= run();
  return () => {
    listeners.delete(hear);
    if (listeners.size === 0) running?.stop();
  };
}

function run() {
  const stopped = new AbortController();
  follow(stopped.signal).finally(() => {
    if (running?.signal === stopped.signal) running = null;
  });
  return {
    signal: stopped.signal,
    stop: () => {
      stopped.abort();
      running = null;
    },
  };
}

async function follow(signal) {
  let last = null;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream" };
      if (last) headers["Last-Event-ID"] = last;
      const answer = await answerTo("events", { headers, signal });
      tellAll("open", {});
      for await (const event of events(answer.body)) {
        last = event.id ?? last;
        tellAll(event.kind, event.document);
      }
    } catch (error) {
      if (error instanceof Problem && error.status < 500 && error.status !== 429) return;
    }
    await seconds(PAUSE_SECONDS);
  }
}

function tellAll(kind, document) {
  for (const hear of [...listeners]) hear(kind, document);
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text = (text + value).replaceAll("\r\n", "\n");
    const whole = text.split("\n\n");
    text = whole.pop();
    for (const block of whole) {
      const event = parsed(block);
      if (event) yield event;
    }
  }
}

function parsed(block) {
  const event = { kind: "message", id: null, document: {} };
  let data = "";
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === "event") event.kind = value;
    else if (field === "id") event.id = value;
    else if (field === "data") data += value;
  }
  if (!data) return null; // a heartbeat
  try {
    event.document = JSON.parse(data);
  } catch {
    return null;
  }
  return event;
}
