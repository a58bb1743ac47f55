import { expect, it } from "vitest";

import { SseParser, type ServerEvent } from "./sse";

const STREAM =
  'event: hello\ndata: {"revision":"7"}\n\n: heartbeat\n\nevent: request\r\nid: 8\r\ndata: one\r\ndata:two\r\n\r\n' +
  "data: unnamed\n\nevent: nothing\n\n:\nid\ndata: without an id\n\n";

const WANTED: ServerEvent[] = [
  { event: "hello", data: '{"revision":"7"}', id: undefined },
  { event: "request", data: "one\ntwo", id: "8" },
  { event: "message", data: "unnamed", id: "8" },
  { event: "message", data: "without an id", id: "" },
];

it("reads events, wherever the chunks are cut", () => {
  for (let size = 1; size <= STREAM.length; size += 1) {
    const parser = new SseParser();
    const events: ServerEvent[] = [];
    for (let at = 0; at < STREAM.length; at += size) events.push(...parser.push(STREAM.slice(at, at + size)));
    expect(events).toEqual(WANTED);
  }
});

it("keeps what is not complete", () => {
  const parser = new SseParser();
  expect(parser.push("event: request\ndata: x\n")).toEqual([]);
  expect(parser.push("\n")).toEqual([{ event: "request", data: "x", id: undefined }]);
});
