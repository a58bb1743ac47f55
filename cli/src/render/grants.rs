//! Grants and flags, as text and as JSON.

use holdpoint_proto::v1::{
    Flag, Grant, GrantScope, GrantState, IssuedGrant, Operation, RequestContext,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    json::{hex, kind, session, time as json_time},
    operation, time,
};
use crate::escape;

/// The name of a scope.
pub(crate) fn scope(grant: &Grant) -> &'static str {
    match grant.scope() {
        GrantScope::Once => "once",
        GrantScope::Process => "process",
        GrantScope::Session => "session",
        GrantScope::Unspecified => "unknown",
    }
}

fn state(issued: &IssuedGrant) -> &'static str {
    match issued.state() {
        GrantState::Active => "active",
        GrantState::Ended => "ended",
        GrantState::Revoking => "revoking",
        GrantState::Revoked => "revoked",
        GrantState::Unspecified => "unknown",
    }
}

/// A grant as it was signed.
pub(super) fn signed(grant: &Grant) -> Value {
    json!({
        "id": grant.id,
        "scope": scope(grant),
        "ttl_seconds": grant.ttl.as_ref().map(|ttl| ttl.seconds),
        "expires_at": json_time(grant.expires_at),
        "max_uses": (grant.max_uses > 0).then_some(grant.max_uses),
    })
}

/// A grant with where it stands.
pub(crate) fn grant(issued: &IssuedGrant) -> Value {
    let mut value = signed(&issued.grant.clone().unwrap_or_default());
    let more = json!({
        "uses": issued.uses.to_string(),
        "state": state(issued),
        "request_id": issued.request_id,
        "host": { "id": issued.host_id, "hostname": issued.hostname },
        "session": issued.session.as_ref().map(session),
        "operation": issued.operation.as_ref().and_then(|one| one.kind.as_ref()).map(kind),
        "reviewer": issued.reviewer,
        "issued_at": json_time(issued.issued_at),
        "revoked_by": (!issued.revoked_by.is_empty()).then_some(&issued.revoked_by),
    });
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

/// A flag in force.
pub(crate) fn flag(flag: &Flag) -> Value {
    json!({
        "operation_digest": hex(&flag.operation_digest),
        "operation": flag.operation.as_ref().and_then(|one| one.kind.as_ref()).map(kind),
        "request_id": flag.request_id,
        "reviewer": flag.reviewer,
        "reason": flag.reason,
        "flagged_at": json_time(flag.flagged_at),
    })
}

/// One grant a paragraph.
pub(crate) fn grants(grants: &[IssuedGrant], now: Timestamp) -> String {
    if grants.is_empty() {
        return "no grants\n".to_owned();
    }
    let paragraphs: Vec<String> = grants.iter().map(|one| paragraph(one, now)).collect();
    paragraphs.join("\n")
}

/// One grant, in a few lines.
pub(crate) fn paragraph(issued: &IssuedGrant, now: Timestamp) -> String {
    let grant = issued.grant.clone().unwrap_or_default();
    let standing = match (issued.state(), time::timestamp(grant.expires_at)) {
        (GrantState::Active, Some(end)) => {
            format!("active, {} left", time::span(time::seconds(now, end)))
        }
        (GrantState::Revoking, _) => "revoking: its host has not confirmed".to_owned(),
        _ => state(issued).to_owned(),
    };
    let by = if issued.revoked_by.is_empty() {
        String::new()
    } else {
        format!(", revoked by {}", escape::name(&issued.revoked_by))
    };
    let uses = match grant.max_uses {
        0 => issued.uses.to_string(),
        most => format!("{} of {most}", issued.uses),
    };
    let owner = issued.session.as_ref().map_or_else(String::new, |session| {
        format!(
            ", session {} of {}",
            escape::name(&session.id),
            escape::name(&session.owner)
        )
    });
    format!(
        "{}  {}{by}\n  for {}, used {uses}, by {} {}\n  on {}{owner}\n  {}\n",
        escape::name(&grant.id),
        standing,
        scope(&grant),
        escape::name(&issued.reviewer),
        time::shown(issued.issued_at),
        escape::name(&issued.hostname),
        what(issued.operation.as_ref()),
    )
}

/// One flag a paragraph.
pub(crate) fn flags(flags: &[Flag]) -> String {
    if flags.is_empty() {
        return "no flags\n".to_owned();
    }
    let paragraph = |flag: &Flag| {
        format!(
            "{}\n  by {} {}: {}\n  {}\n",
            hex(&flag.operation_digest),
            escape::name(&flag.reviewer),
            time::shown(flag.flagged_at),
            escape::quoted(flag.reason.as_bytes()),
            what(flag.operation.as_ref()),
        )
    };
    let paragraphs: Vec<String> = flags.iter().map(paragraph).collect();
    paragraphs.join("\n")
}

/// An operation on one line, uncut.
fn what(operation: Option<&Operation>) -> String {
    operation::line_of(&RequestContext {
        operation: operation.cloned(),
        ..RequestContext::default()
    })
}

#[cfg(test)]
mod tests {
    use holdpoint_proto::v1::operation::Kind;

    use super::{super::samples, *};

    fn issued() -> IssuedGrant {
        let context = samples::hostile_exec().context.unwrap();
        IssuedGrant {
            grant: Some(samples::grant()),
            request_id: "0198f1a2-6c3d-7000-8000-00000000000a".into(),
            host_id: "0198f000-0000-7000-8000-000000000001".into(),
            hostname: "build-1\u{1b}[2J".into(),
            session: context.session,
            operation: context.operation,
            reviewer: "bob".into(),
            issued_at: Some(samples::at(-60)),
            uses: 2,
            state: GrantState::Active.into(),
            revoked_by: String::new(),
        }
    }

    #[test]
    fn golden() {
        let revoked = IssuedGrant {
            state: GrantState::Revoking.into(),
            revoked_by: "eve".into(),
            ..issued()
        };
        let text = grants(&[issued(), revoked], samples::now());
        samples::golden("grants.txt", &text);
        let flagged = Flag {
            operation_digest: vec![7; 32],
            operation: issued().operation,
            request_id: "r".into(),
            reviewer: "eve".into(),
            reason: "looks like\n\u{202e}exfiltration".into(),
            flagged_at: Some(samples::at(-60)),
        };
        samples::golden("flags.txt", &flags(std::slice::from_ref(&flagged)));
        let both = json!({ "grant": grant(&issued()), "flag": flag(&flagged) });
        let both = serde_json::to_string_pretty(&both).unwrap();
        samples::golden("grants.json", &(both + "\n"));
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn nothing_is_said_plainly() {
        assert_eq!(grants(&[], samples::now()), "no grants\n");
        assert_eq!(flags(&[]), "no flags\n");
        let kindless = Operation { kind: None::<Kind> };
        assert!(what(Some(&kindless)).contains("does not know"));
    }
}
