//! The small values of a policy: verdicts, durations, names, ports, protocols.

use std::time::Duration;

use super::super::{
    OnDeny, Verdict,
    document::{Text, Value, integer, text, wrong_type},
    error::Fault,
    matcher::PortRange,
};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(24);
const LONGEST_NAME: usize = 64;
const LONGEST_JUSTIFICATION: usize = 1024;

/// Names of IP protocols and the numbers they cover.
const PROTOCOLS: &[(&str, &[u32])] = &[
    ("icmp", &[1]),
    // An MPTCP socket speaks TCP to a peer that knows no MPTCP: a rule about TCP
    // that does not see it could be walked around with one socket option.
    ("tcp", &[6, 262]),
    ("udp", &[17]),
    ("dccp", &[33]),
    ("icmpv6", &[58]),
    ("sctp", &[132]),
    ("udplite", &[136]),
    ("raw", &[255]),
    ("mptcp", &[262]),
];

/// Largest protocol number a socket can have (`IPPROTO_MAX` - 1).
const LARGEST_PROTOCOL: u32 = 262;

pub(super) fn verdict(value: Value<'_>, what: &str) -> Result<Verdict, Fault> {
    let text = text(value, what)?;
    match text.value.as_str() {
        "allow" => Ok(Verdict::Allow),
        "hold" => Ok(Verdict::Hold),
        "deny" => Ok(Verdict::Deny),
        other => Err(Fault::new(
            text.at,
            format!("{other:?} is no verdict"),
            "write \"allow\", \"hold\" or \"deny\"",
        )),
    }
}

pub(super) fn on_deny(value: Value<'_>) -> Result<OnDeny, Fault> {
    let text = text(value, "on_deny")?;
    match text.value.as_str() {
        "errno" => Ok(OnDeny::Errno),
        "kill" => Ok(OnDeny::Kill),
        other => Err(Fault::new(
            text.at,
            format!("on_deny can't be {other:?}"),
            "write \"errno\" to fail the call with EPERM, or \"kill\" to end the process",
        )),
    }
}

/// A duration as digits and a unit: `90s`, `5m`, `2h`.
pub(super) fn duration(value: Value<'_>, what: &str) -> Result<Duration, Fault> {
    let text = text(value, what)?;
    let mend = "write a whole number and s, m or h, from \"1s\" to \"24h\"";
    let wrong = |problem: String| Fault::new(text.at, problem, mend);
    let parsed = text.value.strip_suffix(['s', 'm', 'h']).and_then(|digits| {
        let unit: u64 = match text.value.as_bytes().last()? {
            b's' => 1,
            b'm' => 60,
            _ => 3600,
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // Digits that don't fit are too long a time, not a bad one.
        plain.then(|| digits.parse().unwrap_or(u64::MAX).saturating_mul(unit))
    });
    let duration = parsed
        .map(Duration::from_secs)
        .ok_or_else(|| wrong(format!("{:?} is no duration", text.value)))?;
    if (SHORTEST..=LONGEST).contains(&duration) {
        Ok(duration)
    } else {
        Err(wrong(format!("a {what} can't be {:?}", text.value)))
    }
}

pub(super) fn check_name(name: &Text) -> Result<(), Fault> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let length = name.value.len();
    if (1..=LONGEST_NAME).contains(&length) && name.value.bytes().all(good) {
        return Ok(());
    }
    Err(Fault::new(
        name.at,
        format!("{:?} is no name for a rule", name.value),
        format!("use 1 to {LONGEST_NAME} of a-z, 0-9 and \"-\""),
    ))
}

pub(super) fn justification(text: Text) -> Result<String, Fault> {
    let length = text.value.chars().count();
    let shown = |c: char| !c.is_control() || c == '\n';
    if (1..=LONGEST_JUSTIFICATION).contains(&length) && text.value.chars().all(shown) {
        return Ok(text.value);
    }
    Err(Fault::new(
        text.at,
        "the justification is empty, too long, or has control characters",
        format!("write 1 to {LONGEST_JUSTIFICATION} characters for the reviewer, or remove it"),
    ))
}

/// A port: a number, or a range as a text.
pub(super) fn port(value: Value<'_>) -> Result<PortRange, Fault> {
    let at = value.span().start;
    let mend = "write a number such as 443, or a range such as \"8000-8999\"";
    if value.get_ref().is_integer() {
        return integer(value.get_ref())
            .and_then(|number| u16::try_from(number).ok())
            .map(|port| PortRange {
                first: port,
                last: port,
            })
            .ok_or_else(|| Fault::new(at, "a port is from 0 to 65535", mend));
    }
    if !value.get_ref().is_str() {
        return Err(wrong_type(
            at,
            "a port",
            "a number or a range in quotes",
            value.get_ref(),
        ));
    }
    let text = text(value, "port")?.value;
    let number = |digits: &str| -> Option<u16> {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    text.split_once('-')
        .and_then(|(first, last)| {
            Some(PortRange {
                first: number(first)?,
                last: number(last)?,
            })
        })
        .filter(|range| range.first <= range.last)
        .ok_or_else(|| Fault::new(at, format!("{text:?} is no range of ports"), mend))
}

/// The numbers a protocol covers.
pub(super) fn protocol(value: Value<'_>) -> Result<Vec<u32>, Fault> {
    let at = value.span().start;
    if value.get_ref().is_integer() {
        return integer(value.get_ref())
            .filter(|number| *number <= LARGEST_PROTOCOL)
            .map(|number| vec![number])
            .ok_or_else(|| {
                Fault::new(
                    at,
                    format!("an IP protocol is from 0 to {LARGEST_PROTOCOL}"),
                    "write its name or its number",
                )
            });
    }
    if !value.get_ref().is_str() {
        return Err(wrong_type(
            at,
            "a protocol",
            "a name or a number",
            value.get_ref(),
        ));
    }
    let name = text(value, "protocol")?.value;
    protocol_named(&name).map_or_else(
        || {
            let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
            Err(Fault::new(
                at,
                format!("unknown protocol {name:?}"),
                format!("use {} or an IP protocol number", names.join(", ")),
            ))
        },
        |numbers| Ok(numbers.to_vec()),
    )
}

/// The numbers the protocol `name` covers, the one it stands for first.
pub(in crate::policy) fn protocol_named(name: &str) -> Option<&'static [u32]> {
    PROTOCOLS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, numbers)| *numbers)
}
