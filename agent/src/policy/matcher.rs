//! What a rule compares an attempt with.
//!
//! Owns the matching of paths, arguments and destinations. Must never treat text
//! of a process as anything but bytes, and never read a verdict: which rule wins
//! is not decided here.

use std::net::IpAddr;

use globset::{Candidate, GlobSet};
use ipnet::IpNet;

use super::{Attempt, Listener, Reads, addresses::canonical};

/// The `exec`, `connect` or `unix` table of a rule. In each, an absent matcher matches
/// everything.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Exec(ExecMatcher),
    Connect(ConnectMatcher),
    Unix(UnixMatcher),
}

#[derive(Clone, Debug)]
pub(super) struct ExecMatcher {
    pub(super) exe: Option<GlobSet>,
    /// Alternatives for `argv[1]`, `argv[2]`, ...
    pub(super) argv: Option<Vec<Vec<String>>>,
}

#[derive(Clone, Debug)]
pub(super) struct ConnectMatcher {
    pub(super) cidr: Option<Vec<IpNet>>,
    pub(super) port: Option<Vec<PortRange>>,
    pub(super) protocol: Option<Vec<u32>>,
    pub(super) exe: Option<GlobSet>,
    pub(super) listener: Option<GlobSet>,
}

#[derive(Clone, Debug)]
pub(super) struct UnixMatcher {
    /// Over the path, or `@` and the abstract name.
    pub(super) path: Option<GlobSet>,
    pub(super) exe: Option<GlobSet>,
    pub(super) listener: Option<GlobSet>,
}

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortRange {
    pub(super) first: u16,
    pub(super) last: u16,
}

/// Which attempts with the same cached part a rule matches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Reach {
    Never,
    Sometimes,
    Always,
}

impl Matcher {
    /// What it looks at.
    pub(super) fn reads(&self) -> Reads {
        match self {
            Self::Exec(matcher) => Reads {
                exe: matcher.exe.is_some(),
                ..Reads::default()
            },
            Self::Connect(matcher) => Reads {
                exe: matcher.exe.is_some(),
                listener: matcher.listener.is_some(),
                ..Reads::default()
            },
            Self::Unix(matcher) => Reads {
                exe: matcher.exe.is_some(),
                name: matcher.path.is_some(),
                listener: matcher.listener.is_some(),
            },
        }
    }

    pub(super) fn matches(&self, attempt: &Attempt<'_>) -> bool {
        match (self, attempt) {
            (Self::Exec(matcher), Attempt::Exec { exe, argv, .. }) => {
                glob_matches(matcher.exe.as_ref(), exe) && matcher.argv_matches(argv)
            }
            (
                Self::Connect(matcher),
                Attempt::Connect {
                    address,
                    port,
                    protocol,
                    exe,
                    listener,
                    ..
                },
            ) => {
                matcher.destination_matches(*address, *port, *protocol)
                    && glob_matches(matcher.exe.as_ref(), exe)
                    && listener_matches(matcher.listener.as_ref(), *listener)
            }
            (
                Self::Unix(matcher),
                Attempt::Unix {
                    name,
                    exe,
                    listener,
                    ..
                },
            ) => {
                name_matches(matcher.path.as_ref(), name)
                    && glob_matches(matcher.exe.as_ref(), exe)
                    && listener_matches(matcher.listener.as_ref(), *listener)
            }
            _ => false,
        }
    }

    /// Which attempts it matches that differ from `attempt` only in what the
    /// kernel's cache does not see.
    pub(super) fn reach(&self, attempt: &Attempt<'_>) -> Reach {
        match (self, attempt) {
            (
                Self::Exec(matcher),
                Attempt::Exec {
                    exe,
                    exe_is_hosts,
                    single_link,
                    ..
                },
            ) => {
                let only_path = *exe_is_hosts && *single_link;
                if only_path && !glob_matches(matcher.exe.as_ref(), exe) {
                    Reach::Never
                } else if matcher.argv.is_some() || (matcher.exe.is_some() && !only_path) {
                    Reach::Sometimes
                } else {
                    Reach::Always
                }
            }
            (
                Self::Connect(matcher),
                Attempt::Connect {
                    address,
                    port,
                    protocol,
                    ..
                },
            ) => {
                if !matcher.destination_matches(*address, *port, *protocol) {
                    Reach::Never
                } else if matcher.exe.is_some() || matcher.listener.is_some() {
                    Reach::Sometimes
                } else {
                    Reach::Always
                }
            }
            (Self::Unix(matcher), Attempt::Unix { name, .. }) => {
                if !name_matches(matcher.path.as_ref(), name) {
                    Reach::Never
                } else if matcher.exe.is_some() || matcher.listener.is_some() {
                    Reach::Sometimes
                } else {
                    Reach::Always
                }
            }
            _ => Reach::Never,
        }
    }
}

impl ExecMatcher {
    fn argv_matches(&self, argv: &[Vec<u8>]) -> bool {
        let Some(pattern) = &self.argv else {
            return true;
        };
        let arguments = argv.get(1..).unwrap_or_default();
        arguments.len() >= pattern.len()
            && pattern
                .iter()
                .zip(arguments)
                .all(|(alternatives, argument)| {
                    alternatives
                        .iter()
                        .any(|alternative| alternative.as_bytes() == argument.as_slice())
                })
    }
}

impl ConnectMatcher {
    fn destination_matches(&self, address: IpAddr, port: u16, protocol: u32) -> bool {
        let address = canonical(address);
        any(self.cidr.as_deref(), |network| network.contains(&address))
            && any(self.port.as_deref(), |range| {
                (range.first..=range.last).contains(&port)
            })
            && any(self.protocol.as_deref(), |number| *number == protocol)
    }
}

fn any<T>(list: Option<&[T]>, matches: impl Fn(&T) -> bool) -> bool {
    list.is_none_or(|list| list.iter().any(matches))
}

fn name_matches(globs: Option<&GlobSet>, name: &[u8]) -> bool {
    match name.strip_prefix(b"\0") {
        Some(abstract_name) => glob_matches(globs, &[b"@", abstract_name].concat()),
        // A relative path: no pattern is about one, however it begins.
        None if !name.starts_with(b"/") => globs.is_none(),
        None => glob_matches(globs, name),
    }
}

/// A listener that is not known is none that a rule could mean.
fn listener_matches(globs: Option<&GlobSet>, listener: Option<Listener<'_>>) -> bool {
    globs.is_none() || listener.is_some_and(|listener| glob_matches(globs, listener.exe))
}

fn glob_matches(globs: Option<&GlobSet>, path: &[u8]) -> bool {
    globs.is_none_or(|globs| globs.is_match_candidate(&Candidate::from_bytes(path)))
}
