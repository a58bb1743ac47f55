//! Who may decide a request, and when.
//!
//! One pure function, [`decide`]: everything that can stand against a decision
//! is checked here and nowhere else. The store repeats only what two deciders
//! could race for (still pending, still in time).

use super::{
    account::Role,
    grant::GrantRefusal,
    request::{Closed, Event, State, Verdict, in_time},
    time::Millis,
};

/// Longest reason, in characters.
pub const REASON_MAX: usize = 4096;

/// The request somebody wants to decide.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Where it stands.
    pub state: State,
    /// Account of the person accountable for the session.
    pub owner: &'a str,
    /// Digest of what was asked.
    pub digest: &'a [u8],
    /// When it expires.
    pub deadline: Millis,
}

/// What a person wants to decide.
#[derive(Clone, Copy, Debug)]
pub struct Ballot<'a> {
    /// The account that decides.
    pub reviewer: &'a str,
    /// Its role.
    pub role: Role,
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub reason: &'a str,
    /// Digest of the request the person was shown.
    pub digest_shown: &'a [u8],
}

/// A decision that may be recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ruling {
    /// The state it puts the request in.
    pub state: State,
    /// The reason, without white space around it.
    pub reason: String,
}

/// Why somebody can't decide a request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The role only reads.
    #[error(
        "your role is {role}, which can read but not decide; ask an administrator for the role \
         reviewer"
    )]
    NoReviewer {
        /// The caller's role.
        role: Role,
    },
    /// Nobody decides about their own session.
    #[error(
        "you own the session that asks ({owner}), so somebody else has to decide; ask another \
         reviewer"
    )]
    Owner {
        /// The owner's account.
        owner: String,
    },
    /// A decision without a reason is no evidence.
    #[error("a reason is required for the record; say why")]
    ReasonMissing,
    /// The reason is too long to keep and show.
    #[error("the reason has {0} characters; use at most {REASON_MAX}")]
    ReasonLong(usize),
    /// Somebody or something was faster.
    #[error("{0}")]
    Closed(#[from] Closed),
    /// The deadline has passed.
    #[error("the request has expired: its deadline was {0}")]
    Expired(Millis),
    /// The reviewer looked at something else.
    #[error(
        "the digest shown to you is not the request's; look at the request again before you \
         decide"
    )]
    OtherDigest,
    /// The approval would give more than the rule allows.
    #[error(transparent)]
    Grant(#[from] GrantRefusal),
}

/// Checks the reason of something that is kept as evidence, and takes the white
/// space around it off.
pub fn reason(text: &str) -> Result<String, Refusal> {
    let reason = text.trim();
    if reason.is_empty() {
        return Err(Refusal::ReasonMissing);
    }
    let characters = reason.chars().count();
    if characters > REASON_MAX {
        return Err(Refusal::ReasonLong(characters));
    }
    Ok(reason.to_owned())
}

/// Decides `subject`, if `ballot` may.
pub fn decide(subject: Subject<'_>, ballot: Ballot<'_>, now: Millis) -> Result<Ruling, Refusal> {
    if !ballot.role.may_decide() {
        return Err(Refusal::NoReviewer { role: ballot.role });
    }
    if ballot.reviewer == subject.owner {
        return Err(Refusal::Owner {
            owner: subject.owner.to_owned(),
        });
    }
    let reason = reason(ballot.reason)?;
    let state = subject.state.after(Event::Decided(ballot.verdict))?;
    if !in_time(subject.deadline, now) {
        return Err(Refusal::Expired(subject.deadline));
    }
    if ballot.digest_shown != subject.digest {
        return Err(Refusal::OtherDigest);
    }
    Ok(Ruling { state, reason })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SUBJECT: Subject<'_> = Subject {
        state: State::Pending,
        owner: "ada",
        digest: &[1; 32],
        deadline: Millis::new(100),
    };
    const BALLOT: Ballot<'_> = Ballot {
        reviewer: "bob",
        role: Role::Reviewer,
        verdict: Verdict::Approve,
        reason: " known upload ",
        digest_shown: &[1; 32],
    };
    const NOW: Millis = Millis::new(99);

    #[test]
    fn a_reviewer_decides_in_time() {
        let ruling = decide(SUBJECT, BALLOT, NOW).unwrap();
        assert_eq!(ruling.state, State::Approved);
        assert_eq!(ruling.reason, "known upload");
    }

    #[test]
    fn each_obstacle_is_named() {
        let long = "x".repeat(REASON_MAX + 1);
        let cases: [(Subject<'_>, Ballot<'_>, Millis, Refusal); 7] = [
            (
                SUBJECT,
                Ballot {
                    role: Role::Viewer,
                    ..BALLOT
                },
                NOW,
                Refusal::NoReviewer { role: Role::Viewer },
            ),
            (
                SUBJECT,
                Ballot {
                    reviewer: "ada",
                    role: Role::Administrator,
                    ..BALLOT
                },
                NOW,
                Refusal::Owner {
                    owner: "ada".into(),
                },
            ),
            (
                SUBJECT,
                Ballot {
                    reason: " \n",
                    ..BALLOT
                },
                NOW,
                Refusal::ReasonMissing,
            ),
            (
                SUBJECT,
                Ballot {
                    reason: &long,
                    ..BALLOT
                },
                NOW,
                Refusal::ReasonLong(REASON_MAX + 1),
            ),
            (
                Subject {
                    state: State::Denied,
                    ..SUBJECT
                },
                BALLOT,
                NOW,
                Refusal::Closed(Closed {
                    state: State::Denied,
                }),
            ),
            (
                SUBJECT,
                BALLOT,
                SUBJECT.deadline,
                Refusal::Expired(SUBJECT.deadline),
            ),
            (
                SUBJECT,
                Ballot {
                    digest_shown: &[],
                    ..BALLOT
                },
                NOW,
                Refusal::OtherDigest,
            ),
        ];
        for (subject, ballot, now, refusal) in cases {
            assert_eq!(decide(subject, ballot, now), Err(refusal));
        }
    }

    proptest! {
        /// Whatever else is true, these can never decide.
        #[test]
        fn no_way_round(
            state in prop::sample::select(State::ALL.to_vec()),
            role in prop::sample::select(Role::ALL.to_vec()),
            reviewer in prop::sample::select(vec!["ada", "bob"]),
            verdict in prop::sample::select(Verdict::ALL.to_vec()),
            reason in ".{0,8}",
            shown in prop::collection::vec(0_u8..2, 32),
            now in 0_i64..200,
        ) {
            let ballot = Ballot {
                reviewer,
                role,
                verdict,
                reason: &reason,
                digest_shown: &shown,
            };
            let subject = Subject { state, ..SUBJECT };
            let ruling = decide(subject, ballot, Millis::new(now));
            prop_assert_eq!(
                ruling.is_ok(),
                state == State::Pending
                    && role.may_decide()
                    && reviewer != "ada"
                    && !reason.trim().is_empty()
                    && shown == [1; 32]
                    && now < 100
            );
            if let Ok(ruling) = ruling {
                prop_assert_eq!(ruling.state == State::Approved, verdict == Verdict::Approve);
                prop_assert!(ruling.state.is_decided());
            }
        }
    }
}
