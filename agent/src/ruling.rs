//! From a held operation and what is known of it to what becomes of it: the
//! policy is asked, and where a person must decide, the request is composed.
//!
//! Pure. Whatever is missing (the session, its profile, a user's name) leads to a
//! refusal or an honest blank, never to an allow.

pub mod context;

use std::time::Duration;

use holdpoint_proto::{digest, v1};
use sha2::{Digest as _, Sha256};

use crate::{
    config::Profiles,
    holds::{Ask, Ruling},
    kernel::{Attempted, ExecFacts, Facts, Held, HoldId, Session},
    policy::{Attempt, Judgement, Listener, Policy, Verdict},
};

/// What the moment adds to a hold.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Boot time, nanoseconds.
    pub boot_ns: u64,
    /// Wall-clock time, since the epoch.
    pub wall: Duration,
    /// Secret of this boot.
    pub secret: [u64; 2],
}

/// Judges `held`. `user` names its session's local user.
pub fn rule(
    held: &Held,
    facts: &Facts,
    session: Option<&Session>,
    user: &str,
    profiles: &Profiles,
    moment: Moment,
) -> Ruling {
    let Some(session) = session else {
        return Ruling::Refused {
            reason: format!("session {} is not known", held.session),
        };
    };
    let Some(profile) = profiles.get(&session.profile) else {
        return Ruling::Refused {
            reason: format!(
                "profile {:?} of session {} is not configured any more",
                session.profile, session.id
            ),
        };
    };
    let exec = facts.exec.clone().unwrap_or_default();
    let policy = &profile.policy;
    let judgement = policy.judge(&attempt(held, facts, &exec));
    match judgement.verdict {
        Verdict::Allow => Ruling::Allow {
            // What does not depend on the arguments needs no comparison of them.
            arguments: if judgement.settled {
                holdpoint_agent_common::ArgumentsMac::default()
            } else {
                exec.arguments
            },
            settled: judgement.settled,
        },
        Verdict::Deny => Ruling::Deny {
            on_deny: judgement.on_deny,
            settled: judgement.settled,
        },
        Verdict::Hold => Ruling::Ask(Box::new(ask(
            held, facts, exec, session, user, policy, &judgement, moment,
        ))),
    }
}

/// What is seen of `held`, whatever comes of it: for the record.
pub fn seen(
    held: &Held,
    facts: &Facts,
    session: Option<&Session>,
    user: &str,
    profiles: &Profiles,
) -> v1::RequestContext {
    let exec = facts.exec.clone().unwrap_or_default();
    let rule = session
        .and_then(|session| profiles.get(&session.profile))
        .and_then(|profile| {
            let judgement = profile.policy.judge(&attempt(held, facts, &exec));
            context::rule(&profile.policy, &judgement)
        });
    v1::RequestContext {
        operation: Some(context::operation(&held.attempted, facts, exec)),
        process: Some(context::process(&facts.caller)),
        ancestry: facts.ancestry.iter().map(context::process).collect(),
        session: session.map(|session| context::session(session, user)),
        rule,
    }
}

fn attempt<'a>(held: &'a Held, facts: &'a Facts, exec: &'a ExecFacts) -> Attempt<'a> {
    match &held.attempted {
        Attempted::Exec { path, .. } => Attempt::Exec {
            exe: path,
            exe_is_hosts: exec.path_is_hosts,
            single_link: exec.single_link,
            argv: &exec.argv,
        },
        Attempted::Connect(to) => Attempt::Connect {
            address: to.address,
            port: to.port,
            protocol: to.protocol.into(),
            exe: &facts.caller.executable,
            exe_is_hosts: facts.caller.executable_is_hosts,
            listener: listener(facts),
        },
        Attempted::Local { name, .. } => Attempt::Unix {
            name,
            name_is_hosts: facts.name_is_hosts,
            exe: &facts.caller.executable,
            exe_is_hosts: facts.caller.executable_is_hosts,
            listener: listener(facts),
        },
    }
}

fn listener(facts: &Facts) -> Option<Listener<'_>> {
    facts
        .listener
        .as_ref()
        .filter(|listener| !listener.executable.is_empty())
        .map(|listener| Listener {
            exe: &listener.executable,
            exe_is_hosts: listener.executable_is_hosts,
        })
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is one part of the question"
)]
fn ask(
    held: &Held,
    facts: &Facts,
    exec: ExecFacts,
    session: &Session,
    user: &str,
    policy: &Policy,
    judgement: &Judgement<'_>,
    moment: Moment,
) -> Ask {
    let arguments = exec.arguments;
    let context = v1::RequestContext {
        operation: Some(context::operation(&held.attempted, facts, exec)),
        process: Some(context::process(&facts.caller)),
        ancestry: facts.ancestry.iter().map(context::process).collect(),
        session: Some(context::session(session, user)),
        rule: context::rule(policy, judgement),
    };
    let waited = Duration::from_nanos(moment.boot_ns.saturating_sub(held.id.held_ns));
    let deadline_ns = u64::try_from(judgement.deadline.as_nanos()).unwrap_or(u64::MAX);
    Ask {
        request_id: request_id(held.id, moment.secret),
        digest: digest::of(&context),
        context,
        held_at: context::timestamp(moment.wall.saturating_sub(waited)),
        deadline_ns: held.id.held_ns.saturating_add(deadline_ns),
        on_deny: judgement.on_deny,
        arguments,
        process_start_ns: facts.process_start_ns,
    }
}

/// The id of a hold's request: the same for the same hold, also after a restart
/// of the daemon, and not to be guessed without the secret of this boot.
pub(crate) fn request_id(id: HoldId, secret: [u64; 2]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"holdpoint/request-id/v1");
    for word in [
        secret[0],
        secret[1],
        id.tid.into(),
        id.tgid.into(),
        id.start_ns,
        id.held_ns,
    ] {
        hash.update(word.to_be_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(digest.split_at(16).0);
    uuid::Uuid::new_v8(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::{
        config::{DEFAULT_MAX_REQUESTS, Profile},
        kernel::{Permits, SessionId, TaskKey},
        policy::Policy,
    };

    const MOMENT: Moment = Moment {
        boot_ns: 10_000_000_000,
        wall: Duration::from_secs(1_000),
        secret: [7, 9],
    };

    fn profiles(policy: &str) -> Profiles {
        BTreeMap::from([(
            "demo".to_owned(),
            Profile {
                owner: "ada".to_owned(),
                users: vec!["agent".to_owned()],
                policy: Policy::parse(policy, Path::new("demo.toml")).unwrap(),
                permits: Permits::NONE,
                max_requests: DEFAULT_MAX_REQUESTS,
            },
        )])
    }

    fn session() -> Session {
        Session {
            id: SessionId(5),
            profile: "demo".to_owned(),
            owner: "ada".to_owned(),
            root: TaskKey::default(),
            uid: 1000,
        }
    }

    fn curl() -> (Held, Facts) {
        let path = b"/usr/bin/curl".to_vec();
        let held = Held {
            id: HoldId::new(TaskKey::default(), 8_000_000_000),
            session: SessionId(5),
            attempted: Attempted::Exec {
                file: crate::kernel::FileId::default(),
                path,
                memory: crate::kernel::ExecMemory::default(),
                interprets: None,
            },
            operation: holdpoint_agent_common::OperationKey::default(),
            uid: 1000,
            gid: 1000,
            evaluations: 0,
        };
        let facts = Facts {
            exec: Some(ExecFacts {
                argv: vec![b"curl".to_vec(), b"-T".to_vec()],
                arguments: holdpoint_agent_common::ArgumentsMac {
                    present: 1,
                    rest: 77,
                    ..Default::default()
                },
                path_is_hosts: true,
                single_link: true,
                ..ExecFacts::default()
            }),
            ..Facts::default()
        };
        (held, facts)
    }

    #[test]
    fn a_hold_becomes_a_request_with_the_rules_deadline() {
        let (held, facts) = curl();
        let policy = "default='allow'\n[[rules]]\nname='up'\nverdict='hold'\ndeadline='1m'\n\
                      exec={exe=['/usr/bin/curl']}";
        let Ruling::Ask(ask) = rule(
            &held,
            &facts,
            Some(&session()),
            "agent",
            &profiles(policy),
            MOMENT,
        ) else {
            panic!("not asked");
        };
        assert_eq!(ask.deadline_ns, 68_000_000_000);
        assert_eq!(ask.held_at.seconds, 998, "two seconds ago");
        assert_eq!(ask.digest, digest::of(&ask.context));
        assert_eq!(ask.arguments.rest, 77);
        assert_eq!(ask.context.rule.unwrap().name, "up");
        assert_eq!(ask.context.session.unwrap().owner, "ada");
    }

    #[test]
    fn an_allow_that_depends_on_arguments_is_bound_to_them() {
        let (held, facts) = curl();
        let policy = "default='deny'\n[[rules]]\nname='up'\nverdict='allow'\n\
                      exec={exe=['/usr/bin/curl'], argv=['-T']}";
        let ruling = rule(
            &held,
            &facts,
            Some(&session()),
            "agent",
            &profiles(policy),
            MOMENT,
        );
        assert!(
            matches!(ruling, Ruling::Allow { arguments, settled: false } if arguments.rest == 77),
            "{ruling:?}"
        );
    }

    #[test]
    fn what_is_not_known_is_never_allowed() {
        let (held, facts) = curl();
        let policy = profiles("default='allow'");
        let other = Session {
            profile: "gone".to_owned(),
            ..session()
        };
        for session in [None, Some(&other)] {
            assert!(matches!(
                rule(&held, &facts, session, "agent", &policy, MOMENT),
                Ruling::Refused { .. }
            ));
        }
    }

    #[test]
    fn a_request_keeps_its_id_and_no_two_holds_share_one() {
        let (held, _) = curl();
        let id = request_id(held.id, [1, 2]);
        assert_eq!(id, request_id(held.id, [1, 2]));
        assert_ne!(id, request_id(held.id, [1, 3]));
        let later = HoldId {
            held_ns: held.id.held_ns + 1,
            ..held.id
        };
        assert_ne!(id, request_id(later, [1, 2]));
    }
}
