//! The query language: `outcome:denied exe:*/curl since:24h -session:00ab`.
//!
//! Pure. A query is a list of terms that all must hold. A term is a key and
//! values of which one must match, separated by commas; a word without a key is
//! searched for in what a person would read. `-` before a term turns it round.
//! Quotes keep blanks, commas and stars: what is quoted is meant literally.

mod error;
mod lex;
mod parse;
mod value;

#[cfg(test)]
mod tests;

pub use error::QueryError;
pub use value::{Key, Pattern, Ports, Subnet, Value};
pub(crate) use value::{escaped, number};

/// What is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query {
    /// All of these hold.
    pub terms: Vec<Term>,
}

/// One condition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Term {
    /// The condition must not hold.
    pub negated: bool,
    /// What is looked at.
    pub key: Key,
    /// One of these matches.
    pub values: Vec<Value>,
}

impl Query {
    /// Reads `text`; `now`, in milliseconds since the epoch, is what `since:24h`
    /// counts from.
    pub fn parse(text: &str, now: i64) -> Result<Self, QueryError> {
        parse::query(text, now)
    }

    /// The earliest time a record that matches can have, if the query says.
    pub fn since(&self) -> Option<i64> {
        self.bound(Key::Since).max()
    }

    /// The time all records that match are before, if the query says.
    pub fn until(&self) -> Option<i64> {
        self.bound(Key::Until).min()
    }

    fn bound(&self, key: Key) -> impl Iterator<Item = i64> {
        self.terms
            .iter()
            .filter(move |term| term.key == key && !term.negated)
            // Of several values any will do: the widest bound is the term's.
            .filter_map(move |term| {
                let times = term.values.iter().filter_map(|value| match value {
                    Value::Time(time) => Some(*time),
                    _ => None,
                });
                match key {
                    Key::Until => times.max(),
                    _ => times.min(),
                }
            })
    }
}
