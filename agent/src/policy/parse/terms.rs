//! `risk`, `grants` and `max_ttl` of a rule.

use std::{collections::BTreeSet, time::Duration};

use super::{
    super::{
        Verdict,
        document::{Table, Value, list, text},
        error::Fault,
        terms::{Risk, Scope, Terms},
    },
    values,
};

/// How long a grant lives at most unless its rule says otherwise.
const DEFAULT_MAX_TTL: Duration = Duration::from_hours(1);

/// The keys as they stand in the file, not looked into yet.
pub(super) struct Raw<'t> {
    risk: Option<Value<'t>>,
    grants: Option<Value<'t>>,
    max_ttl: Option<Value<'t>>,
}

impl<'t> Raw<'t> {
    pub(super) fn take(table: &mut Table<'t>) -> Self {
        Self {
            risk: table.take("risk"),
            grants: table.take("grants"),
            max_ttl: table.take("max_ttl"),
        }
    }

    pub(super) fn read(self, verdict: Verdict) -> Result<Terms, Fault> {
        if verdict != Verdict::Hold {
            for (key, value) in [
                ("risk", &self.risk),
                ("grants", &self.grants),
                ("max_ttl", &self.max_ttl),
            ] {
                if let Some(value) = value {
                    return Err(Fault::new(
                        value.span().start,
                        format!("only a hold has {key}: nobody is asked otherwise"),
                        format!("remove {key}, or write verdict = \"hold\""),
                    ));
                }
            }
        }
        let grants = self.grants.map_or(Ok(BTreeSet::new()), scopes)?;
        let max_ttl = match (self.max_ttl, grants.is_empty()) {
            (None, true) => Duration::ZERO,
            (None, false) => DEFAULT_MAX_TTL,
            (Some(value), true) => {
                return Err(Fault::new(
                    value.span().start,
                    "max_ttl limits nothing: this rule gives no grants",
                    "add grants = [\"session\"], or remove max_ttl",
                ));
            }
            (Some(value), false) => values::duration(value, "max_ttl")?,
        };
        Ok(Terms {
            risk: self.risk.map(risk).transpose()?,
            grants,
            max_ttl,
        })
    }
}

fn risk(value: Value<'_>) -> Result<Risk, Fault> {
    let text = text(value, "risk")?;
    match text.value.as_str() {
        "low" => Ok(Risk::Low),
        "medium" => Ok(Risk::Medium),
        "high" => Ok(Risk::High),
        "critical" => Ok(Risk::Critical),
        other => Err(Fault::new(
            text.at,
            format!("risk can't be {other:?}"),
            "write \"low\", \"medium\", \"high\" or \"critical\"",
        )),
    }
}

fn scopes(value: Value<'_>) -> Result<BTreeSet<Scope>, Fault> {
    const MEND: &str = "list \"process\", \"session\" or both; every approval is good for the \
                        operation that was held, whatever stands here";
    let mut scopes = BTreeSet::new();
    // Nothing, in so many words.
    if value
        .get_ref()
        .as_array()
        .is_some_and(|list| list.is_empty())
    {
        return Ok(scopes);
    }
    for value in list(value, "grants")? {
        let text = text(value, "a grant")?;
        let scope = match text.value.as_str() {
            "process" => Scope::Process,
            "session" => Scope::Session,
            other => {
                return Err(Fault::new(
                    text.at,
                    format!("an approval can't be given for {other:?}"),
                    MEND,
                ));
            }
        };
        if !scopes.insert(scope) {
            return Err(Fault::new(
                text.at,
                format!("{:?} stands there twice", text.value),
                "remove one of them",
            ));
        }
    }
    Ok(scopes)
}
