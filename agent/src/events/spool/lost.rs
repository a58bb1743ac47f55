//! Events that were not kept, until a gap says so.
//!
//! Must never make a loss smaller than it was: a gap that finds no room stands for
//! all that it was to declare.

use holdpoint_proto::v1::{self, event::Body};
use prost_types::Timestamp;

use super::NotKept;

/// Longest words of a lost gap that are worth repeating.
const DETAIL: usize = 1024;

/// What is lost with one event.
#[derive(Debug)]
pub(super) struct Loss {
    /// How many events; none if nobody knows.
    count: Option<u64>,
    /// When the first was lost; none if nobody knows.
    since: Option<Timestamp>,
    /// What it said, if it is a gap.
    gap: Option<String>,
}

impl Loss {
    /// What is lost if `event` is.
    pub(super) fn of(event: &v1::Event) -> Self {
        match &event.body {
            Some(Body::Gap(gap)) => Self {
                count: (gap.lost > 0).then_some(gap.lost),
                since: gap.since,
                gap: Some(gap.detail.clone()),
            },
            _ => Self {
                count: Some(1),
                since: event.time,
                gap: None,
            },
        }
    }

    /// Events that the spool itself loses with it: what a gap declares was lost
    /// elsewhere, before.
    pub(super) fn of_the_spool(&self) -> u64 {
        u64::from(self.gap.is_none())
    }
}

/// All that was lost since the last gap.
#[derive(Debug)]
pub(super) struct Lost {
    /// Events that are known to be.
    count: u64,
    /// There may be others.
    unknown: bool,
    since: Option<Timestamp>,
    why: String,
    /// What the first gap among them said.
    gap: Option<String>,
    /// It was for want of room, so it takes some to go on.
    pub(super) full: bool,
}

impl Lost {
    /// `loss` is the first, for `error`.
    pub(super) fn first(loss: Loss, error: &NotKept) -> Self {
        Self {
            count: loss.count.unwrap_or(0),
            unknown: loss.count.is_none(),
            since: loss.since,
            why: error.to_string(),
            gap: loss.gap,
            full: matches!(error, NotKept::Full),
        }
    }

    /// `loss`, too.
    pub(super) fn and(&mut self, loss: Loss) {
        self.count = self.count.saturating_add(loss.count.unwrap_or(0));
        self.unknown |= loss.count.is_none();
        self.since = self
            .since
            .zip(loss.since)
            .map(|(one, other)| std::cmp::min_by_key(one, other, |at| (at.seconds, at.nanos)));
        if self.gap.is_none() {
            self.gap = loss.gap;
        }
    }

    /// How many there are at least.
    pub(super) fn at_least(&self) -> u64 {
        self.count.saturating_add(u64::from(self.unknown))
    }

    /// The gap that declares it.
    pub(super) fn gap(&self) -> v1::Gap {
        let mut detail = self.why.clone();
        if let Some(gap) = self.gap.as_ref().filter(|gap| gap.len() <= DETAIL) {
            detail = format!("{detail}; what is missing too: {gap}");
        }
        if self.unknown && self.count > 0 {
            detail = format!("{detail}; {} events are known to be missing", self.count);
        }
        v1::Gap {
            cause: v1::GapCause::Spool.into(),
            // 0: that is not known.
            lost: if self.unknown { 0 } else { self.count },
            since: self.since,
            detail,
        }
    }
}
