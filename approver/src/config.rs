//! The approver's configuration: one TOML file, every key with a default, no
//! key unknown.
//!
//! Values are checked while they are read, so that an error names file, line
//! and key. Holds no secret: those live as files in `state_dir`.

mod address;
mod remarks;
mod web;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use address::{Address, AddressError, ServerName, ServerNameError};
pub use web::{Log, LogFormat, Metrics, PlainError, Tls, Web};

/// Where the configuration is looked for unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/holdpoint/approver.toml";

/// The approver's configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// How hosts reach this approver; written into enrolment tokens.
    pub address: Address,
    /// Further names and addresses the server certificate is valid for.
    pub names: Vec<ServerName>,
    /// Directory of the CA, the keys and the database.
    pub state_dir: PathBuf,
    /// Bounds.
    pub limits: Limits,
    /// The dashboard and the REST API.
    pub web: Web,
    /// Numbers for the operator's monitoring.
    pub metrics: Metrics,
    /// The log.
    pub log: Log,
}

/// Bounds that keep one host from filling the queue of all reviewers, and
/// strangers from keeping the hosts out.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most requests of one host that may be pending at a time.
    pub pending_per_host: NonZeroU32,
    /// Most connections of hosts and tools at a time.
    pub connections: NonZeroU32,
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has a wrong key or value.
    #[error("the configuration {} is wrong: {}", path.display(), error.to_string().trim_end())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, key and reason.
        error: Box<toml::de::Error>,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443),
            address: Address::default(),
            names: Vec::new(),
            state_dir: PathBuf::from("/var/lib/holdpoint-approver"),
            limits: Limits::default(),
            web: Web::default(),
            metrics: Metrics::default(),
            log: Log::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_per_host: NonZeroU32::MIN.saturating_add(9_999),
            connections: NonZeroU32::MIN.saturating_add(8_191),
        }
    }
}

impl Config {
    /// Reads `path`; without one [`DEFAULT_PATH`], and the defaults if that file
    /// doesn't exist.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let file = path.unwrap_or(Path::new(DEFAULT_PATH));
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&text, file),
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(ConfigError::Read {
                path: file.to_owned(),
                source,
            }),
        }
    }

    /// Reads `text`; `path` is what errors call it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            error: Box::new(error),
        })
    }

    /// Every name the server certificate is valid for.
    pub fn server_names(&self) -> Vec<String> {
        let mut names = vec![self.address.host().to_owned()];
        let always = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        for name in always
            .into_iter()
            .chain(self.names.iter().map(ServerName::to_string))
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../packaging/approver.toml");

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("approver.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_sample_says_every_default() {
        assert_eq!(parse(SAMPLE), Ok(Config::default()));
        let sample: toml::Table = SAMPLE.parse().unwrap();
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        assert_eq!(sample, defaults, "a key is missing from the sample");
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn errors_name_file_line_and_key() {
        for (text, line, needle) in [
            (
                "listen = \"127.0.0.1:1\"\nlistn = 1",
                "line 2",
                "unknown field `listn`",
            ),
            (
                "\nlisten = \"localhost\"",
                "line 2",
                "invalid socket address",
            ),
            (
                "address = \"http://a:1\"",
                "line 1",
                "must begin with https://",
            ),
            (
                "names = [\"a\", \"no name\"]",
                "line 1",
                "\"no name\" is neither",
            ),
            ("[limits]\npending_per_host = 0", "line 2", "nonzero"),
            ("[limits]\nmax = 1", "line 2", "unknown field `max`"),
            ("listen = ", "line 1", ""),
            (
                "[web]\nlisten = \"0.0.0.0:7444\"\ntls = \"off\"",
                "line 1",
                "passwords over the network in the clear: 0.0.0.0:7444",
            ),
            ("[web]\ntls = \"on\"", "line 2", "unknown variant `on`"),
            ("[web]\ntsl = \"own\"", "line 2", "unknown field `tsl`"),
            ("[log]\nformat = \"xml\"", "line 2", "unknown variant `xml`"),
        ] {
            let error = parse(text).unwrap_err();
            for part in ["approver.toml", line, needle] {
                assert!(error.contains(part), "{error:?} lacks {part:?}");
            }
        }
    }

    #[test]
    fn only_loopback_or_a_proxy_goes_without_tls() {
        for good in [
            "listen = \"[::1]:1\"\ntls = \"off\"",
            "listen = \"0.0.0.0:1\"\ntls = \"off\"\nbehind_proxy = true",
            "listen = \"0.0.0.0:1\"",
        ] {
            assert!(parse(&format!("[web]\n{good}")).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_named_file_must_exist() {
        let error = Config::load(Some(Path::new("/nonexistent/approver.toml"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/approver.toml"));
    }

    #[test]
    fn server_names_hold_each_name_once() {
        let config = parse(
            "address = \"https://approver.example:8443\"\n\
             names = [\"localhost\", \"10.0.2.2\", \"approver\"]",
        )
        .unwrap();
        assert_eq!(
            config.server_names(),
            [
                "approver.example",
                "localhost",
                "127.0.0.1",
                "::1",
                "10.0.2.2",
                "approver"
            ]
        );
    }
}
