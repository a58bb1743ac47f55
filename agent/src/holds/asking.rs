//! Holds that a person is asked about: finding them, and what their answer, the
//! approver's or a grant's makes of them.

use holdpoint_proto::v1::RejectionCause;

use super::{
    Answer, Ask, Decided, Effect, HoldId, Holds, Ignored, Look, Phase, Verdict,
    report::{self, Report},
};
use crate::kernel::Held;

impl Holds {
    /// A person decided.
    pub fn decided(&mut self, decided: &Decided, now_ns: u64) -> Result<Vec<Effect>, Ignored> {
        let (id, hold) = self
            .by_request(&decided.request_id)
            .ok_or(Ignored::Unknown)?;
        let Phase::Asking(ask) = &hold.phase else {
            return Err(Ignored::Late);
        };
        if decided.digest != ask.digest {
            return Err(Ignored::Digest);
        }
        if now_ns >= ask.deadline_ns {
            let report = Report::expired(&ask.request_id);
            return Ok(self.refuse(id, report, now_ns));
        }
        let (request, reviewer) = (&ask.request_id, &decided.reviewer);
        let report = match &decided.verdict {
            Verdict::Approved(Look::Digest(digest)) if *digest == ask.digest => {
                let report = Report::decided(request, reviewer, "");
                let answer = Answer::Release(ask.arguments);
                return Ok(vec![hold.answer(answer, now_ns, Some(report))]);
            }
            Verdict::Approved(Look::Elsewhere) => {
                return Ok(self.ask_again(id, &decided.reviewer, now_ns));
            }
            Verdict::Approved(Look::Digest(_)) => Report::decided(
                request,
                reviewer,
                "refused: what it would do is no longer what was approved",
            ),
            Verdict::Approved(Look::Failed(why)) => Report::decided(
                request,
                reviewer,
                &format!("refused: it could not be compared with what was approved: {why}"),
            ),
            Verdict::Denied => Report::decided(request, reviewer, ""),
            Verdict::Flagged => Report::decided(request, reviewer, "flagged"),
        };
        Ok(self.refuse(id, report, now_ns))
    }

    /// The approval is of no use: the kernel would judge another file. It stops the
    /// task again with that.
    fn ask_again(&mut self, id: HoldId, reviewer: &str, now_ns: u64) -> Vec<Effect> {
        let Some(hold) = self.waiting.get_mut(&id) else {
            return Vec::new();
        };
        if let Phase::Asking(ask) = &hold.phase {
            let report = Report::decided(&ask.request_id, reviewer, "");
            hold.phase = Phase::Answered {
                answer: Answer::Refuse,
                at_ns: now_ns,
                report: Some(report),
            };
        }
        self.abandoned(
            id,
            "its file is another one by now, which is asked about anew",
        )
    }

    /// The approver does not, or no longer, put the request to a person.
    pub fn rejected(
        &mut self,
        request_id: &str,
        reason: &str,
        cause: RejectionCause,
        now_ns: u64,
    ) -> Vec<Effect> {
        let Some((id, _)) = self.by_request(request_id) else {
            return Vec::new();
        };
        let report = match cause {
            RejectionCause::Flagged => Report::flagged(request_id, reason),
            RejectionCause::Expired => Report::expired(request_id),
            RejectionCause::Unspecified => Report::rejected(request_id, reason),
        };
        self.refuse(id, report, now_ns)
    }

    /// The hold that `request_id` asks about.
    pub fn asking(&self, request_id: &str) -> Option<(&Held, &Ask)> {
        let hold = self.waiting.get(self.requests.get(request_id)?)?;
        match &hold.phase {
            Phase::Asking(ask) => Some((&hold.held, ask)),
            _ => None,
        }
    }

    /// All holds that people are asked about.
    pub fn all_asking(&self) -> impl Iterator<Item = (&Held, &Ask)> {
        self.waiting.values().filter_map(|hold| match &hold.phase {
            Phase::Asking(ask) => Some((&hold.held, ask.as_ref())),
            _ => None,
        })
    }

    /// A grant lets the hold go on that a person is asked about; nobody has to
    /// answer any more. Nothing if it is not asked about (any more).
    pub fn granted(&mut self, id: HoldId, grant_id: &str, now_ns: u64) -> Vec<Effect> {
        let Some(hold) = self.waiting.get_mut(&id) else {
            return Vec::new();
        };
        let Phase::Asking(ask) = &hold.phase else {
            return Vec::new();
        };
        if now_ns >= ask.deadline_ns {
            // The next look refuses it.
            return Vec::new();
        }
        let request_id = ask.request_id.clone();
        let answer = Answer::Release(ask.arguments);
        let message = report::withdraw(ask, &format!("let go on by the grant {grant_id}"));
        self.requests.remove(&request_id);
        self.unacknowledged.insert(request_id, message.clone());
        vec![
            hold.answer(answer, now_ns, None),
            Effect::Tell(Box::new(message)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn a_grant_answers_an_open_question_once() {
        let (mut holds, waiting) = asking();
        assert_eq!(holds.all_asking().count(), 1);
        let effects = holds.granted(waiting.id, "g", 3);
        assert_eq!(answers(&effects), [Answer::Release(ask(1, 0).arguments)]);
        assert!(matches!(
            &told(&effects)[..],
            [holdpoint_proto::v1::host_message::Message::Withdraw(withdraw)]
                if withdraw.reason.contains("grant g")
        ));
        assert_eq!(holds.granted(waiting.id, "g", 4), []);
        assert_eq!(holds.decided(&decided(1, false), 4), Err(Ignored::Unknown));
        assert!(holds.asking("request-1").is_none());
        // Said until it is acknowledged.
        assert_eq!(holds.unsettled(5).len(), 1);
        assert_eq!(holds.released(waiting.id), []);
        holds.acknowledged("request-1");
        assert!(holds.unsettled(6).is_empty() && holds.is_empty());
    }

    #[test]
    fn a_grant_answers_nothing_after_the_deadline() {
        let (mut holds, waiting) = asking();
        assert_eq!(holds.granted(waiting.id, "g", 60 * SECOND), []);
    }

    #[test]
    fn an_approval_of_what_is_another_by_now_is_refused() {
        let (mut holds, waiting) = asking();
        let approved = Decided {
            verdict: Verdict::Approved(Look::Digest([9; 32])),
            ..decided(1, true)
        };
        let effects = holds.decided(&approved, 3).unwrap();
        assert_eq!(answers(&effects), [Answer::Refuse]);
        let effects = holds.refused(waiting.id);
        assert!(format!("{effects:?}").contains("no longer what was approved"));
    }

    #[test]
    fn an_approval_that_cannot_be_compared_is_refused() {
        let (mut holds, _) = asking();
        let approved = Decided {
            verdict: Verdict::Approved(Look::Failed("it takes too long".to_owned())),
            ..decided(1, true)
        };
        let effects = holds.decided(&approved, 3).unwrap();
        assert_eq!(answers(&effects), [Answer::Refuse]);
    }

    #[test]
    fn a_file_that_is_elsewhere_is_asked_about_anew() {
        let (mut holds, waiting) = asking();
        let approved = Decided {
            verdict: Verdict::Approved(Look::Elsewhere),
            ..decided(1, true)
        };
        let effects = holds.decided(&approved, 3).unwrap();
        assert_eq!(answers(&effects), []);
        assert!(effects.contains(&Effect::Forget(waiting.id)));
        let [holdpoint_proto::v1::host_message::Message::Outcome(outcome)] = &told(&effects)[..]
        else {
            panic!("{effects:?}");
        };
        assert_eq!(outcome.outcome(), holdpoint_proto::v1::Outcome::Gone);
        assert!(outcome.detail.contains("asked about anew"), "{outcome:?}");
        assert!(holds.is_empty());
    }
}
