//! The policy: what a profile's processes may do alone, what needs a person and
//! what is refused.
//!
//! Owns the rules and how an attempt is judged by them. Pure: but for
//! [`Policy::load`], which reads one file, it does no I/O, and it never asks the
//! system anything: whoever calls says what is known about the attempt.
//!
//! ```toml
//! default = "allow"            # allow | deny | hold; required
//! deadline = "5m"              # how long a hold waits; 1s to 24h
//! nat64 = ["2001:db8:64::/96"] # translators of this network beside the usual ones
//!
//! [[rules]]
//! name = "uploads"             # unique; a-z, 0-9 and "-"
//! verdict = "hold"             # allow | deny | hold
//! justification = "sends files out of this host"
//! deadline = "2m"              # only with hold
//! on_deny = "errno"            # errno | kill; with hold or deny
//! risk = "high"                # low | medium | high | critical; only with hold
//! grants = ["session"]         # process, session; only with hold; none unless said
//! max_ttl = "10m"              # longest life of a grant; 1h unless said, 1s to 24h
//! exec = { exe = ["/usr/bin/curl"], argv = [["-T", "--upload-file"]] }
//! match = [["/usr/bin/curl", "-T", "notes.txt"]]
//! not_match = [["/usr/bin/curl", "--version"]]
//!
//! [[rules]]
//! name = "metadata-service"
//! verdict = "deny"
//! connect = { cidr = ["169.254.169.254/32"], port = [80, "8000-8999"], protocol = ["tcp"] }
//! match = ["tcp 169.254.169.254 80"]
//!
//! [[rules]]
//! name = "containers"
//! verdict = "hold"
//! unix = { path = ["/run/docker.sock", "/run/containerd/**"] }
//! match = ["/run/docker.sock"]
//! ```
//!
//! - **The strictest matching rule wins**: deny, then hold, then allow. Order
//!   carries no meaning. Among equally strict rules `kill` beats `errno` and the
//!   shorter deadline beats the longer; where several hold, the highest risk is
//!   shown and only what all of them give can be granted. If no rule matches, the default holds; a
//!   matching rule overrides the default even where the default is stricter.
//! - **`exe`** is a glob over the absolute path of the program: `*` and `?` stop
//!   at `/`, `**` does not, a backslash escapes. For a connect it is the program
//!   that connects.
//! - **`argv`** is compared, as a prefix, with the arguments *after* `argv[0]`:
//!   the caller chooses `argv[0]` freely, so it says nothing. Each element is a
//!   text or a list of alternatives, compared byte for byte. `argv = ["push"]`
//!   does not see the `push` in `git -C dir push`; hold the program whole where
//!   that matters.
//! - **`protocol`** is a name or an IP protocol number. The name `tcp` covers
//!   MPTCP, which is TCP to the peer; the number 6 does not.
//! - **Addresses** are compared as the kernel will use them: IPv4-mapped IPv6 as
//!   IPv4, and the unspecified address as loopback.
//!   An IPv6 address that NAT64 or 6to4 turns into an IPv4 one is that one as well
//!   for rules that hold or deny; an allow rule has to name it as it is.
//! - **`unix`** is about sockets of this host's processes: `path` is what the socket
//!   that answers is bound to, whatever name led to it; a name of the abstract kind
//!   begins with `@`. What the session listens on itself is nobody's question. Where
//!   no rule matches, a few services that every program asks are allowed
//!   (`journald`, `syslog`, `nscd`, `sssd`, user lookups); else the default holds.
//! - **`listener`** is a glob over the program that answers, in `unix` and, for
//!   destinations on this host, in `connect`.
//! - **A path proves nothing** where it does not lead to the same file on the
//!   host (container, private mount namespace): an allow rule with `exe` does
//!   not match there, and one with `path` or `listener` only where that leads to the
//!   very socket or program on the host. Deny and hold rules match by that path as everywhere, and
//!   the default is the default: where containers must not run free, make it
//!   `hold` or `deny`.

mod addresses;
mod document;
mod error;
mod example;
mod matcher;
mod ordinary;
mod parse;
mod settled;
mod terms;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, net::IpAddr, path::Path, time::Duration};

use ipnet::Ipv6Net;

use self::matcher::{Matcher, Reach};
pub use self::{
    error::PolicyError,
    terms::{Risk, Scope, Terms},
};

/// What the policy says about an attempt. Ordered by strictness.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verdict {
    /// It goes on.
    Allow,
    /// A person decides.
    Hold,
    /// It is refused.
    Deny,
}

/// How a refused operation ends. Ordered by strictness.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum OnDeny {
    /// The system call fails with `EPERM`.
    Errno,
    /// The process is killed.
    Kill,
}

/// What a task tries to do, as far as the policy looks at it.
#[derive(Clone, Copy, Debug)]
pub enum Attempt<'a> {
    /// Run a program.
    Exec {
        /// Absolute path of the file.
        exe: &'a [u8],
        /// True if the file at `exe` on the host is this very file.
        exe_is_hosts: bool,
        /// True if no other path of the host leads to this file: it has one
        /// hard link. Only widens what [`Judgement::settled`] may promise.
        single_link: bool,
        /// All arguments, `argv[0]` included.
        argv: &'a [Vec<u8>],
    },
    /// Connect a socket to an internet address.
    Connect {
        /// Destination, as the caller gave it.
        address: IpAddr,
        /// Destination port.
        port: u16,
        /// IP protocol number of the socket.
        protocol: u32,
        /// Absolute path of the program that connects.
        exe: &'a [u8],
        /// True if the file at `exe` on the host is this very file.
        exe_is_hosts: bool,
        /// The program that listens there, if that is on this host and known.
        listener: Option<Listener<'a>>,
    },
    /// Connect or send to a local socket.
    Unix {
        /// What the socket is bound to: a path, or with a NUL before it a name of the
        /// abstract kind.
        name: &'a [u8],
        /// True if `name` is a path that leads to this socket on the host.
        name_is_hosts: bool,
        /// Absolute path of the program that connects.
        exe: &'a [u8],
        /// True if the file at `exe` on the host is this very file.
        exe_is_hosts: bool,
        /// The program that listens there, if it is known.
        listener: Option<Listener<'a>>,
    },
}

/// The program that answers a connection.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// Its absolute path.
    pub exe: &'a [u8],
    /// True if the file at `exe` on the host is this very file.
    pub exe_is_hosts: bool,
}

/// What a matcher reads that may prove nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Reads {
    exe: bool,
    name: bool,
    listener: bool,
}

impl Attempt<'_> {
    /// Whether everything that a matcher `reads` is what it seems to be.
    fn proves(&self, reads: Reads) -> bool {
        let known = |listener: &Option<Listener<'_>>| listener.is_some_and(|one| one.exe_is_hosts);
        match self {
            Self::Exec { exe_is_hosts, .. } => *exe_is_hosts || !reads.exe,
            Self::Connect {
                exe_is_hosts,
                listener,
                ..
            } => (*exe_is_hosts || !reads.exe) && (known(listener) || !reads.listener),
            Self::Unix {
                name,
                name_is_hosts,
                exe_is_hosts,
                listener,
                ..
            } => {
                // Anybody may take an abstract name: then the listener must prove it.
                let named = *name_is_hosts || (name.starts_with(b"\0") && reads.listener);
                (*exe_is_hosts || !reads.exe)
                    && (named || !reads.name)
                    && (known(listener) || !reads.listener)
            }
        }
    }
}

/// The rules of one profile.
#[derive(Clone, Debug)]
pub struct Policy {
    default: Verdict,
    deadline: Duration,
    translators: Vec<Ipv6Net>,
    rules: Vec<Rule>,
    sha256: [u8; 32],
}

/// One rule of a policy.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique in its policy.
    pub name: String,
    /// What it says about the attempts it matches.
    pub verdict: Verdict,
    /// Shown to the reviewer; empty if the policy gives none.
    pub justification: String,
    /// How long a hold waits: its own deadline or the policy's.
    pub deadline: Duration,
    /// How a refusal ends.
    pub on_deny: OnDeny,
    /// On what terms a person is asked; nothing but in a hold.
    pub terms: Terms,
    /// How many examples of its own it was checked with.
    pub examples: usize,
    matcher: Matcher,
}

/// What the policy says about one attempt, and why.
#[derive(Clone, Debug)]
pub struct Judgement<'a> {
    /// What is to happen.
    pub verdict: Verdict,
    /// The rule that said so, none if it was the default. Among rules of the
    /// same effect it is the first in the file.
    pub rule: Option<&'a Rule>,
    /// How long a hold waits for a person.
    pub deadline: Duration,
    /// How a refusal ends.
    pub on_deny: OnDeny,
    /// On what terms a person is asked: those of all hold rules that match.
    pub terms: Terms,
    /// True if `verdict` and `on_deny` hold for more than this attempt and may
    /// be cached: for an exec, for every `argv` of this file; for a connect, for
    /// every program that connects to this address, port and protocol, whoever
    /// listens there; for a local socket, for every program that connects to it. Never
    /// true for a hold, and never true wrongly; where rules overlap it may be
    /// false although the verdict could not change.
    ///
    /// The promise about a file is one about its path on the host, so it is
    /// given only where [`Attempt::Exec`] says `exe_is_hosts` and `single_link`,
    /// or where no rule with an `exe` could change the verdict. A cache keyed by
    /// the file's identity must include its change time (a new link or a rename
    /// changes it) and must be emptied when the policy or the mounts of the
    /// host change.
    pub settled: bool,
}

impl Policy {
    /// Reads the policy file at `path`.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let bytes = document::read(path)?;
        let text = document::utf8(path, &bytes)?;
        Self::parse(text, path)
    }

    /// Reads a policy from `text`. Errors name `origin` as the file.
    pub fn parse(text: &str, origin: &Path) -> Result<Self, PolicyError> {
        parse::policy(text).map_err(|fault| fault.into_error(text, origin))
    }

    /// What this policy says about `attempt`.
    pub fn judge(&self, attempt: &Attempt<'_>) -> Judgement<'_> {
        let rule = self
            .rules
            .iter()
            .filter(|rule| self.applies(rule, attempt))
            .reduce(|best, rule| {
                // Not `max_by_key`: among equals that returns the last.
                if rule.strictness() > best.strictness() {
                    rule
                } else {
                    best
                }
            });
        let (verdict, on_deny) = rule.map_or(self.fallback(attempt), Rule::effect);
        Judgement {
            verdict,
            rule,
            deadline: rule.map_or(self.deadline, |rule| rule.deadline),
            on_deny,
            terms: self.terms(verdict, attempt),
            settled: settled::settled(self, attempt),
        }
    }

    /// What is left of the terms of all rules that ask about `attempt`.
    fn terms(&self, verdict: Verdict, attempt: &Attempt<'_>) -> Terms {
        self.rules
            .iter()
            .filter(|rule| verdict == Verdict::Hold && rule.verdict == Verdict::Hold)
            .filter(|rule| self.applies(rule, attempt))
            .map(|rule| rule.terms.clone())
            .reduce(|left, right| left.and(&right))
            .unwrap_or_default()
    }

    /// SHA-256 of the text it was read from.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// The verdict where no rule matches.
    pub fn default_verdict(&self) -> Verdict {
        self.default
    }

    /// All rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether `rule` has a say about `attempt`. An address that a translator on the
    /// network takes for an IPv4 one is that one too for rules that hold or deny.
    fn applies(&self, rule: &Rule, attempt: &Attempt<'_>) -> bool {
        rule.matches(attempt)
            || rule.verdict != Verdict::Allow
                && addresses::translated(attempt, &self.translators)
                    .is_some_and(|inner| rule.matches(&inner))
    }

    /// Which attempts with the same cached part as `attempt` `rule` has a say about.
    fn reach(&self, rule: &Rule, attempt: &Attempt<'_>) -> Reach {
        let inner = (rule.verdict != Verdict::Allow)
            .then(|| addresses::translated(attempt, &self.translators))
            .flatten();
        let reach = rule.matcher.reach(attempt);
        inner.map_or(reach, |inner| reach.max(rule.matcher.reach(&inner)))
    }

    fn fallback(&self, attempt: &Attempt<'_>) -> Effect {
        let verdict = if ordinary::is(attempt) {
            Verdict::Allow
        } else {
            self.default
        };
        (verdict, OnDeny::Errno)
    }
}

/// What the kernel can cache of a judgement. Ordered by strictness.
type Effect = (Verdict, OnDeny);

impl Rule {
    fn matches(&self, attempt: &Attempt<'_>) -> bool {
        let trusts = self.verdict == Verdict::Allow;
        (!trusts || attempt.proves(self.matcher.reads())) && self.matcher.matches(attempt)
    }

    fn effect(&self) -> Effect {
        (self.verdict, self.on_deny)
    }

    fn strictness(&self) -> (Effect, Reverse<Duration>) {
        (self.effect(), Reverse(self.deadline))
    }
}
