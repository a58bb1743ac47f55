//! What happened, asked of the approver: what it and the host have recorded must
//! be what the story has seen.

use anyhow::{Context as _, Result};

use super::{
    super::{
        page,
        people::Request,
        records::{Record, Tells, amiss, delay, listed},
    },
    SOON, Story,
    deciding::typed,
    observe,
};
use crate::stack::REVIEWERS;

/// So soon after the decision the operation must be on its way, in milliseconds.
const PROMPT: i64 = 1_000;

impl Story<'_> {
    /// How soon after its decision an operation was on its way.
    pub(super) fn was_prompt(&self, request: &Request) -> Result<()> {
        let query = format!("request:{} kind:decision,request", request.id());
        let records = self.approver.records(&query)?;
        let delay = delay(&records).with_context(|| {
            format!(
                "expected: when it was decided and released\nfound: {}",
                listed(&records)
            )
        })?;
        let (seconds, hundredths) = (delay / 1_000, delay % 1_000 / 10);
        observe(
            !self.must_be_prompt || delay <= PROMPT,
            &format!("the kernel let it go on {seconds}.{hundredths:02} s after the decision"),
            || format!("a delay of {delay} ms; at most {PROMPT} ms are promised"),
        )
    }

    /// What happened can be asked.
    pub(super) fn asked(&mut self) -> Result<()> {
        let session = self.requests.first().map(Request::session);
        let session = session.context("nothing was held")?.to_owned();
        let held = "outcome:released,denied,abandoned";
        self.ask(
            &format!("session:{session} kind:exec,connect {held}"),
            Record::tells_operation,
            "what the host recorded of each held operation is what has been seen here",
        )?;
        let closed = "outcome:approved,denied,flagged,expired,withdrawn";
        self.closings = self.ask(
            &format!("session:{session} kind:decision,request {closed}"),
            Record::tells_closing,
            "and so are the decisions, with who decided and why",
        )?;
        Ok(())
    }

    /// Asks until the answer tells of each request; events are a moment under way.
    fn ask(&mut self, query: &str, tells: Tells, means: &str) -> Result<Vec<Record>> {
        let who = REVIEWERS[0];
        let mut found = String::new();
        let answered = self.wait(means, SOON, |story| {
            let records = story.approver.records(query)?;
            match amiss(&story.requests, &records, tells) {
                None => Ok(Some(records)),
                Some(what) => {
                    found = what;
                    Ok(None)
                }
            }
        });
        let records = answered.with_context(|| format!("`holdpoint events` found {found}"))?;
        let words = ["events", query];
        page::line(who, &typed(&words));
        let said = self.approver.say(who, &words)?;
        for line in said.headlines() {
            page::line(who, line);
        }
        observe(
            said.worked() && said.headlines().count() == records.len(),
            means,
            || format!("{said:?}"),
        )?;
        Ok(records)
    }
}
