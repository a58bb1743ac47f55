import { describe, expect, it } from "vitest";

import { anyHostile, byteLength, cut, isHostile, reveal, text } from "./reveal";

const shown = (of: string): string =>
  reveal(of)
    .map(({ kind, text: part }) => (kind === "plain" || kind === "foreign" ? part : `[${part}]`))
    .join("");
const base64 = (...bytes: number[]) => ({ base64: Buffer.from(bytes).toString("base64") });

describe("reveal", () => {
  it.each([
    ["", ""],
    ["curl -T 'x' <b>\\u{202e}", "curl -T 'x' <b>\\u{202e}"],
    ["\u001b[2J\u001b[31mred", "[\\u{1b}][2J[\\u{1b}][31mred"],
    ["two\nlines\r\t", "two[\\n]lines[\\r][\\t]"],
    ["\0", "[\\0]"],
    ["\x7f\b", "[\\u{7f}][\\u{8}]"],
    ["a\u202etxt.exe", "a[\\u{202e}]txt.exe"],
    ["a\u2066b\u2069", "a[\\u{2066}]b[\\u{2069}]"],
    ["a\u200b\ufeffb", "a[\\u{200b}][\\u{feff}]b"],
    ["\u009b31m", "[\\u{9b}]31m"],
    ["\ue000\u{f0000}", "[\\u{e000}][\\u{f0000}]"],
    ["\u{e0041}", "[\\u{e0041}]"],
    ["\u2028\u2029", "[\\u{2028}][\\u{2029}]"],
    ["a\u00a0\u3000b", "a[\\u{a0}][\\u{3000}]b"],
    ["\u3164\u2800", "[\\u{3164}][\\u{2800}]"],
    ["e\u0301\ufe0f", "e[\\u{301}][\\u{fe0f}]"],
    ["\u00ad", "[\\u{ad}]"],
  ])("writes out what is not seen (%#)", (of, wanted) => {
    expect(shown(of)).toBe(wanted);
  });

  it.each([
    ["/usr/bin/сurl", "/usr/bin/[\\u{441}]url"],
    ["pаypal", "p[\\u{430}]ypal"],
    ["сор", "[\\u{441}][\\u{43e}][\\u{440}]"],
    ["ｃｕｒｌ", "[\\u{ff43}][\\u{ff55}][\\u{ff52}][\\u{ff4c}]"],
    ["𝐫𝐦", "[\\u{1d42b}][\\u{1d426}]"],
    ["‐‑–—−", "[\\u{2010}][\\u{2011}][\\u{2013}][\\u{2014}][\\u{2212}]"],
    ["“x”", "[\\u{201c}]x[\\u{201d}]"],
    ["example․org", "example[\\u{2024}]org"],
    ["a∕b", "a[\\u{2215}]b"],
    ["gοοgle", "g[\\u{3bf}][\\u{3bf}]gle"],
    ["gıt", "g[\\u{131}]t"],
    ["exampleж", "example[\\u{436}]"],
  ])("writes out what pretends (%#)", (of, wanted) => {
    expect(shown(of)).toBe(wanted);
    expect(isHostile(of)).toBe(true);
  });

  it.each(["привет", "日本語", "中文abc", "é naïve", "ελληνικά", "שלום", "مرحبا", "💩", "한국어"])(
    "leaves ordinary words as they are (%#)",
    (of) => {
      expect(shown(of)).toBe(of);
      expect(isHostile(of)).toBe(false);
    },
  );

  it("finds what is written out anywhere among many, and takes no time for plain text", () => {
    const plain = Array.from({ length: 16_000 }, (_, index) => `--argument-${index}`);
    expect(anyHostile([])).toBe(false);
    expect(anyHostile([...plain, "日本語", "x".repeat(2_000_000)])).toBe(false);
    expect(anyHostile([...plain, `${"x".repeat(5_000)}\u202e`])).toBe(true);
    expect(anyHostile([...plain, base64(0xff)])).toBe(true);
  });

  it("leaves the punctuation of people alone, and nothing else", () => {
    const prose = reveal("don’t – “p\u0430y”… \u202e", { prose: true });
    expect(prose.map(({ kind }) => kind)).toEqual(["plain", "lookalike", "plain", "escape"]);
  });

  it("keeps foreign text apart from what is around it", () => {
    expect(reveal("a שלום b").map(({ kind }) => kind)).toEqual(["plain", "foreign", "plain"]);
  });

  it("shows nothing raw that is not seen, whatever comes", () => {
    for (let code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 37) {
      const character = String.fromCodePoint(code);
      for (const { kind, text: part } of reveal(`a${character}b`)) {
        if (kind === "plain") expect(part).toMatch(/^[\x20-\x7e]*$/);
        else if (kind === "foreign") expect(part).not.toMatch(/[\p{C}\p{Z}\p{Mn}\p{Me}]/u);
        else expect(part).toMatch(/^\\[\x21-\x7e]+$/);
      }
    }
  });
});

describe("text", () => {
  it("takes strings as they are", () => {
    expect(text("a\n\u001b")).toBe("a\n\u001b");
  });

  it.each([
    [[0xff, 0xfe], "[\\xff][\\xfe]"],
    [[0x61, 0xc3, 0x28, 0x62], "a[\\xc3](b"],
    [[0xc0, 0x80], "[\\xc0][\\x80]"],
    [[0xe2, 0x80], "[\\xe2][\\x80]"],
    [[0xed, 0xa0, 0x80], "[\\xed][\\xa0][\\x80]"],
    [[0xf4, 0x90, 0x80, 0x80], "[\\xf4][\\x90][\\x80][\\x80]"],
    [[0xef, 0xbb, 0xbf, 0xff], "[\\u{feff}][\\xff]"],
    [[0xc3, 0xa9, 0xff], "é[\\xff]"],
    [[0xf0, 0x9f, 0x92, 0xa9, 0x80], "💩[\\x80]"],
  ])("shows bytes that are not UTF-8 (%#)", (bytes, wanted) => {
    expect(shown(text(base64(...bytes)))).toBe(wanted);
  });

  it("loses no byte", () => {
    let seed = 1;
    const random = (): number => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) >> 16;
    for (let round = 0; round < 500; round += 1) {
      const bytes = Array.from({ length: 24 }, () => random() & 0xff);
      const made = text(base64(...bytes));
      expect(byteLength(made)).toBe(24);
      const back: number[] = [];
      for (const character of made) {
        const code = character.codePointAt(0) ?? 0;
        if (code >= 0xdc80 && code <= 0xdcff) back.push(code - 0xdc00);
        else back.push(...Buffer.from(character));
      }
      expect(back).toEqual(bytes);
    }
  });
});

describe("cut", () => {
  it("never cuts a character in two", () => {
    expect(cut("ab💩c", 3)).toBe("ab");
    expect(cut("ab💩c", 4)).toBe("ab💩");
    expect(cut("abc", 3)).toBe("abc");
  });
});
