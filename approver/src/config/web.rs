//! The sections about the web listener, the metrics and the log.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
};

use serde::{Deserialize, Serialize};

/// The dashboard and the REST API.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "RawWeb")]
pub struct Web {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Who encrypts.
    pub tls: Tls,
    /// Whether a reverse proxy takes the connections of browsers, with TLS.
    pub behind_proxy: bool,
    /// Most connections at a time.
    pub max_connections: NonZeroU32,
    /// Most streams of changes at a time.
    pub max_streams: NonZeroU32,
}

/// Who encrypts the web listener.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// The approver, with the certificate that gRPC has.
    Own,
    /// Nobody, or a proxy.
    Off,
}

/// Numbers for the operator's monitoring.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether they are served.
    pub enabled: bool,
    /// Address and port to listen on.
    pub listen: SocketAddr,
}

/// The log.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What a line looks like.
    pub format: LogFormat,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Passwords would cross the network in the clear.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "tls = \"off\" would send passwords over the network in the clear: {0} is no loopback \
     address; listen on 127.0.0.1 or [::1], or say behind_proxy = true if only a proxy that speaks \
     TLS reaches it"
)]
pub struct PlainError(SocketAddr);

/// [`Web`] as it is written, before it is checked as a whole.
#[derive(Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawWeb {
    listen: SocketAddr,
    tls: Tls,
    behind_proxy: bool,
    max_connections: NonZeroU32,
    max_streams: NonZeroU32,
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for RawWeb {
    fn default() -> Self {
        Self {
            listen: loopback(7444),
            tls: Tls::Own,
            behind_proxy: false,
            max_connections: NonZeroU32::MIN.saturating_add(1023),
            max_streams: NonZeroU32::MIN.saturating_add(255),
        }
    }
}

impl TryFrom<RawWeb> for Web {
    type Error = PlainError;

    fn try_from(raw: RawWeb) -> Result<Self, PlainError> {
        let web = Self::from_raw(raw);
        if web.tls == Tls::Off && !web.behind_proxy && !web.listen.ip().is_loopback() {
            return Err(PlainError(web.listen));
        }
        Ok(web)
    }
}

impl Web {
    fn from_raw(raw: RawWeb) -> Self {
        Self {
            listen: raw.listen,
            tls: raw.tls,
            behind_proxy: raw.behind_proxy,
            max_connections: raw.max_connections,
            max_streams: raw.max_streams,
        }
    }

    /// Whether a browser reaches it over TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls == Tls::Own || self.behind_proxy
    }
}

impl Default for Web {
    fn default() -> Self {
        Self::from_raw(RawWeb::default())
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: loopback(7445),
        }
    }
}
