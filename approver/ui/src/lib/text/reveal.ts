// What a process wrote, made safe to look at. Pure.
//
// Browsers lay text out from right to left, show nothing for some characters and
// the same picture for others; a process under review would use that to show one
// thing and do another. So every character that is not plainly visible, or that
// stands in for another, becomes an escape that is marked as such. Nothing else
// in the dashboard may put text of a process on the page.

import type { Bytes } from "../api/types";
import { looksLike } from "./lookalikes";

export interface Segment {
  /**
   * plain: as it is. foreign: visible letters beyond ASCII. escape: something
   * invisible, written out. lookalike: something visible that resembles ASCII,
   * written out.
   */
  kind: "plain" | "foreign" | "escape" | "lookalike";
  text: string;
  /** What it is, in words; for all but plain text. */
  title?: string;
}

/** First of the lone surrogates that stand for bytes that are not UTF-8. */
const BYTE = 0xdc00;

/**
 * Bytes as a string that loses nothing: a byte that is not UTF-8 becomes the
 * lone surrogate U+DC00 + byte, which no UTF-8 text can contain.
 */
export function text(bytes: Bytes): string {
  if (typeof bytes === "string") return bytes;
  const raw = Uint8Array.from(atob(bytes.base64), (unit) => unit.charCodeAt(0));
  const parts: string[] = [];
  const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let at = 0;
  let valid = 0;
  const flush = (): void => {
    if (at > valid) parts.push(strict.decode(raw.subarray(valid, at)));
  };
  while (at < raw.length) {
    const length = sequence(raw, at);
    if (length === 0) {
      flush();
      parts.push(String.fromCharCode(BYTE + (raw[at] ?? 0)));
      at += 1;
      valid = at;
    } else {
      at += length;
    }
  }
  flush();
  return parts.join("");
}

/** Length of the valid UTF-8 sequence at `at`; 0 if there is none. */
function sequence(raw: Uint8Array, at: number): number {
  const first = raw[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > raw.length) return 0;
  const second = raw[at + 1] ?? 0;
  // Overlong forms, surrogates, and what lies past U+10FFFF.
  if (first === 0xe0 && second < 0xa0) return 0;
  if (first === 0xed && second > 0x9f) return 0;
  if (first === 0xf0 && second < 0x90) return 0;
  if (first === 0xf4 && second > 0x8f) return 0;
  for (let next = 1; next < length; next += 1) {
    if (((raw[at + next] ?? 0) & 0xc0) !== 0x80) return 0;
  }
  return length;
}

/** How many bytes `of` was made from. */
export function byteLength(of: string): number {
  let bytes = 0;
  for (let at = 0; at < of.length; at += 1) {
    const unit = of.charCodeAt(at);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit < 0xdc00) {
      bytes += 4;
      at += 1;
    } else if (unit >= 0xdc00 && unit < 0xe000) bytes += 1;
    else bytes += 3;
  }
  return bytes;
}

/** At most `max` units of `of`, never half a character. */
export function cut(of: string, max: number): string {
  if (of.length <= max) return of;
  const last = of.charCodeAt(max - 1);
  return of.slice(0, last >= 0xd800 && last < 0xdc00 ? max - 1 : max);
}

const ASCII = /^[\x20-\x7e]*$/;
/** Control, format, private, unassigned, surrogates; separators; marks that hang on to what is before. */
const UNSEEN = /[\p{C}\p{Z}\p{Mn}\p{Me}]/u;
/** Called printable by the standard, and shown as nothing or as a space. */
const BLANK = new Set(["\u115f", "\u1160", "\u2800", "\u3164", "\uffa0", "\u{1d159}"]);
const NAMED = new Map<string, readonly [string, string]>([
  ["\n", ["\\n", "line feed"]],
  ["\r", ["\\r", "carriage return"]],
  ["\t", ["\\t", "tab"]],
  ["\0", ["\\0", "NUL"]],
  ["\u001b", ["\\u{1b}", "escape, which begins commands to terminals"]],
  ["\u202e", ["\\u{202e}", "right-to-left override"]],
  ["\u200b", ["\\u{200b}", "zero width space"]],
]);
const PUNCTUATION = /\p{P}/u;
const LETTER = /[\p{L}\p{N}]/u;
const LATIN = /\p{Script=Latin}/u;
/** Scripts that are written together with Latin and share no letter shapes with it. */
const APART = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}]/u;

/**
 * `of` in pieces that are safe to show in this order. In prose, which people
 * write, punctuation that resembles ASCII is left as it is.
 */
export function reveal(of: string, { prose = false } = {}): Segment[] {
  if (of === "") return [];
  if (ASCII.test(of)) return [{ kind: "plain", text: of }];
  const segments: Segment[] = [];
  for (const word of words(of)) {
    const disguised = isDisguised(word);
    for (const character of word) push(segments, segment(character, disguised, prose));
  }
  return segments;
}

/** Whether anything in `of` had to be written out. */
export function isHostile(of: string): boolean {
  return !ASCII.test(of) && reveal(of).some(({ kind }) => kind === "escape" || kind === "lookalike");
}

/** Units beyond ASCII that are looked at before a page is shown. */
const LOOKED_AT = 400_000;

/** Whether anything in `all` had to be written out. */
export function anyHostile(all: readonly Bytes[]): boolean {
  let left = LOOKED_AT;
  for (const one of all) {
    // Bytes that are not UTF-8 are always written out.
    if (typeof one !== "string") return true;
    if (ASCII.test(one)) continue;
    if (left <= 0) return false;
    if (isHostile(one.slice(0, left))) return true;
    left -= one.length;
  }
  return false;
}

/** Runs of letters and digits, and what is between them. */
function* words(of: string): Generator<string[]> {
  let word: string[] = [];
  let inWord = false;
  for (const character of of) {
    const letter = LETTER.test(character);
    if (letter !== inWord && word.length > 0) {
      yield word;
      word = [];
    }
    inWord = letter;
    word.push(character);
  }
  if (word.length > 0) yield word;
}

/**
 * Whether a word pretends: it mixes Latin with a script that resembles it, or
 * every letter of it resembles a Latin one.
 */
function isDisguised(word: readonly string[]): boolean {
  const letters = word.filter((character) => !ASCII.test(character) && LETTER.test(character));
  const foreign = letters.filter((character) => !LATIN.test(character) && !APART.test(character));
  if (foreign.length === 0) return false;
  const latin = word.some((character) => LATIN.test(character));
  return latin || foreign.every((character) => looksLike(character) !== undefined);
}

function segment(character: string, disguised: boolean, prose: boolean): Segment {
  if (ASCII.test(character)) return { kind: "plain", text: character };
  const code = character.codePointAt(0) ?? 0;
  const named = NAMED.get(character);
  if (named) return { kind: "escape", text: named[0], title: `${point(code)} ${named[1]}` };
  if (code >= BYTE + 0x80 && code <= BYTE + 0xff) {
    const byte = (code - BYTE).toString(16).padStart(2, "0");
    return { kind: "escape", text: `\\x${byte}`, title: `byte 0x${byte}, which is not UTF-8` };
  }
  const escape = `\\u{${code.toString(16)}}`;
  if (UNSEEN.test(character) || BLANK.has(character)) {
    return { kind: "escape", text: escape, title: `${point(code)}, a character that is not seen` };
  }
  const like = looksLike(character);
  const letter = LETTER.test(character);
  if (prose && !letter && PUNCTUATION.test(character)) return { kind: "plain", text: character };
  if (like !== undefined && (disguised || !letter || LATIN.test(character) || isCompatible(character))) {
    return { kind: "lookalike", text: escape, title: `${point(code)}, which looks like “${like}”` };
  }
  if (disguised && letter && !LATIN.test(character) && !APART.test(character)) {
    return { kind: "lookalike", text: escape, title: `${point(code)}, a letter of another script among Latin ones` };
  }
  return { kind: "foreign", text: character, title: "not ASCII" };
}

/** Whether the standard itself calls the character a form of ASCII. */
function isCompatible(character: string): boolean {
  return ASCII.test(character.normalize("NFKC"));
}

function point(code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

function push(segments: Segment[], next: Segment): void {
  const last = segments.at(-1);
  if (last && last.kind === next.kind && (next.kind === "plain" || next.kind === "foreign")) {
    last.text += next.text;
  } else {
    segments.push({ ...next });
  }
}
