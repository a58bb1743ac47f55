//! What answers look like: one type for each thing, the same shapes as `--json`
//! of the command line. Keys may be added; none is renamed or removed.
//!
//! One rule for each kind of value: bytes of a process are a string where they
//! are UTF-8 and otherwise `{"base64": ...}`; digests are lower-case hexadecimal;
//! times RFC 3339 in UTC; 64-bit integers strings of digits; absent is `null`.
//! Nothing is escaped or shortened for display: that is the reader's part, and
//! a reader who doesn't must still lose nothing.

pub(crate) mod operation;
pub(crate) mod request;

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{account::Role, time::Millis};

/// Bytes that come from a process.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ProcessBytes {
    /// They are UTF-8.
    Text(String),
    /// They are not.
    Base64 {
        /// All of them.
        base64: String,
    },
}

impl From<Vec<u8>> for ProcessBytes {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64 {
                base64: BASE64.encode(error.as_bytes()),
            },
        }
    }
}

/// A role, as callers name it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Role)]
pub(crate) enum RoleName {
    Viewer,
    Reviewer,
    Administrator,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Reviewer => Self::Reviewer,
            RoleName::Administrator => Self::Administrator,
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// `bytes` in hexadecimal, none if there are none.
pub(crate) fn hex_or_null(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| hex(bytes))
}

pub(crate) fn time(at: Millis) -> String {
    at.to_string()
}

pub(crate) fn time_or_null(at: Option<Millis>) -> Option<String> {
    at.map(time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_text_or_base64() {
        let value =
            |bytes: &[u8]| serde_json::to_value(ProcessBytes::from(bytes.to_vec())).unwrap();
        assert_eq!(value(b"a\n\x1b[31m<b>"), json!("a\n\x1b[31m<b>"));
        assert_eq!(value(b"\xff"), json!({ "base64": "/w==" }));
        assert_eq!(value(b""), json!(""));
    }
}
