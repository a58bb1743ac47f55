//! Requests, as reviewers see them.

use holdpoint_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    hex, hex_or_null,
    operation::{OperationView, ProcessView},
    time,
};
use crate::{
    domain::{
        decide::{Ballot, Refusal, Subject, decide},
        grant::Grant,
        request::{Outcome, Verdict},
        time::Millis,
    },
    store::{decisions::Decision, logins::Login, requests::Request},
};

/// A request.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub(crate) struct RequestView {
    id: String,
    /// What a decision names: nobody decides about something they weren't shown.
    digest: String,
    /// The same whenever the same is attempted, by whomever and wherever.
    #[schema(required)]
    operation_digest: Option<String>,
    /// `pending`, `approved`, `denied`, `flagged`, `expired` or `withdrawn`.
    state: &'static str,
    created_at: String,
    deadline: String,
    host: HostName,
    #[schema(required)]
    session: Option<SessionName>,
    #[schema(required)]
    rule: Option<RuleView>,
    #[schema(required)]
    operation: Option<OperationView>,
    #[schema(required)]
    process: Option<ProcessView>,
    /// From the parent upwards, to the root of the session.
    ancestry: Vec<ProcessView>,
    #[schema(required)]
    decision: Option<DecisionView>,
    /// What became of the operation: `released`, `refused` or `gone`.
    #[schema(required)]
    outcome: Option<&'static str>,
    /// Why it was withdrawn or refused, in the host's words.
    outcome_detail: String,
    /// Whether the caller may decide it now.
    may_decide: bool,
    #[schema(required)]
    may_not_because: Option<MayNot>,
    /// Grows with every change of any request.
    revision: String,
}

/// Which host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct HostName {
    pub(crate) id: String,
    pub(crate) hostname: String,
}

/// Which session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SessionName {
    id: String,
    profile: String,
    /// Account of the accountable person.
    owner: String,
    uid: u32,
    user: String,
}

/// The rule that asked.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RuleView {
    name: String,
    justification: String,
    /// `low`, `medium`, `high` or `critical`.
    #[schema(required)]
    risk: Option<&'static str>,
    /// Scopes an approval may give beside once: `process`, `session`.
    grants: Vec<&'static str>,
    /// Longest life of a grant.
    #[schema(required)]
    max_ttl_seconds: Option<i64>,
    #[schema(required)]
    policy_sha256: Option<String>,
}

/// What a person answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DecisionView {
    /// `approve`, `deny` or `flag`.
    verdict: &'static str,
    reviewer: String,
    reason: String,
    decided_at: String,
    /// What the approval gave beyond the operation that was held.
    #[schema(required)]
    grant: Option<DecidedGrant>,
}

/// What a decision gave.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DecidedGrant {
    id: String,
    /// `process` or `session`.
    scope: &'static str,
    ttl_seconds: u64,
    expires_at: String,
    /// Null: any number.
    #[schema(required)]
    max_uses: Option<u32>,
}

/// Why the caller may not decide.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MayNot {
    OwnRequest,
    Role,
    NotPending,
}

impl RequestView {
    /// `request` for the eyes of `caller`.
    pub(crate) fn new(request: Request, caller: &Login, now: Millis) -> Self {
        let may_not_because = may_not(&request, caller, now);
        let context = request.context;
        Self {
            digest: hex(&request.digest),
            operation_digest: hex_or_null(&request.operation_digest),
            state: request.state.as_str(),
            created_at: time(request.created_at),
            deadline: time(request.deadline),
            host: HostName {
                id: request.host_id.to_string(),
                hostname: request.hostname,
            },
            session: context.session.map(SessionName::from),
            rule: context.rule.map(RuleView::from),
            operation: context.operation.and_then(OperationView::new),
            process: context.process.map(ProcessView::from),
            ancestry: context
                .ancestry
                .into_iter()
                .map(ProcessView::from)
                .collect(),
            decision: request.decision.map(DecisionView::from),
            outcome: request.outcome.map(Outcome::as_str),
            outcome_detail: request.outcome_detail,
            may_decide: may_not_because.is_none(),
            may_not_because,
            revision: request.revision.to_string(),
            id: request.id,
        }
    }
}

/// Asks the one place that knows, with a ballot that has everything else right.
fn may_not(request: &Request, caller: &Login, now: Millis) -> Option<MayNot> {
    let subject = Subject {
        state: request.state,
        owner: &request.owner,
        digest: &request.digest,
        deadline: request.deadline,
    };
    let ballot = Ballot {
        reviewer: caller.username.as_str(),
        role: caller.role,
        verdict: Verdict::Deny,
        reason: "-",
        digest_shown: &request.digest,
    };
    match decide(subject, ballot, now) {
        Ok(_) => None,
        Err(Refusal::NoReviewer { .. }) => Some(MayNot::Role),
        Err(Refusal::Owner { .. }) => Some(MayNot::OwnRequest),
        Err(_) => Some(MayNot::NotPending),
    }
}

impl From<v1::Session> for SessionName {
    fn from(session: v1::Session) -> Self {
        Self {
            id: session.id,
            profile: session.profile,
            owner: session.owner,
            uid: session.uid,
            user: session.user,
        }
    }
}

impl From<v1::Rule> for RuleView {
    fn from(rule: v1::Rule) -> Self {
        let risk = match rule.risk() {
            v1::Risk::Unspecified => None,
            v1::Risk::Low => Some("low"),
            v1::Risk::Medium => Some("medium"),
            v1::Risk::High => Some("high"),
            v1::Risk::Critical => Some("critical"),
        };
        let grants = rule
            .grants()
            .filter_map(|scope| match scope {
                v1::GrantScope::Process => Some("process"),
                v1::GrantScope::Session => Some("session"),
                v1::GrantScope::Once | v1::GrantScope::Unspecified => None,
            })
            .collect();
        Self {
            risk,
            grants,
            max_ttl_seconds: rule.max_ttl.map(|ttl| ttl.seconds),
            policy_sha256: hex_or_null(&rule.policy_sha256),
            name: rule.name,
            justification: rule.justification,
        }
    }
}

impl From<Decision> for DecisionView {
    fn from(decision: Decision) -> Self {
        Self {
            verdict: decision.verdict.as_str(),
            reviewer: decision.reviewer,
            reason: decision.reason,
            decided_at: time(decision.decided_at),
            grant: decision.grant.map(DecidedGrant::from),
        }
    }
}

impl From<Grant> for DecidedGrant {
    fn from(grant: Grant) -> Self {
        let terms = grant.terms;
        Self {
            id: grant.id,
            scope: terms.scope.as_str(),
            ttl_seconds: terms.ttl.as_secs(),
            expires_at: time(grant.expires_at),
            max_uses: (terms.max_uses > 0).then_some(terms.max_uses),
        }
    }
}
