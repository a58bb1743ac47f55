//! From words to terms.

use std::net::IpAddr;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    Key, Pattern, Ports, Query, QueryError, Subnet, Term, Value,
    lex::{Piece, Word, words},
    value::Part,
};

/// Longest query, in bytes.
const QUERY_MAX: usize = 4096;
/// Most terms, and most values of one: a plan grows with both.
const TERMS_MAX: usize = 64;

/// Reads a whole query.
pub(super) fn query(text: &str, now: i64) -> Result<Query, QueryError> {
    if text.len() > QUERY_MAX {
        return Err(QueryError {
            column: 1,
            problem: format!(
                "the query has {} bytes; the most is {QUERY_MAX}",
                text.len()
            ),
        });
    }
    let mut terms = Vec::new();
    for word in words(text)? {
        let column = word.values.first().map_or(1, |value| value.column);
        if terms.len() == TERMS_MAX || word.values.len() > TERMS_MAX {
            return Err(QueryError {
                column,
                problem: format!("too many; a query takes {TERMS_MAX} terms of {TERMS_MAX} values"),
            });
        }
        terms.push(term(&word, now)?);
    }
    Ok(Query { terms })
}

fn term(word: &Word, now: i64) -> Result<Term, QueryError> {
    let key = match &word.key {
        None => Key::Text,
        Some(piece) => Key::named(&piece.text()).ok_or_else(|| unknown_key(piece))?,
    };
    let mut values = Vec::with_capacity(word.values.len());
    for piece in &word.values {
        let value = value(key, piece, now).map_err(|problem| QueryError {
            column: piece.column,
            problem,
        })?;
        values.push(value);
    }
    Ok(Term {
        negated: word.negated,
        key,
        values,
    })
}

fn unknown_key(piece: &Piece) -> QueryError {
    let names: Vec<&str> = Key::ALL.iter().map(|(name, _)| *name).collect();
    QueryError {
        column: piece.column,
        problem: format!(
            "there is no key {:?}; the keys are {}; to search for text with a colon, quote it",
            piece.text(),
            names.join(", ")
        ),
    }
}

fn value(key: Key, piece: &Piece, now: i64) -> Result<Value, String> {
    let text = piece.text();
    match key {
        Key::Text => Ok(Value::Anywhere(text)),
        Key::Since | Key::Until => time(&text, now).map(Value::Time),
        Key::Dest => subnet(&text).map(Value::Subnet),
        Key::Port => ports(&text).map(Value::Ports),
        Key::Pid | Key::Uid | Key::Class => number(&text).map(Value::Number),
        Key::Severity => severity(&text).map(Value::Number),
        _ => Ok(Value::Pattern(pattern(piece))),
    }
}

fn pattern(piece: &Piece) -> Pattern {
    let mut parts = Vec::new();
    for &(character, quoted) in &piece.characters {
        match (character, quoted) {
            ('*', false) => {
                if parts.last() != Some(&Part::Any) {
                    parts.push(Part::Any);
                }
            }
            ('?', false) => parts.push(Part::One),
            (character, _) => match parts.last_mut() {
                Some(Part::Literal(text)) => text.push(character),
                _ => parts.push(Part::Literal(character.into())),
            },
        }
    }
    Pattern { parts }
}

fn number(text: &str) -> Result<i64, String> {
    text.parse::<u32>()
        .map(i64::from)
        .map_err(|_| format!("{text:?} is no number"))
}

fn severity(text: &str) -> Result<i64, String> {
    match text {
        "informational" => Ok(1),
        "low" => Ok(2),
        "medium" => Ok(3),
        "high" => Ok(4),
        "critical" => Ok(5),
        _ => Err(format!(
            "{text:?} is no severity; they are informational, low, medium, high, critical"
        )),
    }
}

fn subnet(text: &str) -> Result<Subnet, String> {
    let bad = || format!("{text:?} is neither an address nor a network like 10.0.0.0/8");
    let (address, bits) = match text.split_once('/') {
        None => (text, None),
        Some((address, bits)) => (address, Some(bits)),
    };
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let bits = match bits {
        Some(bits) => bits.parse().map_err(|_| bad())?,
        None if address.is_ipv4() => 32,
        None => 128,
    };
    Subnet::new(address, bits).ok_or_else(bad)
}

fn ports(text: &str) -> Result<Ports, String> {
    let bad = || format!("{text:?} is neither a port nor a range like 8000-8999");
    let port = |text: &str| text.parse::<u16>().map_err(|_| bad());
    let (first, last) = match text.split_once('-') {
        None => (port(text)?, port(text)?),
        Some((first, last)) => (port(first)?, port(last)?),
    };
    if first > last {
        return Err(bad());
    }
    Ok(Ports { first, last })
}

/// `24h`, `2026-01-31`, `2026-01-31T12:00:00Z`.
fn time(text: &str, now: i64) -> Result<i64, String> {
    if let Some(ago) = duration(text) {
        return Ok(now.saturating_sub(ago));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let day = text.parse::<Date>().ok();
    day.filter(|_| text.len() == "2026-01-31".len())
        .and_then(|day| day.to_zoned(TimeZone::UTC).ok())
        .map(|day| day.timestamp().as_millisecond())
        .ok_or_else(|| {
            format!(
                "{text:?} is no time; write 30s, 15m, 24h, 7d or 2w ago, a day like 2026-01-31, or \
                 2026-01-31T12:00:00Z"
            )
        })
}

fn duration(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    Some(i64::from(number) * seconds * 1000)
}
