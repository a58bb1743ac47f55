// Characters that pass for ASCII. Pure data and one question about it.
//
// What the standard itself maps to ASCII (full width, mathematical, circled and
// so on) needs no table. The table has the letters of scripts whose shapes are
// those of Latin in common fonts, and punctuation.

const TABLE: Record<string, string> = {
  // Cyrillic
  а: "a", в: "b", е: "e", ё: "e", к: "k", м: "m", н: "h", о: "o", р: "p", с: "c", т: "t", у: "y", х: "x",
  ѕ: "s", і: "i", ї: "i", ј: "j", ԁ: "d", ԛ: "q", ԝ: "w", һ: "h", ӏ: "l", ґ: "r", г: "r", п: "n", ь: "b", ү: "y", ѵ: "v", ҁ: "c",
  А: "A", В: "B", Е: "E", Ѕ: "S", І: "I", Ј: "J", К: "K", М: "M", Н: "H", О: "O", Р: "P", С: "C", Т: "T", У: "Y", Х: "X", Ү: "Y", Ԛ: "Q", Ԝ: "W", Ӏ: "I", З: "3", б: "6",
  // Greek
  α: "a", β: "b", γ: "y", ε: "e", η: "n", ι: "i", κ: "k", ν: "v", ο: "o", ρ: "p", σ: "o", τ: "t", υ: "u", χ: "x", ω: "w", ϲ: "c", ϳ: "j",
  Α: "A", Β: "B", Ε: "E", Ζ: "Z", Η: "H", Ι: "I", Κ: "K", Μ: "M", Ν: "N", Ο: "O", Ρ: "P", Τ: "T", Υ: "Y", Χ: "X", Ϲ: "C", Ϳ: "J",
  // Armenian
  ա: "w", հ: "h", ո: "n", ս: "u", օ: "o", ց: "g", զ: "q", լ: "l", յ: "j", Ս: "U", Օ: "O", Լ: "L", Տ: "S",
  // Cherokee
  Ꭰ: "D", Ꭱ: "R", Ꭲ: "T", Ꭺ: "A", Ꭻ: "J", Ꭼ: "E", Ꮃ: "W", Ꮇ: "M", Ꮋ: "H", Ꮐ: "G", Ꮓ: "Z", Ꮪ: "S", Ꮩ: "V", Ꮮ: "L", Ꮯ: "C", Ꮲ: "P", Ꮶ: "K", Ᏼ: "B", Ꮤ: "W",
  // Latin beyond ASCII that is made to be overlooked
  ı: "i", ɑ: "a", ɡ: "g", ɩ: "i", ʟ: "L", ɪ: "i", ʀ: "R", ꜱ: "s", ʏ: "Y", ǀ: "|", ǃ: "!", ƽ: "5", ɢ: "G", ɴ: "N", ʙ: "B", ʜ: "H", ꞌ: "'", ᴀ: "A", ᴄ: "c", ᴏ: "o", ᴠ: "v", ᴡ: "w", ᴢ: "z",
  // Digits of other scripts
  "٠": "0", "١": "1", "۰": "0", "۱": "1", "०": "0", "০": "0", "߀": "0", "௦": "0", "๐": "0", "໐": "0", "૦": "0", "੦": "0",
  // Hebrew, and others of one stroke
  ו: "l", ן: "l", ס: "o", ה: "n", ߊ: "l", ا: "l", ه: "o", ⵏ: "l", ⵔ: "o", ⵙ: "o", ⲟ: "o", ⲣ: "p", ⲥ: "c", ლ: "m", ჿ: "o",
  // Punctuation
  "∕": "/", "⁄": "/", "⧸": "/", "╱": "/", "〳": "/", "∖": "\\", "⧵": "\\", "⧹": "\\",
  "‘": "'", "’": "'", "‛": "'", "′": "'", "ʹ": "'", "ʼ": "'", "ʻ": "'", "“": '"', "”": '"', "″": '"',
  "‚": ",", "٫": ",", "·": ".", "•": ".", "∙": ".", "⋅": ".", "۔": ".", "ꓸ": ".",
  "∶": ":", "ː": ":", "։": ":", "׃": ":", "ꓽ": ":", "꞉": ":", "\u037e": ";",
  "−": "-", "⁃": "-", "˗": "-", "➖": "-", "─": "-", "━": "-",
  "∣": "|", "│": "|", "┃": "|", "❘": "|", "ⵑ": "!", "∗": "*", "٭": "*", "∼": "~", "˜": "~", "〜": "~",
  "‹": "<", "›": ">", "˂": "<", "˃": ">", "❮": "<", "❯": ">", "᐀": "=", "゠": "=", "＄": "$", "﹩": "$", "ˋ": "`", "´": "'", "｀": "`",
};
const LIKE = new Map(Object.entries(TABLE));
const DASH = /\p{Pd}/u;
const PRINTABLE = /^[\x21-\x7e]+$/;

/** The ASCII that `character`, which is not ASCII, passes for. */
export function looksLike(character: string): string | undefined {
  const known = LIKE.get(character);
  if (known !== undefined) return known;
  if (DASH.test(character)) return "-";
  const form = character.normalize("NFKC");
  return form !== character && PRINTABLE.test(form) ? form : undefined;
}
