//! The daemon's configuration: one strict TOML file, read once at start.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use holdpoint_proto::control::DEFAULT_SOCKET;
use serde::Deserialize;

use crate::{
    events::spool::MIN_BYTES,
    kernel::{Permits, Route},
    policy::{Policy, PolicyError},
};

/// Where the configuration is unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/holdpoint/holdpointd.toml";

/// Longest profile or owner name, in bytes: they are kept in the kernel.
const MAX_NAME: usize = 64;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the host keeps its identity.
    #[serde(default = "default_state_dir")]
    pub state_dir: PathBuf,
    /// Where local callers reach the daemon.
    #[serde(default = "default_socket")]
    pub control_socket: PathBuf,
    /// What the daemon says of itself.
    #[serde(default)]
    pub log: LogConfig,
    /// What is kept of what happened.
    #[serde(default)]
    pub events: EventsConfig,
    /// Numbers for the operator's monitoring.
    #[serde(default)]
    pub metrics: MetricsConfig,
    /// Kinds of AI agents, by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, ProfileConfig>,
}

/// What the daemon says of itself on standard error.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// How.
    #[serde(default)]
    pub format: LogFormat,
    /// What. The variable `RUST_LOG` goes before it.
    #[serde(default)]
    pub level: LogLevel,
}

/// What is kept of what happened, and how much of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// Most bytes on disk that wait for the approver.
    pub spool_max_bytes: u64,
    /// Operations of one session that went on or were refused without a hold, of
    /// which an event is made in a second.
    pub session_events_per_second: u32,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            spool_max_bytes: 256 * 1024 * 1024,
            session_events_per_second: holdpoint_agent_common::TOLD_PER_SECOND,
        }
    }
}

impl EventsConfig {
    fn problem(self) -> Option<String> {
        if self.spool_max_bytes < MIN_BYTES {
            return Some(format!("`spool_max_bytes` must be at least {MIN_BYTES}"));
        }
        if self.session_events_per_second == 0 {
            return Some(
                "`session_events_per_second` must be at least 1; what is beyond it is declared as \
                 a gap"
                    .to_owned(),
            );
        }
        None
    }
}

/// Numbers for the operator's monitoring.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Whether they are served.
    pub enabled: bool,
    /// Address and port to listen on.
    pub listen: SocketAddr,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7446),
        }
    }
}

impl MetricsConfig {
    fn problem(self) -> Option<String> {
        if !self.listen.ip().is_loopback() {
            return Some(format!(
                "`listen` is {}, which is no loopback address, and there is no login: say \
                 \"127.0.0.1:{port}\" or \"[::1]:{port}\", and let the monitoring's own agent on \
                 this host carry the numbers further",
                self.listen,
                port = self.listen.port()
            ));
        }
        if self.listen.port() == 0 {
            return Some("`listen` has port 0, which nobody could find; say a port".to_owned());
        }
        None
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The least of what is logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what somebody should look at.
    Warn,
    /// And what happened.
    #[default]
    Info,
    /// And how.
    Debug,
}

impl LogLevel {
    /// As the filter has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// One kind of AI agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfig {
    /// Account, at the approver, of the person accountable for it. That person
    /// cannot approve what it does.
    pub owner: String,
    /// Local users who may start sessions under it.
    pub users: Vec<String>,
    /// Its policy file.
    pub policy: PathBuf,
    /// Names of routes that are open to its sessions; see
    /// `docs/security/routes.md`. All others are barred.
    #[serde(default)]
    pub permit: Vec<Permitted>,
    /// Requests of one session that may wait for a person at once. What comes
    /// beyond is refused.
    #[serde(default = "default_max_requests")]
    pub max_requests: u32,
}

/// A route that a profile opens, by its name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub struct Permitted(Route);

impl TryFrom<String> for Permitted {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let mut open = Route::ALL
            .into_iter()
            .filter(|route| route.may_be_permitted());
        open.clone()
            .find(|route| route.name() == name)
            .map(Self)
            .ok_or_else(|| {
                let names: Vec<_> = open.by_ref().map(Route::name).collect();
                format!(
                    "there is no route {name:?} to permit; the routes are {}",
                    names.join(", ")
                )
            })
    }
}

/// A profile with its policy.
#[derive(Clone, Debug)]
pub struct Profile {
    /// See [`ProfileConfig::owner`].
    pub owner: String,
    /// See [`ProfileConfig::users`].
    pub users: Vec<String>,
    /// What its sessions may do.
    pub policy: Policy,
    /// Routes that are open to its sessions.
    pub permits: Permits,
    /// See [`ProfileConfig::max_requests`].
    pub max_requests: u32,
}

/// Profiles by name.
pub type Profiles = BTreeMap<String, Profile>;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error(
        "cannot read the configuration {}: {source}; the package brings a commented one, and \
         --config names another",
        path.display()
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// It is not valid TOML, or has unknown or missing keys.
    #[error("in the configuration {}: {source}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("in the configuration {}: profile {profile:?}: {problem}", path.display())]
    Profile {
        /// Which file.
        path: PathBuf,
        /// Which profile.
        profile: String,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// A setting of a table makes no sense.
    #[error("in the configuration {}: [{table}]: {problem}", path.display())]
    Table {
        /// Which file.
        path: PathBuf,
        /// Which table.
        table: &'static str,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// A policy of it cannot be used.
    #[error("profile {profile:?}: {source}")]
    Policy {
        /// Which profile.
        profile: String,
        /// What is wrong.
        source: Box<PolicyError>,
    },
}

fn default_state_dir() -> PathBuf {
    "/var/lib/holdpointd".into()
}

/// More than anybody reads, and few enough to deny one by one.
pub const DEFAULT_MAX_REQUESTS: u32 = 100;

fn default_max_requests() -> u32 {
    DEFAULT_MAX_REQUESTS
}

fn default_socket() -> PathBuf {
    DEFAULT_SOCKET.into()
}

impl Config {
    /// Reads and checks `path`.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (config, problems) = Self::examine(path)?;
        config.unless(problems)
    }

    /// Checks `text`, which came from `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config = Self::read(text, path)?;
        let problems = config.problems(path);
        config.unless(problems)
    }

    /// Reads `path` and says everything that is wrong with its settings; the error
    /// is for a file that could not be understood at all.
    pub fn examine(path: &Path) -> Result<(Self, Vec<ConfigError>), ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config = Self::read(&text, path)?;
        let problems = config.problems(path);
        Ok((config, problems))
    }

    fn read(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    fn problems(&self, path: &Path) -> Vec<ConfigError> {
        let tables = [
            ("events", self.events.problem()),
            ("metrics", self.metrics.problem()),
        ];
        let of_tables = tables.into_iter().filter_map(|(table, problem)| {
            Some(ConfigError::Table {
                path: path.to_owned(),
                table,
                problem: problem?,
            })
        });
        let of_profiles = self.profiles.iter().filter_map(|(name, profile)| {
            Some(ConfigError::Profile {
                path: path.to_owned(),
                profile: name.clone(),
                problem: profile.problem(name)?,
            })
        });
        of_tables.chain(of_profiles).collect()
    }

    fn unless(self, problems: Vec<ConfigError>) -> Result<Self, ConfigError> {
        match problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(self),
        }
    }

    /// Loads the policies of all profiles.
    pub fn profiles(&self) -> Result<Profiles, ConfigError> {
        self.profiles
            .iter()
            .map(|(name, profile)| {
                let policy =
                    Policy::load(&profile.policy).map_err(|source| ConfigError::Policy {
                        profile: name.clone(),
                        source: Box::new(source),
                    })?;
                let profile = Profile {
                    owner: profile.owner.clone(),
                    users: profile.users.clone(),
                    policy,
                    max_requests: profile.max_requests,
                    permits: profile
                        .permit
                        .iter()
                        .fold(Permits::NONE, |permits, permitted| {
                            permits.with(permitted.0)
                        }),
                };
                Ok((name.clone(), profile))
            })
            .collect()
    }
}

impl ProfileConfig {
    fn problem(&self, name: &str) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return Some(format!(
                "a profile's name has 1 to {MAX_NAME} of a-z, 0-9 and \"-\""
            ));
        }
        if self.owner.is_empty() || self.owner.len() > MAX_NAME {
            return Some(format!(
                "`owner` must name an account at the approver, 1 to {MAX_NAME} bytes long"
            ));
        }
        if self.users.is_empty() {
            return Some(
                "`users` is empty, so nobody could start a session; name the local users who may"
                    .to_owned(),
            );
        }
        if self.max_requests == 0 {
            return Some(
                "`max_requests` is 0, so nobody would ever be asked; use a policy that denies \
                 instead"
                    .to_owned(),
            );
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../packaging/holdpointd.toml");

    #[test]
    fn the_sample_says_every_default_and_its_example_is_valid() {
        let sample = parse(SAMPLE).unwrap();
        let default = parse("").unwrap();
        assert_eq!(
            (
                sample.state_dir,
                sample.control_socket,
                sample.log,
                sample.events,
                sample.metrics
            ),
            (
                default.state_dir,
                default.control_socket,
                default.log,
                default.events,
                default.metrics
            )
        );
        let (_, example) = SAMPLE.split_once("# [profiles").unwrap();
        let example: String = format!("# [profiles{example}")
            .lines()
            .map(|line| {
                format!(
                    "{}\n",
                    line.trim_start_matches("# ").trim_start_matches("# ")
                )
            })
            .filter(|line| line.contains('=') || line.starts_with('['))
            .collect();
        assert_eq!(parse(&example).unwrap().profiles["coding"].users, ["agent"]);
    }

    #[test]
    fn the_sample_policy_loads() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/policies/demo.toml");
        Policy::load(&path).unwrap();
    }

    #[test]
    fn the_policies_in_the_readme_load() {
        let readme = include_str!("../../README.md");
        let blocks: Vec<&str> = readme
            .split("```toml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next())
            .collect();
        assert!(!blocks.is_empty());
        for block in blocks {
            Policy::parse(block, Path::new("README.md")).unwrap();
        }
    }

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("holdpointd.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = parse("").unwrap();
        assert_eq!(config.state_dir, Path::new("/var/lib/holdpointd"));
        assert_eq!(config.control_socket, Path::new(DEFAULT_SOCKET));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = parse("stat_dir = \"/x\"").unwrap_err();
        assert!(
            error.contains("holdpointd.toml") && error.contains("stat_dir"),
            "{error}"
        );
        let error = parse("[log]\nformat = \"xml\"").unwrap_err();
        assert!(error.contains("xml") && error.contains("json"), "{error}");
        let error =
            parse("[profiles.a]\nowner='o'\nusers=['u']\npolicy='p'\nquorum=2").unwrap_err();
        assert!(error.contains("quorum"), "{error}");
    }

    #[test]
    fn metrics_are_off_and_never_for_the_network() {
        let default = parse("").unwrap().metrics;
        assert!(!default.enabled && default.listen.ip().is_loopback());
        for good in ["127.0.0.1:7446", "127.3.2.1:1", "[::1]:7446"] {
            let text = format!("[metrics]\nenabled = true\nlisten = {good:?}");
            assert!(parse(&text).unwrap().metrics.enabled, "{good}");
        }
        // Also while they are off: nobody should learn of it when they are needed.
        for wide in ["0.0.0.0:7446", "192.0.2.1:7446", "[::]:7446"] {
            let error = parse(&format!("[metrics]\nlisten = {wide:?}")).unwrap_err();
            for part in [
                "holdpointd.toml",
                "[metrics]",
                "`listen`",
                wide,
                "\"127.0.0.1:7446\"",
            ] {
                assert!(error.contains(part), "{error:?} lacks {part:?}");
            }
        }
        let error = parse("[metrics]\nlisten = \"127.0.0.1:0\"").unwrap_err();
        assert!(error.contains("port 0"), "{error}");
        let error = parse("[metrics]\nlisten = \"localhost:7446\"").unwrap_err();
        assert!(error.contains("line 2"), "{error}");
        let error = parse("[metrics]\nenable = true").unwrap_err();
        assert!(
            error.contains("enable") && error.contains("enabled"),
            "{error}"
        );
    }

    #[test]
    fn a_profile_nobody_could_use_is_an_error() {
        for (text, part) in [
            ("[profiles.a]\nowner=''\nusers=['u']\npolicy='p'", "owner"),
            ("[profiles.a]\nowner='o'\nusers=[]\npolicy='p'", "users"),
            (
                "[profiles.'A b']\nowner='o'\nusers=['u']\npolicy='p'",
                "name",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_missing_policy_names_its_profile() {
        let config =
            parse("[profiles.a]\nowner='o'\nusers=['u']\npolicy='/no/such/policy.toml'").unwrap();
        let error = config.profiles().unwrap_err().to_string();
        assert!(
            error.contains("\"a\"") && error.contains("/no/such/policy.toml"),
            "{error}"
        );
    }
}
