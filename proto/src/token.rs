//! The enrolment token: everything a new host needs to reach and trust its
//! approver, as one word to paste.
//!
//! `hp1.` and base64url of a JSON object: the approver's address, its CA
//! certificate and a single-use secret. Treat the whole as a secret until used.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

const PREFIX: &str = "hp1.";

/// A decoded enrolment token.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentToken {
    /// Address of the approver, `https://host:port`.
    pub approver: String,
    /// The approver's CA certificate, PEM.
    pub ca: String,
    /// Proves the right to enrol; works once.
    pub secret: String,
}

/// Why a text is no enrolment token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It does not begin with `hp1.`.
    #[error(
        "this is no enrolment token: it must begin with \"{PREFIX}\"; \
         make one with `holdpoint-approver token create`"
    )]
    Prefix,
    /// The part behind the prefix is not base64url, probably cut or wrapped.
    #[error("the enrolment token is damaged (was it pasted whole?): {0}")]
    Encoding(#[source] base64::DecodeError),
    /// The decoded text is not the expected JSON.
    #[error("the enrolment token has unexpected content (was it pasted whole?): {0}")]
    Content(#[source] serde_json::Error),
}

impl EnrolmentToken {
    /// The token as one word.
    pub fn encode(&self) -> String {
        let json = serde_json::json!({
            "approver": self.approver,
            "ca": self.ca,
            "secret": self.secret,
        });
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json.to_string()))
    }

    /// Reads what [`encode`](Self::encode) wrote; white space around it is fine.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let json = URL_SAFE_NO_PAD.decode(body).map_err(TokenError::Encoding)?;
        serde_json::from_slice(&json).map_err(TokenError::Content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> EnrolmentToken {
        EnrolmentToken {
            approver: "https://approver.example:7443".into(),
            ca: "-----BEGIN CERTIFICATE-----\n".into(),
            secret: "s3cret".into(),
        }
    }

    #[test]
    fn round_trip() {
        let text = format!("  {}\n", token().encode());
        assert_eq!(EnrolmentToken::decode(&text).unwrap(), token());
    }

    #[test]
    fn a_cut_token_is_an_error_at_every_length() {
        let text = token().encode();
        for end in 0..text.len() {
            assert!(
                EnrolmentToken::decode(&text[..end]).is_err(),
                "length {end}"
            );
        }
    }
}
