//! From TOML to rules. Strict: what isn't understood is an error, and so is what
//! could never match, because a rule that silently matches nothing is a hole.

mod matchers;
mod terms;
mod values;

pub(super) use self::values::protocol_named;

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{
    OnDeny, Policy, Rule, Verdict,
    document::{self, Table, Value},
    error::{Fault, line_of},
    example,
    matcher::Matcher,
};

const POLICY_KEYS: &[&str] = &["default", "deadline", "nat64", "rules"];

const RULE_KEYS: &[&str] = &[
    "name",
    "verdict",
    "justification",
    "deadline",
    "on_deny",
    "risk",
    "grants",
    "max_ttl",
    "exec",
    "connect",
    "unix",
    "match",
    "not_match",
];

/// How long a hold waits unless the policy says otherwise.
const DEFAULT_DEADLINE: Duration = Duration::from_mins(5);

pub(super) fn policy(text: &str) -> Result<Policy, Fault> {
    let mut table = Table::parse(text)?;
    let default = table.take("default");
    let deadline = table.take("deadline");
    let translators = table.take("nat64");
    let rules = table.take("rules");
    table.finish(POLICY_KEYS)?;
    let default = default.ok_or_else(|| {
        Fault::new(
            0,
            "there is no default",
            "begin the file with default = \"allow\", \"hold\" or \"deny\": \
             what happens where no rule matches",
        )
    })?;
    let default = values::verdict(default, "default")?;
    let deadline = deadline.map_or(Ok(DEFAULT_DEADLINE), deadline_of)?;
    let rules = rules.map_or(Ok(Vec::new()), |value| all_rules(text, value, deadline))?;
    Ok(Policy {
        default,
        deadline,
        translators: translators.map_or(Ok(Vec::new()), matchers::translators)?,
        rules,
        sha256: Sha256::digest(text).into(),
    })
}

fn deadline_of(value: Value<'_>) -> Result<Duration, Fault> {
    values::duration(value, "deadline")
}

fn all_rules(text: &str, value: Value<'_>, deadline: Duration) -> Result<Vec<Rule>, Fault> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut places = Vec::new();
    for (index, value) in document::list(value, "rules")?.into_iter().enumerate() {
        let at = value.span().start;
        let label = label(&value, index);
        let rule = rule(value, deadline).map_err(|fault| fault.in_rule(&label))?;
        if let Some(first) = rules.iter().position(|other| other.name == rule.name) {
            let line = places.get(first).map_or(1, |at| line_of(text, *at));
            return Err(Fault::new(
                at,
                format!("the rule at line {line} has the same name"),
                "give each rule a name of its own",
            )
            .in_rule(&label));
        }
        rules.push(rule);
        places.push(at);
    }
    Ok(rules)
}

/// What errors call a rule, also before its name is known to be good.
fn label(rule: &Value<'_>, index: usize) -> String {
    rule.get_ref()
        .as_table()
        .and_then(|table| table.get("name"))
        .and_then(|name| name.get_ref().as_str())
        .map_or_else(
            || format!("number {}", index + 1),
            |name| format!("{name:?}"),
        )
}

fn rule(value: Value<'_>, default_deadline: Duration) -> Result<Rule, Fault> {
    let mut table = Table::from_value(value, "a rule")?;
    let at = table.at;
    let missing = |what: &str, mend: &str| Fault::new(at, format!("there is no {what}"), mend);
    let name = table
        .take_text("name")?
        .ok_or_else(|| missing("name", "add name = \"...\""))?;
    let verdict = table
        .take("verdict")
        .ok_or_else(|| missing("verdict", "add verdict = \"allow\", \"hold\" or \"deny\""))?;
    let verdict = values::verdict(verdict, "verdict")?;
    let justification = table.take_text("justification")?;
    let deadline = table.take("deadline");
    let on_deny = table.take("on_deny");
    let terms = terms::Raw::take(&mut table);
    let matcher = take_matcher(&mut table)?;
    let matching = table.take_list("match")?.unwrap_or_default();
    let not_matching = table.take_list("not_match")?.unwrap_or_default();
    table.finish(RULE_KEYS)?;

    values::check_name(&name)?;
    if let Some(value) = &deadline
        && verdict != Verdict::Hold
    {
        return Err(Fault::new(
            value.span().start,
            "only a hold has a deadline",
            "remove deadline, or write verdict = \"hold\"",
        ));
    }
    if let Some(value) = &on_deny
        && verdict == Verdict::Allow
    {
        return Err(Fault::new(
            value.span().start,
            "an allow rule never denies",
            "remove on_deny",
        ));
    }
    let mut rule = Rule {
        name: name.value,
        verdict,
        justification: justification.map_or(Ok(String::new()), values::justification)?,
        deadline: deadline.map_or(Ok(default_deadline), deadline_of)?,
        on_deny: on_deny.map_or(Ok(OnDeny::Errno), values::on_deny)?,
        terms: terms.read(verdict)?,
        examples: 0,
        matcher,
    };
    rule.examples = example::check(&rule.matcher, matching, true)?
        + example::check(&rule.matcher, not_matching, false)?;
    Ok(rule)
}

fn take_matcher(table: &mut Table<'_>) -> Result<Matcher, Fault> {
    let found = [
        ("exec", table.take("exec")),
        ("connect", table.take("connect")),
        ("unix", table.take("unix")),
    ];
    let mut found = found
        .into_iter()
        .filter_map(|(kind, value)| Some((kind, value?)));
    let Some((kind, value)) = found.next() else {
        return Err(Fault::new(
            table.at,
            "it says none of exec, connect and unix",
            "add exec = { ... }, connect = { ... } or unix = { ... }",
        ));
    };
    if let Some((other, value)) = found.next() {
        return Err(Fault::new(
            value.span().start,
            format!("it says both {kind} and {other}"),
            "split it into two rules",
        ));
    }
    match kind {
        "exec" => matchers::exec(value).map(Matcher::Exec),
        "connect" => matchers::connect(value).map(Matcher::Connect),
        _ => matchers::unix(value).map(Matcher::Unix),
    }
}
