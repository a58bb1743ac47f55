//! TOML with positions: reads tables strictly, and remembers where everything
//! stands so that errors can say it.
//!
//! Also reads the file, the only I/O of the policy. Knows nothing about rules.

use std::{fs::File, io::Read as _, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::{Fault, PolicyError};

/// Largest policy file, in bytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// A value and where it stands.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// The bytes of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, PolicyError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes))
        .map_err(|source| PolicyError::Read {
            path: path.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(PolicyError::TooLarge {
            path: path.to_owned(),
            limit: MAX_SIZE,
        });
    }
    Ok(bytes)
}

/// `bytes` as the text of the file at `path`.
pub(super) fn utf8<'t>(path: &Path, bytes: &'t [u8]) -> Result<&'t str, PolicyError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        Fault::new(
            valid.len(),
            "the text is not UTF-8",
            "save the file as UTF-8",
        )
        .into_error(&String::from_utf8_lossy(valid), path)
    })
}

/// A table whose keys are taken one by one; what is left is unknown.
pub(super) struct Table<'t> {
    entries: DeTable<'t>,
    /// Byte offset of the table.
    pub(super) at: usize,
}

impl<'t> Table<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, Fault> {
        let table = DeTable::parse(text).map_err(|error| {
            Fault::new(
                error.span().map_or(0, |span| span.start),
                format!("this is no valid TOML: {}", error.message()),
                "see https://toml.io for the format",
            )
        })?;
        Ok(Self {
            at: 0,
            entries: table.into_inner(),
        })
    }

    /// `value` as a table; `what` names it in the error.
    pub(super) fn from_value(value: Value<'t>, what: &str) -> Result<Self, Fault> {
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Table(entries) => Ok(Self { entries, at }),
            other => Err(wrong_type(at, what, "a table", &other)),
        }
    }

    /// Removes the value of `key`.
    pub(super) fn take(&mut self, key: &str) -> Option<Value<'t>> {
        self.entries.remove(key)
    }

    /// Like [`take`](Self::take), for a text.
    pub(super) fn take_text(&mut self, key: &str) -> Result<Option<Text>, Fault> {
        self.take(key).map(|value| text(value, key)).transpose()
    }

    /// Like [`take`](Self::take), for a list that must not be empty.
    pub(super) fn take_list(&mut self, key: &str) -> Result<Option<Vec<Value<'t>>>, Fault> {
        self.take(key).map(|value| list(value, key)).transpose()
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The table must be used up by now; `known` are the keys it may have.
    pub(super) fn finish(self, known: &[&str]) -> Result<(), Fault> {
        match self.entries.iter().next() {
            None => Ok(()),
            Some((key, _)) => Err(Fault::new(
                key.span().start,
                format!("unknown key {:?}", key.get_ref()),
                format!("the keys here are {}", known.join(", ")),
            )),
        }
    }
}

/// A text and its byte offset.
pub(super) struct Text {
    pub(super) value: String,
    pub(super) at: usize,
}

/// `value` as a text.
pub(super) fn text(value: Value<'_>, what: &str) -> Result<Text, Fault> {
    let at = value.span().start;
    match value.into_inner() {
        DeValue::String(value) => Ok(Text {
            value: value.into_owned(),
            at,
        }),
        other => Err(wrong_type(at, what, "a text in quotes", &other)),
    }
}

/// `value` as a list that is not empty.
pub(super) fn list<'t>(value: Value<'t>, what: &str) -> Result<Vec<Value<'t>>, Fault> {
    let at = value.span().start;
    match value.into_inner() {
        DeValue::Array(items) if items.is_empty() => Err(Fault::new(
            at,
            format!("{what} is empty and would match nothing"),
            "name something, or remove the key to match everything",
        )),
        DeValue::Array(items) => Ok(items.into_iter().collect()),
        other => Err(wrong_type(at, what, "a list in [ ]", &other)),
    }
}

/// An integer of the document, if it fits.
pub(super) fn integer(value: &DeValue<'_>) -> Option<u32> {
    let integer = value.as_integer()?;
    u32::from_str_radix(integer.as_str(), integer.radix()).ok()
}

pub(super) fn wrong_type(at: usize, what: &str, wanted: &str, found: &DeValue<'_>) -> Fault {
    Fault::new(
        at,
        format!("{what} is of type {}", found.type_str()),
        format!("write {wanted}"),
    )
}
