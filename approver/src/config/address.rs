//! Checked names in the configuration: the approver's own address and the names
//! its certificate carries.

use std::{fmt, str::FromStr};

use rustls_pki_types as pki;
use serde::{Deserialize, Serialize};
use tonic::codegen::http::Uri;

/// Port of an address that names none.
const DEFAULT_PORT: u16 = 7443;

/// How hosts reach the approver: `https://host:port`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    host: String,
    port: u16,
}

/// A DNS name or IP address.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

/// Why a text is no address of an approver.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL with `https`.
    #[error("the address {0:?} must begin with https://, like https://approver.example:7443")]
    Scheme(String),
    /// More than scheme, host and port.
    #[error("the address {0:?} must end after its port, like https://approver.example:7443")]
    Rest(String),
    /// The host is no name.
    #[error(transparent)]
    Host(#[from] ServerNameError),
}

/// Why a text is no name of a server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is neither a DNS name nor an IP address")]
pub struct ServerNameError(String);

impl Address {
    /// The host part, without brackets if it is an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// This address with another port.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }
}

impl Default for Address {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: DEFAULT_PORT,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let scheme = || AddressError::Scheme(text.to_owned());
        let rest = || AddressError::Rest(text.to_owned());
        if !text.starts_with("https://") {
            return Err(scheme());
        }
        let uri: Uri = text.trim_end_matches('/').parse().map_err(|_| rest())?;
        let authority = uri.authority().ok_or_else(rest)?.as_str();
        if uri.path() != "/" || uri.query().is_some() || authority.contains('@') {
            return Err(rest());
        }
        // A port that is no number leaves `port_u16` empty without an error.
        let port = match (
            uri.port_u16(),
            authority.rsplit_once(']').map_or(authority, |p| p.1),
        ) {
            (Some(0), _) => return Err(rest()),
            (Some(port), _) => port,
            (None, tail) if tail.contains(':') => return Err(rest()),
            (None, _) => DEFAULT_PORT,
        };
        let host = uri.host().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<ServerName>()?;
        Ok(Self { host: host.0, port })
    }
}

impl FromStr for ServerName {
    type Err = ServerNameError;

    fn from_str(text: &str) -> Result<Self, ServerNameError> {
        match pki::ServerName::try_from(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(ServerNameError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl TryFrom<String> for ServerName {
    type Error = ServerNameError;

    fn try_from(text: String) -> Result<Self, ServerNameError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "https://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "https://{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back() {
        for (text, host, full) in [
            (
                "https://localhost:7443",
                "localhost",
                "https://localhost:7443",
            ),
            ("https://a.example", "a.example", "https://a.example:7443"),
            ("https://10.0.2.2:1/", "10.0.2.2", "https://10.0.2.2:1"),
            ("https://[::1]:8443", "::1", "https://[::1]:8443"),
            ("https://[::1]", "::1", "https://[::1]:7443"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host(), address.to_string().as_str()), (host, full));
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "https://",
            "https:///x",
            "localhost:7443",
            "http://localhost",
            "https://a:b",
            "https://a:0",
            "https://a:70000",
            "https://a:1/path",
            "https://a:1?q",
            "https://u@a:1",
            "https://a b",
            "https://-:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
