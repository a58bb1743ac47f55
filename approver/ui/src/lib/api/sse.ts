// Server-sent events out of a stream of text. Pure.

export interface ServerEvent {
  event: string;
  data: string;
  /** The id in force after this event, if any was given. */
  id: string | undefined;
}

/** Reads the format of the WHATWG standard, in chunks cut anywhere. */
export class SseParser {
  /** Of a line that is not complete: large ones come in many chunks. */
  #rest: string[] = [];
  #event = "";
  #data: string[] = [];
  #id: string | undefined;

  /** The events that `chunk` completes. */
  push(chunk: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    if (!chunk.includes("\n")) {
      this.#rest.push(chunk);
      return events;
    }
    const text = this.#rest.join("") + chunk;
    let from = 0;
    for (;;) {
      const end = lineEnd(text, from);
      if (!end) break;
      this.#line(text.slice(from, end.at), events);
      from = end.next;
    }
    this.#rest = [text.slice(from)];
    return events;
  }

  #line(line: string, events: ServerEvent[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        events.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
      }
      this.#event = "";
      this.#data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }
}

function lineEnd(text: string, from: number): { at: number; next: number } | undefined {
  const feed = text.indexOf("\n", from);
  if (feed < 0) return undefined;
  const at = feed > from && text[feed - 1] === "\r" ? feed - 1 : feed;
  return { at, next: feed + 1 };
}
