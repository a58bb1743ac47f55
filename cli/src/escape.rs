//! Text of processes, made safe to look at. Pure.
//!
//! Whoever decides must see what is there. Terminals obey control characters,
//! lay text out from right to left and show nothing at all for others; a process
//! under review would use that to show one thing and do another. So every
//! character that isn't plainly visible is written out, and what is written can
//! be read back without doubt: a backslash of the text itself is doubled.

use std::fmt::Write as _;

/// Characters that the standard tables call printable and that show as nothing
/// or as a space.
const BLANK: &[char] = &[
    '\u{115f}',
    '\u{1160}',
    '\u{2800}',
    '\u{3164}',
    '\u{ffa0}',
    '\u{1d159}',
];

/// Which characters are left as they are.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Keep {
    /// Visible characters of any script.
    Visible,
    /// Visible ASCII: one column each, and none that looks like another.
    Ascii,
}

/// `bytes` in double quotes, with visible characters of any script.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escaped(bytes, Keep::Visible, true))
}

/// `bytes` as ASCII: bare if that is a plain word, otherwise in double quotes.
pub(crate) fn word(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,~^".contains(byte);
    let escaped = escaped(bytes, Keep::Ascii, true);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        escaped
    } else {
        format!("\"{escaped}\"")
    }
}

/// A name or an address as ASCII, without quotes.
pub(crate) fn name(text: &str) -> String {
    escaped(text.as_bytes(), Keep::Ascii, false)
}

/// A sentence: only what isn't visible is written out.
pub(crate) fn sentence(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '"' => out.push(character),
            _ => push(&mut out, character, Keep::Visible, false),
        }
    }
    out
}

/// True if `bytes` hold a visible character outside ASCII, which may look like
/// one inside.
pub(crate) fn has_lookalikes(bytes: &[u8]) -> bool {
    escaped(bytes, Keep::Visible, true) != escaped(bytes, Keep::Ascii, true)
}

fn escaped(bytes: &[u8], keep: Keep, in_quotes: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut out, character, keep, in_quotes);
        }
        for byte in chunk.invalid() {
            // Writing to a String can't fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push(out: &mut String, character: char, keep: Keep, in_quotes: bool) {
    match character {
        '\\' => out.push_str("\\\\"),
        '"' if in_quotes => out.push_str("\\\""),
        '"' | '\'' => out.push(character),
        _ if BLANK.contains(&character) || (keep == Keep::Ascii && !character.is_ascii()) => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        }
        // Writes out what Unicode calls control, format, private, unassigned or
        // separator, and marks that would hang on to the character before.
        _ => out.extend(character.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_text_is_written_out() {
        for (bytes, wanted) in [
            (&b"\x1b[2J\x1b[31mred"[..], r#""\u{1b}[2J\u{1b}[31mred""#),
            (b"two\nlines\r\t", r#""two\nlines\r\t""#),
            (b"\0", r#""\0""#),
            (b"\x7f\x08", r#""\u{7f}\u{8}""#),
            ("a\u{202e}txt.exe".as_bytes(), r#""a\u{202e}txt.exe""#),
            ("a\u{2066}b\u{2069}".as_bytes(), r#""a\u{2066}b\u{2069}""#),
            ("a\u{200b}\u{feff}b".as_bytes(), r#""a\u{200b}\u{feff}b""#),
            ("\u{9b}31m".as_bytes(), r#""\u{9b}31m""#),
            ("\u{e000}\u{f0000}".as_bytes(), r#""\u{e000}\u{f0000}""#),
            ("\u{e0041}".as_bytes(), r#""\u{e0041}""#),
            ("\u{2028}\u{2029}".as_bytes(), r#""\u{2028}\u{2029}""#),
            ("a\u{a0}\u{3000}b".as_bytes(), r#""a\u{a0}\u{3000}b""#),
            ("\u{3164}\u{2800}".as_bytes(), r#""\u{3164}\u{2800}""#),
            ("e\u{301}\u{fe0f}".as_bytes(), r#""e\u{301}\u{fe0f}""#),
            (b"\xff\xfe\xc0\x80", r#""\xff\xfe\xc0\x80""#),
            (b"\xe2\x80", r#""\xe2\x80""#),
            (b"say \"\\x41\" 'now'", r#""say \"\\x41\" 'now'""#),
            ("日本語 é".as_bytes(), r#""日本語 é""#),
            (b"", r#""""#),
        ] {
            assert_eq!(quoted(bytes), wanted, "{bytes:?}");
        }
    }

    #[test]
    fn words_are_ascii_and_bare_only_if_plain() {
        assert_eq!(word(b"--upload-file=/etc/x"), "--upload-file=/etc/x");
        assert_eq!(word(b"two words"), r#""two words""#);
        assert_eq!(word(b""), r#""""#);
        assert_eq!(word("сurl".as_bytes()), r#""\u{441}url""#);
        assert_eq!(word(b"$HOME"), r#""$HOME""#);
    }

    #[test]
    fn sentences_stay_readable() {
        assert_eq!(sentence(r#"no "x" at C:\y"#), r#"no "x" at C:\y"#);
        assert_eq!(sentence("a\u{1b}[0m\nb"), "a\\u{1b}[0m\\nb");
    }

    #[test]
    fn letters_of_other_scripts_are_noticed() {
        assert!(has_lookalikes("/usr/bin/сurl".as_bytes()));
        assert!(!has_lookalikes(b"/usr/bin/curl"));
        assert!(
            !has_lookalikes("\u{202e}\n".as_bytes()),
            "written out anyway"
        );
    }

    /// Reads `quoted` text back.
    fn unquoted(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let body = text.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        let mut chars = body.chars();
        while let Some(character) = chars.next() {
            let push = |out: &mut Vec<u8>, c: char| {
                out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            };
            if character != '\\' {
                push(&mut out, character);
                continue;
            }
            match chars.next().unwrap() {
                'n' => out.push(b'\n'),
                'r' => out.push(b'\r'),
                't' => out.push(b'\t'),
                '0' => out.push(0),
                'x' => {
                    let hex: String = chars.by_ref().take(2).collect();
                    out.push(u8::from_str_radix(&hex, 16).unwrap());
                }
                'u' => {
                    let hex: String = chars.by_ref().skip(1).take_while(|c| *c != '}').collect();
                    push(
                        &mut out,
                        char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap(),
                    );
                }
                other => push(&mut out, other),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_is_invisible(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..64),
                any::<String>().prop_map(String::into_bytes),
            ],
        ) {
            let text = quoted(&bytes);
            prop_assert_eq!(unquoted(&text), bytes.clone());
            prop_assert!(text.chars().all(|c| !c.is_control() && (c == ' ' || !c.is_whitespace())));
            prop_assert!(word(&bytes).bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
