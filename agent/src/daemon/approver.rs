//! What the approver says, and what it means for the holds.
//!
//! Must never let an operation go on by itself: a decision without a valid
//! signature changes nothing, and an approved operation is looked at once more
//! before [`crate::holds::Holds`] hears of the approval.

use holdpoint_proto::v1::{self, approver_message::Message};
use tracing::{debug, error, info, warn};

use super::{
    Daemon,
    reading::{Purpose, Reading},
};
use crate::{
    events::recorder::Grounds,
    holds::{Decided, Effect, Ignored, Look, Verdict},
    kernel::{Answer, Gate, Held},
    link::LinkEvent,
};

impl<G: Gate + ?Sized> Daemon<G> {
    pub(super) fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up(sender) => {
                for message in self.holds.unsettled(self.gate.now_ns()) {
                    if sender.send(message).is_err() {
                        return;
                    }
                }
                self.link = Some(sender);
            }
            LinkEvent::Down => self.link = None,
            LinkEvent::Message(message) => self.approver_said(*message),
        }
    }

    fn approver_said(&mut self, message: Message) {
        match message {
            Message::Welcome(_) => {}
            Message::Accepted(accepted) => {
                debug!(
                    request = accepted.request_id,
                    "a person can see the request"
                );
            }
            Message::Acknowledged(acknowledged) => {
                self.holds.acknowledged(&acknowledged.request_id);
            }
            Message::Rejected(rejected) => {
                warn!(
                    request = rejected.request_id,
                    reason = rejected.reason,
                    cause = ?rejected.cause(),
                    "the approver rejected a request; the operation is refused"
                );
                let on = |basis| Grounds {
                    detail: rejected.reason.clone(),
                    ..Grounds::on(basis)
                };
                let grounds = match rejected.cause() {
                    v1::RejectionCause::Flagged => on(v1::Basis::Flag),
                    v1::RejectionCause::Expired => on(v1::Basis::Expiry),
                    v1::RejectionCause::Unspecified => {
                        Grounds::gate(format!("rejected by the approver: {}", rejected.reason))
                    }
                };
                self.recording.decided(&rejected.request_id, grounds);
                let effects = self.holds.rejected(
                    &rejected.request_id,
                    &rejected.reason,
                    rejected.cause(),
                    self.gate.now_ns(),
                );
                self.carry_out(effects);
            }
            Message::Decision(decision) => self.decision(decision),
            Message::Revoke(revoke) => self.revoke(&revoke.grant_id),
        }
    }

    fn decision(&mut self, decision: v1::Decision) {
        if !(self.identity)().is_some_and(|identity| identity.signed(&decision)) {
            error!(
                request = decision.request_id,
                "a decision without a valid signature was ignored"
            );
            return;
        }
        let verdict = decision.verdict();
        info!(
            request = decision.request_id,
            verdict = verdict.as_str_name(),
            reviewer = decision.reviewer,
            "decided"
        );
        let now = self.gate.now_ns();
        match verdict {
            v1::Verdict::Approve => match self.holds.asking(&decision.request_id) {
                Some((held, ask)) => {
                    let purpose = Purpose::Approval {
                        decision: Box::new(decision),
                        heard_ns: now,
                    };
                    self.readers
                        .look(&self.gate, Box::new(held.clone()), ask, purpose);
                }
                None => self.not_applied(&decision, &Ignored::Unknown.to_string()),
            },
            v1::Verdict::Flag => self.apply(&decision, Verdict::Flagged, now),
            // What this version does not know is no approval.
            v1::Verdict::Deny | v1::Verdict::Unspecified => {
                self.apply(&decision, Verdict::Denied, now);
            }
        }
    }

    /// An operation that is to go on was looked at once more.
    pub(super) fn looked(&mut self, held: &Held, purpose: Purpose, look: Look) {
        match purpose {
            Purpose::Approval { decision, heard_ns } => {
                self.apply(&decision, Verdict::Approved(look), heard_ns);
            }
            Purpose::Grant => self.grant_waiting(held, &look),
        }
    }

    fn apply(&mut self, decision: &v1::Decision, verdict: Verdict, heard_ns: u64) {
        let Some((held, ask)) = self.holds.asking(&decision.request_id) else {
            return self.not_applied(decision, &Ignored::Unknown.to_string());
        };
        let (held, ask) = (held.clone(), ask.clone());
        let decided = Decided {
            request_id: decision.request_id.clone(),
            digest: decision.digest.clone(),
            verdict,
            reviewer: decision.reviewer.clone(),
        };
        match self.holds.decided(&decided, heard_ns) {
            Ok(effects) => {
                let released = effects
                    .iter()
                    .any(|effect| matches!(effect, Effect::Answer(_, Answer::Release(_))));
                if !released && decided.verdict != Verdict::Denied {
                    warn!(
                        request = decided.request_id,
                        verdict = ?decided.verdict,
                        "the operation does not go on"
                    );
                }
                // Too late, it changes nothing: the deadline answers.
                if heard_ns < ask.deadline_ns {
                    self.recording
                        .decided(&decided.request_id, grounds(decision, &decided.verdict));
                }
                self.carry_out(effects);
                self.measure_decision(held.id, decision.verdict(), heard_ns);
                self.granted_by(decision, &held, &ask, released);
            }
            Err(reason) => self.not_applied(decision, &reason.to_string()),
        }
    }

    fn not_applied(&mut self, decision: &v1::Decision, reason: &str) {
        warn!(
            request = decision.request_id,
            reason, "decision not applied"
        );
        self.grant_lost(decision, reason);
    }

    /// Something was read of a held operation.
    pub(super) fn read(&mut self, reading: Reading) {
        match reading {
            Reading::Described { held, facts } => self.rule(held, &facts),
            Reading::Content { held, ask, content } => self.ask(&held, ask, content),
            Reading::Looked {
                held,
                purpose,
                look,
            } => self.looked(&held, purpose, look),
        }
    }
}

/// What an answer rests on that carries out `decision`.
fn grounds(decision: &v1::Decision, verdict: &Verdict) -> Grounds {
    let reviewer = &decision.reviewer;
    let detail = match verdict {
        Verdict::Approved(Look::Failed(why)) => {
            format!("approved by {reviewer}, and could not be compared with that: {why}")
        }
        Verdict::Approved(_) => format!("approved by {reviewer}"),
        Verdict::Denied => format!("denied by {reviewer}"),
        Verdict::Flagged => format!("flagged by {reviewer}"),
    };
    Grounds {
        detail,
        grant_id: decision
            .grant
            .as_ref()
            .map(|grant| grant.id.clone())
            .unwrap_or_default(),
        ..Grounds::on(v1::Basis::Decision)
    }
}
