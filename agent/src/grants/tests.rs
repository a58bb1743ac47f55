//! Grants against a model that only knows what may never happen.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// What can differ between two attempts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Attempt {
    argument: u8,
    environment: u8,
    shown: u8,
    content: u8,
    cwd: u8,
    uid: u32,
}

pub(super) const SAME: Attempt = Attempt {
    argument: 0,
    environment: 0,
    shown: 0,
    content: 1,
    cwd: 0,
    uid: 1000,
};

pub(super) fn context(attempt: &Attempt) -> v1::RequestContext {
    v1::RequestContext {
        operation: Some(v1::Operation {
            kind: Some(Kind::Exec(v1::Exec {
                path: b"/usr/bin/curl".to_vec(),
                argv: vec![b"curl".to_vec(), vec![attempt.argument]],
                environment_sha256: vec![attempt.environment; 32],
                content_sha256: vec![attempt.content; 32],
                environment: vec![v1::EnvironmentVariable {
                    name: b"PATH".to_vec(),
                    value: vec![attempt.shown],
                    redacted: false,
                }],
                ..v1::Exec::default()
            })),
        }),
        process: Some(v1::Process {
            uid: attempt.uid,
            cwd: vec![attempt.cwd],
            ..v1::Process::default()
        }),
        session: Some(v1::Session {
            profile: "demo".to_owned(),
            ..v1::Session::default()
        }),
        rule: Some(v1::Rule {
            grants: vec![GrantScope::Process.into(), GrantScope::Session.into()],
            max_ttl: Some(seconds(100)),
            policy_sha256: vec![5; 32],
            ..v1::Rule::default()
        }),
        ..v1::RequestContext::default()
    }
}

fn connect(netns: u32) -> v1::RequestContext {
    let mut context = context(&SAME);
    context.operation = Some(v1::Operation {
        kind: Some(Kind::Connect(v1::Connect {
            address: vec![192, 0, 2, 1],
            port: 443,
            protocol: 6,
            network_namespace: netns,
            scope_id: 0,
            ..v1::Connect::default()
        })),
    });
    context
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub(super) fn decision(id: &str, scope: GrantScope, ttl: i64, max_uses: u32) -> v1::Decision {
    v1::Decision {
        request_id: "r".to_owned(),
        verdict: v1::Verdict::Approve.into(),
        grant: Some(v1::Grant {
            id: id.to_owned(),
            scope: scope.into(),
            ttl: Some(seconds(ttl)),
            expires_at: Some(prost_types::Timestamp {
                seconds: 1_000 + ttl,
                nanos: 0,
            }),
            max_uses,
        }),
        ..v1::Decision::default()
    }
}

pub(super) fn at(second: u64) -> Now {
    Now {
        boot_ns: second * SECOND,
        wall: Duration::from_secs(1_000 + second),
    }
}

pub(super) fn bearer(session: u64, pid: u32) -> Bearer {
    Bearer {
        session: SessionId(session),
        pid,
        process_start_ns: 7,
    }
}

fn issued(scope: GrantScope, ttl: i64, max_uses: u32) -> Grants {
    let mut grants = Grants::default();
    let change = grants
        .issue(
            &decision("g", scope, ttl, max_uses),
            &context(&SAME),
            bearer(1, 1),
            at(0),
        )
        .unwrap();
    assert_eq!(change.change, GrantChange::Active);
    grants
}

/// Why a decision gave nothing.
fn refused(decision: &v1::Decision, context: &v1::RequestContext) -> String {
    let mut grants = Grants::default();
    let change = grants
        .issue(decision, context, bearer(1, 1), at(0))
        .unwrap();
    assert_eq!(change.change, GrantChange::Ended);
    assert!(grants.ids().is_empty());
    change.reason
}

#[test]
fn the_same_operation_of_the_session_goes_on_and_is_counted() {
    let mut grants = issued(GrantScope::Session, 60, 2);
    for uses in 1..=2 {
        let change = grants.cover(&context(&SAME), bearer(1, 9), at(1)).unwrap();
        assert_eq!((change.change, change.uses), (GrantChange::Used, uses));
    }
    assert_eq!(grants.cover(&context(&SAME), bearer(1, 9), at(1)), None);
    let ended = grants.sweep(at(1), |_, _| true);
    assert!(ended[0].reason.contains("used up"), "{ended:?}");
    assert!(grants.ids().is_empty());
}

#[test]
fn another_operation_session_or_process_is_asked_about() {
    let mut grants = issued(GrantScope::Process, 60, 0);
    let others = [
        Attempt {
            argument: 1,
            ..SAME
        },
        Attempt {
            environment: 1,
            ..SAME
        },
        Attempt { shown: 1, ..SAME },
        Attempt { content: 2, ..SAME },
        Attempt { cwd: 1, ..SAME },
        Attempt { uid: 0, ..SAME },
    ];
    for other in others {
        assert_eq!(
            grants.cover(&context(&other), bearer(1, 1), at(1)),
            None,
            "{other:?}"
        );
    }
    let reused = Bearer {
        process_start_ns: 8,
        ..bearer(1, 1)
    };
    for other in [bearer(2, 1), bearer(1, 2), reused] {
        assert_eq!(
            grants.cover(&context(&SAME), other, at(1)),
            None,
            "{other:?}"
        );
    }
    assert!(grants.cover(&context(&SAME), bearer(1, 1), at(1)).is_some());
}

#[test]
fn a_connect_is_the_same_in_its_own_network_only() {
    let mut grants = Grants::default();
    let given = decision("g", GrantScope::Session, 60, 0);
    grants
        .issue(&given, &connect(1), bearer(1, 1), at(0))
        .unwrap();
    assert!(grants.cover(&connect(1), bearer(1, 2), at(1)).is_some());
    assert_eq!(grants.cover(&connect(2), bearer(1, 2), at(1)), None);
}

#[test]
fn either_clock_ends_it() {
    let mut grants = issued(GrantScope::Session, 60, 0);
    let set_back = Now {
        wall: Duration::from_secs(500),
        ..at(60)
    };
    let set_forward = Now {
        boot_ns: SECOND,
        ..at(60)
    };
    for late in [at(60), set_back, set_forward] {
        assert_eq!(grants.cover(&context(&SAME), bearer(1, 1), late), None);
    }
    assert_eq!(grants.sweep(set_back, |_, _| true).len(), 1);
}

#[test]
fn the_hosts_rule_bounds_what_a_decision_gives() {
    // Ten times as long as the rule says.
    let mut grants = issued(GrantScope::Session, 1_000, 0);
    assert!(
        grants
            .cover(&context(&SAME), bearer(1, 1), at(99))
            .is_some()
    );
    assert_eq!(grants.cover(&context(&SAME), bearer(1, 1), at(100)), None);

    let mut narrow = context(&SAME);
    narrow.rule.as_mut().unwrap().grants = vec![GrantScope::Process.into()];
    let wide = decision("g", GrantScope::Session, 60, 0);
    assert!(refused(&wide, &narrow).contains("scope"));
    narrow.rule = None;
    assert!(refused(&wide, &narrow).contains("scope"));
}

#[test]
fn a_grant_that_makes_no_sense_gives_nothing() {
    let good = decision("g", GrantScope::Session, 60, 0);
    let changed = |change: fn(&mut v1::Grant)| {
        let mut decision = good.clone();
        change(decision.grant.as_mut().unwrap());
        refused(&decision, &context(&SAME))
    };
    assert!(changed(|grant| grant.id.clear()).contains("no id"));
    assert!(changed(|grant| grant.scope = 99).contains("no scope"));
    assert!(changed(|grant| grant.ttl = None).contains("no lifetime"));
    assert!(changed(|grant| grant.ttl = Some(seconds(0))).contains("no lifetime"));
    assert!(changed(|grant| grant.ttl = Some(seconds(-5))).contains("no lifetime"));
    assert!(changed(|grant| grant.expires_at = None).contains("no lifetime"));
    let over = |grant: &mut v1::Grant| grant.expires_at.as_mut().unwrap().seconds = 999;
    assert!(changed(over).contains("over"));
    assert!(
        refused(
            &good,
            &v1::RequestContext {
                operation: None,
                ..context(&SAME)
            }
        )
        .contains("no operation")
    );
}

#[test]
fn an_approval_for_once_is_no_grant() {
    let mut grants = Grants::default();
    let once = decision("", GrantScope::Once, 60, 0);
    assert_eq!(
        grants.issue(&once, &context(&SAME), bearer(1, 1), at(0)),
        None
    );
    let none = v1::Decision::default();
    assert_eq!(
        grants.issue(&none, &context(&SAME), bearer(1, 1), at(0)),
        None
    );
}

#[test]
fn what_was_revoked_or_ended_never_comes_back() {
    let given = decision("g", GrantScope::Session, 60, 0);
    let mut grants = issued(GrantScope::Session, 60, 0);
    assert_eq!(grants.revoke("g").unwrap().change, GrantChange::Revoked);
    assert_eq!(grants.revoke("g"), None);
    assert_eq!(
        grants.issue(&given, &context(&SAME), bearer(1, 1), at(1)),
        None
    );
    assert_eq!(grants.cover(&context(&SAME), bearer(1, 1), at(1)), None);
    // A revocation that overtakes its grant.
    let mut grants = Grants::default();
    assert_eq!(grants.revoke("g"), None);
    assert_eq!(
        grants.issue(&given, &context(&SAME), bearer(1, 1), at(1)),
        None
    );
    assert!(grants.ids().is_empty());
}

#[test]
fn a_grant_ends_with_its_session_its_process_or_its_policy() {
    let mut grants = issued(GrantScope::Process, 60, 0);
    let asked = |_: Bearer, bound: ProcessBound| !bound.0;
    assert_eq!(grants.sweep(at(1), asked).len(), 1, "its process is gone");
    let mut grants = issued(GrantScope::Session, 60, 0);
    assert!(grants.sweep(at(1), asked).is_empty(), "its session lives");
    let in_force = |profile: &str| Some([if profile == "demo" { 5 } else { 4 }; 32]);
    assert!(grants.policies_changed(in_force).is_empty());
    // That another profile has it now is no help.
    let elsewhere = |profile: &str| Some([if profile == "demo" { 4 } else { 5 }; 32]);
    let ended = grants.policies_changed(elsewhere);
    assert!(ended[0].reason.contains("policy"), "{ended:?}");
    let mut grants = issued(GrantScope::Session, 60, 0);
    assert_eq!(
        grants.policies_changed(|_| None).len(),
        1,
        "no such profile"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Issue {
        id: u8,
        scope: GrantScope,
        ttl: i64,
        uses: u32,
        who: (u64, u32),
    },
    Attempt {
        attempt: u8,
        who: (u64, u32),
    },
    Revoke(u8),
    Sweep {
        session: u64,
        lives: bool,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = (1..3_u64, 1..3_u32);
    let scope = prop::sample::select(vec![GrantScope::Process, GrantScope::Session]);
    prop_oneof![
        1 => (0..4_u8, scope, 1..150_i64, 0..3_u32, who.clone())
            .prop_map(|(id, scope, ttl, uses, who)| Step::Issue { id, scope, ttl, uses, who }),
        4 => (0..2_u8, who).prop_map(|(attempt, who)| Step::Attempt { attempt, who }),
        1 => (0..4_u8).prop_map(Step::Revoke),
        1 => (1..3_u64, any::<bool>()).prop_map(|(session, lives)| Step::Sweep { session, lives }),
        1 => (0..60_u64).prop_map(Step::Wait),
    ]
}

/// What the model remembers of a grant.
struct Given {
    scope: GrantScope,
    who: (u64, u32),
    until: u64,
    uses: u32,
    left: u32,
}

proptest! {
    /// The promise of the module.
    #[test]
    fn nothing_is_covered_that_was_not_given(steps in prop::collection::vec(step(), 1..80)) {
        let mut grants = Grants::default();
        let mut now = 0;
        let mut model: BTreeMap<String, Given> = BTreeMap::new();
        let mut gone: BTreeSet<String> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Issue { id, scope, ttl, uses, who } => {
                    let id = format!("g{id}");
                    // The model's wall clock moves with the other.
                    let mut given = decision(&id, scope, ttl, uses);
                    if let Some(expires) = given.grant.as_mut().and_then(|grant| grant.expires_at.as_mut()) {
                        expires.seconds += i64::try_from(now).unwrap();
                    }
                    let told = grants.issue(&given, &context(&SAME), bearer(who.0, who.1), at(now));
                    let fresh = !model.contains_key(&id) && !gone.contains(&id);
                    prop_assert_eq!(told.is_some(), fresh);
                    if fresh {
                        let until = now + ttl.unsigned_abs().min(100);
                        model.insert(id, Given { scope, who, until, uses, left: uses });
                    }
                }
                Step::Attempt { attempt, who } => {
                    let tried = Attempt { argument: attempt, ..SAME };
                    let covered = grants.cover(&context(&tried), bearer(who.0, who.1), at(now));
                    let fits = |given: &Given| attempt == 0
                        && now < given.until
                        && given.who.0 == who.0
                        && (given.scope == GrantScope::Session || given.who == who)
                        && (given.uses == 0 || given.left > 0);
                    match covered {
                        Some(change) => {
                            let given = model.get_mut(&change.grant_id);
                            prop_assert!(given.as_ref().is_some_and(|given| fits(given)));
                            if let Some(given) = given {
                                given.left = given.left.saturating_sub(1);
                            }
                        }
                        None => prop_assert!(!model.values().any(fits)),
                    }
                }
                Step::Revoke(id) => {
                    let id = format!("g{id}");
                    prop_assert_eq!(grants.revoke(&id).is_some(), model.remove(&id).is_some());
                    gone.insert(id);
                }
                Step::Sweep { session, lives } => {
                    let ended = grants.sweep(at(now), |who, _| lives || who.session != SessionId(session));
                    for change in ended {
                        let given = model.remove(&change.grant_id);
                        prop_assert!(given.is_some_and(|given| now >= given.until
                            || (given.uses != 0 && given.left == 0)
                            || (!lives && given.who.0 == session)));
                        gone.insert(change.grant_id);
                    }
                }
                Step::Wait(seconds) => now += seconds,
            }
            prop_assert_eq!(grants.ids(), model.keys().cloned().collect::<Vec<_>>());
        }
    }
}
