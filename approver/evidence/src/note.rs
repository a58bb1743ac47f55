//! Signed notes (C2SP signed-note), with Ed25519 keys.
//!
//! What a note says counts only when a known key has signed it, so the text
//! comes out of [`VerifierKey::open`] and in no other way. Lines of other keys
//! are ignored: later a log may have a second key or witnesses.

use std::{fmt, str::FromStr};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::hash::Hash;

/// Most bytes of a note that is looked at.
pub const NOTE_MAX: usize = 1024 * 1024;

/// Most signatures of a note that is looked at.
const SIGNATURES_MAX: usize = 100;

/// The signature type of plain Ed25519.
const ED25519_TYPE: u8 = 0x01;
const PUBLIC_KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;

/// Begins a line with a signature.
const SIGNATURE_LINE: &str = "\u{2014} ";

/// The key a log signs with.
#[derive(Debug)]
pub struct SigningKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

/// The key a log's signatures are checked with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifierKey {
    name: String,
    public: [u8; PUBLIC_KEY_BYTES],
}

/// Why a key can't be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The text is no verifier key.
    #[error(
        "this is no verifier key; it looks like name+1234abcd+AQ... and comes from \
         `holdpoint audit checkpoint` or the file verifier-key of an export"
    )]
    Text,
    /// The name can't stand in a note.
    #[error("a key's name must not be empty or hold spaces, control characters or \"+\"")]
    Name,
    /// The private key is damaged.
    #[error("the signing key is damaged")]
    Private,
}

/// Why a note is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoteError {
    /// It is longer than any note.
    #[error("it is longer than {NOTE_MAX} bytes")]
    Long,
    /// It is not of the form of a signed note.
    #[error("it is no signed note: {0}")]
    Form(&'static str),
    /// The key has not signed it.
    #[error("the log's key has not signed it")]
    Unsigned,
    /// There is a signature of the key, and it is wrong.
    #[error("its signature is wrong: it was changed after it was signed, or forged")]
    Forged,
}

impl SigningKey {
    /// The key in a PKCS #8 document, under this name.
    pub fn from_pkcs8(pkcs8: &[u8], name: &str) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Private)?;
        Self::new(pair, name)
    }

    /// `pair` as a key with the name that `name` makes of its public half.
    pub fn named_by(pkcs8: &[u8], name: impl FnOnce(&[u8]) -> String) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Private)?;
        let name = name(pair.public_key().as_ref());
        Self::new(pair, &name)
    }

    fn new(pair: Ed25519KeyPair, name: &str) -> Result<Self, KeyError> {
        let public = pair.public_key().as_ref();
        let public = public.try_into().map_err(|_| KeyError::Private)?;
        let verifier = VerifierKey::new(name, public)?;
        Ok(Self { pair, verifier })
    }

    /// The other half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// `text`, which ends with a line feed, as a note signed with this key.
    pub fn sign(&self, text: &str) -> String {
        let mut signature = self.verifier.id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        let (name, signature) = (&self.verifier.name, STANDARD.encode(signature));
        format!("{text}\n{SIGNATURE_LINE}{name} {signature}\n")
    }
}

impl VerifierKey {
    fn new(name: &str, public: [u8; PUBLIC_KEY_BYTES]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name);
        }
        Ok(Self {
            name: name.to_owned(),
            public,
        })
    }

    /// The name, which for a log is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id: what tells keys of one name apart.
    pub fn id(&self) -> [u8; 4] {
        let name = self.name.as_bytes();
        let Hash([a, b, c, d, ..]) = Hash::of(&[name, b"\n", &[ED25519_TYPE], &self.public]);
        [a, b, c, d]
    }

    /// The text of `note`, if this key has signed it.
    pub fn open<'a>(&self, note: &'a [u8]) -> Result<&'a str, NoteError> {
        let (text, signatures) = split(note)?;
        let mut signed = false;
        for line in signatures {
            let (name, signature) = signature(line)?;
            let Some((id, signature)) = signature.split_first_chunk::<4>() else {
                return Err(NoteError::Form("a signature is too short"));
            };
            if name != self.name || *id != self.id() {
                continue;
            }
            let key = UnparsedPublicKey::new(&ED25519, &self.public);
            let right = signature.len() == SIGNATURE_BYTES
                && key.verify(text.as_bytes(), signature).is_ok();
            if !right {
                return Err(NoteError::Forged);
            }
            signed = true;
        }
        if signed {
            Ok(text)
        } else {
            Err(NoteError::Unsigned)
        }
    }
}

/// The text of a note, with its last line feed, and its signature lines.
fn split(note: &[u8]) -> Result<(&str, Vec<&str>), NoteError> {
    if note.len() > NOTE_MAX {
        return Err(NoteError::Long);
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Form("it is not UTF-8"))?;
    if note.chars().any(|one| one < ' ' && one != '\n') {
        return Err(NoteError::Form("it holds control characters"));
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Form(
        "it has no empty line before the signatures",
    ))?;
    let (text, signatures) = (&note[..=at], &note[at + 2..]);
    let signatures = signatures
        .strip_suffix('\n')
        .ok_or(NoteError::Form("it does not end with a signature line"))?;
    let lines: Vec<&str> = signatures.split('\n').take(SIGNATURES_MAX + 1).collect();
    if lines.len() > SIGNATURES_MAX {
        return Err(NoteError::Form("it has too many signatures"));
    }
    Ok((text, lines))
}

/// Name and signature of a line.
fn signature(line: &str) -> Result<(&str, Vec<u8>), NoteError> {
    let bad = NoteError::Form("a signature line is malformed");
    let (name, signature) = line
        .strip_prefix(SIGNATURE_LINE)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(bad)?;
    let signature = STANDARD.decode(signature).map_err(|_| bad)?;
    if is_name(name) {
        Ok((name, signature))
    } else {
        Err(bad)
    }
}

fn is_name(name: &str) -> bool {
    let bad = |one: char| one.is_whitespace() || one.is_control() || one == '+';
    !name.is_empty() && !name.contains(bad)
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.id();
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.public);
        let key = STANDARD.encode(key);
        write!(
            formatter,
            "{}+{a:02x}{b:02x}{c:02x}{d:02x}+{key}",
            self.name
        )
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Text);
        };
        let key = STANDARD.decode(key).map_err(|_| KeyError::Text)?;
        let Some((&ED25519_TYPE, public)) = key.split_first() else {
            return Err(KeyError::Text);
        };
        let public = public.try_into().map_err(|_| KeyError::Text)?;
        let key = Self::new(name, public)?;
        // The id too must be right, and in its one form.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(KeyError::Text)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn key(name: &str) -> SigningKey {
        let document = Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap();
        SigningKey::from_pkcs8(document.as_ref(), name).unwrap()
    }

    // The key and note that the documentation of golang.org/x/mod/sumdb/note
    // carries as its example.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\
        \n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn the_note_everybody_knows() {
        let key: VerifierKey = KEY.parse().unwrap();
        assert_eq!(key.to_string(), KEY);
        let text = key.open(NOTE.as_bytes()).unwrap();
        assert!(text.starts_with("If you think") && text.ends_with("problem is.\n"));
        let changed = NOTE.replace("think", "thank");
        assert_eq!(key.open(changed.as_bytes()), Err(NoteError::Forged));
        let other = super::tests::key("PeterNeumann");
        assert_eq!(
            other.verifier().open(NOTE.as_bytes()),
            Err(NoteError::Unsigned)
        );
    }

    #[test]
    fn other_signatures_are_ignored_and_wrong_ones_are_not() {
        let (mine, other) = (key("log"), key("witness"));
        let note = mine.sign("a\n\nb\n");
        assert_eq!(mine.verifier().open(note.as_bytes()), Ok("a\n\nb\n"));
        let line = other.sign("a\n\nb\n").lines().last().unwrap().to_owned();
        let both = format!("{note}{line}\n");
        assert_eq!(mine.verifier().open(both.as_bytes()), Ok("a\n\nb\n"));
        assert_eq!(other.verifier().open(both.as_bytes()), Ok("a\n\nb\n"));
        let wrong = mine.sign("c\n").lines().last().unwrap().to_owned();
        let mixed = format!("{note}{wrong}\n");
        assert_eq!(
            mine.verifier().open(mixed.as_bytes()),
            Err(NoteError::Forged)
        );
    }

    #[test]
    fn malformed_notes_and_keys_are_refused() {
        let key = key("log");
        let note = key.sign("text\n");
        for bad in [
            String::new(),
            "\n".into(),
            "\n\n".into(),
            "text\n".into(),
            note.trim_end().to_owned(),
            note.replace("\n\n", "\n"),
            note.replace('\u{2014}', "-"),
            note.replace("text", "te\rxt"),
            format!("{note}\n"),
            format!("{note}rubbish\n"),
            format!("{note}\u{2014} a AAA=\n"),
            format!("{note}{}", "\u{2014} a AAAAAAA=\n".repeat(101)),
            format!("{}{note}", "x".repeat(NOTE_MAX)),
        ] {
            assert!(key.verifier().open(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(key.verifier().open(b"\xff\n\n").is_err());
        let text = key.verifier().to_string();
        for bad in [
            "",
            "log",
            "log++",
            &text.replace("log", "lo g"),
            &text.replace("log", ""),
            &text.replace("log", "gol"),
            &format!("{text}="),
            &format!("{text} "),
            &text[..text.len() - 4],
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad:?}");
        }
        assert_eq!(text.parse().as_ref(), Ok(key.verifier()));
    }

    proptest! {
        #[test]
        fn rubbish_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text: String) {
            let key = key("log");
            prop_assert!(key.verifier().open(&bytes).is_err());
            prop_assert!(key.verifier().open(text.as_bytes()).is_err());
            let _ = text.parse::<VerifierKey>();
        }

        #[test]
        fn one_changed_byte_is_seen(at: prop::sample::Index, bit in 0..8) {
            let key = key("log");
            let mut note = key.sign("log\n12\nAAAA\n").into_bytes();
            let at = at.index(note.len());
            note[at] ^= 1_u8 << bit;
            prop_assert!(key.verifier().open(&note).is_err());
        }
    }
}
