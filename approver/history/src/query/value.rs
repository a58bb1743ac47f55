//! What a query can look at, and what it can compare that with.

use std::net::{IpAddr, Ipv6Addr};

/// What a term looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// What happened: `exec`, `decision`, `login`, ...
    Kind,
    /// What became of it: `denied`, `approved`, ...
    Outcome,
    /// What an action rests on: `policy`, `decision`, `grant`, ...
    Basis,
    /// Name or id of the host.
    Host,
    /// Id of the session.
    Session,
    /// Profile of the session.
    Profile,
    /// Accountable person of the session.
    Owner,
    /// Rule that asked.
    Rule,
    /// Risk the rule names.
    Risk,
    /// The program: what an exec would run, what makes a connect.
    Exe,
    /// Its command line.
    Cmd,
    /// Working directory.
    Cwd,
    /// SHA-256 of the program.
    Sha256,
    /// Process id.
    Pid,
    /// User id.
    Uid,
    /// Destination address.
    Dest,
    /// Destination port.
    Port,
    /// `tcp`, `udp`, ...
    Protocol,
    /// Person who decided, logged in, changed something.
    Reviewer,
    /// Id of the request.
    Request,
    /// Id of the hold.
    Hold,
    /// Id of the grant.
    Grant,
    /// Digest of the operation.
    Digest,
    /// OCSF severity, at least.
    Severity,
    /// OCSF class.
    Class,
    /// Not before.
    Since,
    /// Before.
    Until,
    /// Anything a person would read, whatever its case.
    Text,
}

impl Key {
    /// All of them, with the word for each.
    pub const ALL: [(&'static str, Self); 28] = [
        ("kind", Self::Kind),
        ("outcome", Self::Outcome),
        ("basis", Self::Basis),
        ("host", Self::Host),
        ("session", Self::Session),
        ("profile", Self::Profile),
        ("owner", Self::Owner),
        ("rule", Self::Rule),
        ("risk", Self::Risk),
        ("exe", Self::Exe),
        ("cmd", Self::Cmd),
        ("cwd", Self::Cwd),
        ("sha256", Self::Sha256),
        ("pid", Self::Pid),
        ("uid", Self::Uid),
        ("dest", Self::Dest),
        ("port", Self::Port),
        ("protocol", Self::Protocol),
        ("reviewer", Self::Reviewer),
        ("request", Self::Request),
        ("hold", Self::Hold),
        ("grant", Self::Grant),
        ("digest", Self::Digest),
        ("severity", Self::Severity),
        ("class", Self::Class),
        ("since", Self::Since),
        ("until", Self::Until),
        ("text", Self::Text),
    ];

    /// The key called `word`.
    pub fn named(word: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(name, _)| *name == word).map(|(_, key)| *key)
    }
}

/// What is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// Text with stars.
    Pattern(Pattern),
    /// Text that stands anywhere, whatever its case.
    Anywhere(String),
    /// A number.
    Number(i64),
    /// Addresses.
    Subnet(Subnet),
    /// Ports.
    Ports(Ports),
    /// Milliseconds since the epoch.
    Time(i64),
}

/// Text in which an unquoted `*` stands for anything and `?` for one character.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    /// In order.
    pub parts: Vec<Part>,
}

/// Part of a pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Part {
    /// Exactly this.
    Literal(String),
    /// Anything, also nothing.
    Any,
    /// One character.
    One,
}

impl Pattern {
    /// The text, if nothing in it is a star.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// As SQL's LIKE writes it, with a backslash before what is literal.
    pub fn like(&self) -> String {
        let mut like = String::new();
        for part in &self.parts {
            match part {
                Part::Any => like.push('%'),
                Part::One => like.push('_'),
                Part::Literal(text) => like.push_str(&escaped(text)),
            }
        }
        like
    }
}

/// `text` as LIKE takes it literally.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// All addresses that begin alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Subnet {
    /// The first, as IPv6.
    pub first: u128,
    /// The last, as IPv6.
    pub last: u128,
}

impl Subnet {
    /// The addresses whose first `bits` bits are those of `address`.
    pub fn new(address: IpAddr, bits: u32) -> Option<Self> {
        let (value, bits) = match address {
            IpAddr::V4(four) if bits <= 32 => (number(IpAddr::V4(four)), bits + 96),
            IpAddr::V6(six) if bits <= 128 => (number(IpAddr::V6(six)), bits),
            _ => return None,
        };
        let mask = u128::MAX.checked_shr(bits).unwrap_or(0);
        Some(Self {
            first: value & !mask,
            last: value | mask,
        })
    }
}

/// An address as a number; IPv4 as its mapping into IPv6.
pub(crate) fn number(address: IpAddr) -> u128 {
    let six: Ipv6Addr = match address {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    };
    six.into()
}

/// One port, or all from one to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}
