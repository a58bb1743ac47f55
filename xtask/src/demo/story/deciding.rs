//! Who decides, where and what comes of it; and what nobody may decide.

use anyhow::{Context as _, Result, bail};

use super::{
    super::{
        browser::{Answer as Answered, Ballot, Browser},
        page,
        people::{Request, listed},
    },
    Deciders, Story, observe,
    scenes::{Answer, Edge, Scene},
};
use crate::{
    process::quoted,
    random,
    stack::{OWNER, REVIEWERS},
};

/// What the approver answers to decisions it takes.
const TAKEN: u16 = 200;

impl Story<'_> {
    /// Nobody decides about an agent of their own.
    pub(super) fn owner_tries(&mut self, scene: &Scene, request: &Request) -> Result<()> {
        let ballot = self.ballot(OWNER, "approve", request, "it is my own agent")?;
        let answer = self.cast(OWNER, &ballot, request)?;
        let now = self.approver.request(request.id())?;
        let refused = answer.status == 403 && answer.code() == "own-request";
        let found = || format!("{answer:?}, and {now}");
        // Whoever has the dashboard open may have been faster.
        if matches!(self.deciders, Deciders::Person { .. }) && now.state() != "pending" {
            return observe(
                refused && now.reviewer() != OWNER,
                "refused: nobody approves what their own agent does",
                found,
            );
        }
        observe(
            refused && now.state() == "pending",
            "refused: nobody approves what their own agent does; the request is still pending",
            found,
        )?;
        self.nothing_happened(scene)
    }

    /// Does what the scene's reviewer does.
    pub(super) fn answer(&mut self, answer: Answer, request: &Request) -> Result<()> {
        let (who, edge, verb, reason) = match answer {
            Answer::Approve { who, edge, reason } => (who, edge, "approve", reason),
            Answer::Deny { who, edge, reason } => (who, edge, "deny", reason),
            Answer::Silence => return Ok(()),
        };
        match edge {
            Edge::Browser => self.decide_in_browser(who, verb, request, reason),
            Edge::Terminal => self.decide_in_terminal(who, verb, request, reason),
        }
    }

    /// Decides, and sends the same once more: what was lost on the way may be sent
    /// again, and is one decision.
    fn decide_in_browser(
        &mut self,
        who: &str,
        verb: &str,
        request: &Request,
        reason: &str,
    ) -> Result<()> {
        let ballot = self.ballot(who, verb, request, reason)?;
        let first = self.cast(who, &ballot, request)?;
        if first.status != TAKEN {
            bail!("expected: the decision of {who} is taken\nfound: {first:?}");
        }
        page::line(who, "the same once more, as if the answer had been lost");
        let again = self.send(who, &ballot, request)?;
        let decision = |answer: &Answered| answer.body["decision"].clone();
        observe(
            again.status == TAKEN
                && decision(&first).is_object()
                && decision(&again) == decision(&first),
            "the same call, with the same Idempotency-Key, is the same decision",
            || format!("{again:?} after {first:?}"),
        )
    }

    fn decide_in_terminal(
        &mut self,
        who: &str,
        verb: &str,
        request: &Request,
        reason: &str,
    ) -> Result<()> {
        let words = [verb, request.short(), "--reason", reason];
        page::line(who, &typed(&words));
        let said = self.approver.say(who, &words)?;
        page::line(who, said.last_line());
        if said.worked() {
            Ok(())
        } else {
            bail!("expected: the decision of {who} is taken\nfound: {said:?}")
        }
    }

    /// What was decided, or not in time, stays so.
    pub(super) fn decided_once(&mut self) -> Result<()> {
        let requests = self.requests.clone();
        for request in requests.iter().filter(|one| one.state() != "withdrawn") {
            let verb = if request.state() == "approved" {
                "deny"
            } else {
                "approve"
            };
            let ballot = self.ballot(REVIEWERS[1], verb, request, "on second thoughts")?;
            let answer = self.cast(REVIEWERS[1], &ballot, request)?;
            let now = self.approver.request(request.id())?;
            observe(
                is_too_late(&answer, request)
                    && now.state() == request.state()
                    && now.reason() == request.reason(),
                &format!(
                    "refused: request {} is still {}",
                    request.short(),
                    now.state()
                ),
                || format!("{answer:?}, and {now}"),
            )?;
        }
        let all = self.approver.requests()?;
        observe(
            all.len() == requests.len(),
            &format!("the approver has these {} requests and no other", all.len()),
            || listed(&all),
        )
    }

    /// Looks at a request in somebody's browser, to decide about it.
    fn ballot(&mut self, who: &str, verb: &str, request: &Request, reason: &str) -> Result<Ballot> {
        let key = random::word()?;
        self.browser(who)?.ballot(request.id(), verb, reason, key)
    }

    /// Decides in somebody's browser; shows what it sends and gets.
    fn cast(&mut self, who: &str, ballot: &Ballot, request: &Request) -> Result<Answered> {
        page::line(who, &ballot.in_words());
        self.send(who, ballot, request)
    }

    /// The same, without showing what it sends.
    fn send(&mut self, who: &str, ballot: &Ballot, request: &Request) -> Result<Answered> {
        let answer = self.browser(who)?.cast(ballot)?;
        let about = format!("request {}", request.short());
        page::line(who, &answer.in_words(&about));
        Ok(answer)
    }

    /// Somebody's browser, logged in.
    fn browser(&mut self, who: &str) -> Result<&Browser> {
        if !self.browsers.contains_key(who) {
            let dashboard = self.approver.dashboard();
            page::line(who, &format!("opens {dashboard} and logs in"));
            let browser = Browser::open(self.approver, who)?;
            self.browsers.insert(who.to_owned(), browser);
        }
        self.browsers.get(who).context("the browser is gone")
    }
}

/// `holdpoint` as somebody types it.
pub(super) fn typed(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("$ holdpoint {}", words.join(" "))
}

/// The approver says that it was decided before, and by whom.
fn is_too_late(answer: &Answered, request: &Request) -> bool {
    let names = |answer: &Answered| answer.detail().contains(request.reviewer());
    answer.status == 409 && answer.code() == "already-decided" && names(answer)
}
