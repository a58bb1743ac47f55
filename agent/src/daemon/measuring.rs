//! What the running daemon says of itself in numbers.
//!
//! Only what it knows anyway: nobody and nothing is asked for them.

#[cfg(test)]
mod tests;

use std::time::Duration;

use holdpoint_proto::v1;

use super::Daemon;
use crate::{
    kernel::{Gate, HoldId},
    metrics::{Now, Profile},
};

impl<G: Gate + ?Sized> Daemon<G> {
    /// What is so now. Told now and then, not when somebody looks: whoever looks
    /// may look as often as they like.
    pub(super) fn measure(&self) {
        if !self.metrics.is_on() {
            return;
        }
        let mut now = Now {
            enforcing: self.enforcement.is_ok(),
            proved: self.proved,
            link_up: self.link_state.borrow().connected,
            holds: self.holds.len(),
            requests: self.holds.all_asking().count(),
            grants: self.grants.ids().len(),
            profiles: self
                .profiles
                .iter()
                .map(|(name, profile)| (name.clone(), Profile::under(profile.policy.sha256())))
                .collect(),
            orphans: 0,
            spool: self.recording.journal().state().fill,
            untold: self.recording.lost(),
        };
        for profile in self.recording.profiles_of_sessions() {
            match now.profiles.get_mut(profile) {
                Some(profile) => profile.sessions += 1,
                None => now.orphans += 1,
            }
        }
        self.metrics.is_so(now);
    }

    /// The answer to a hold is in the kernel.
    pub(super) fn measure_answer(&mut self, id: HoldId) {
        if let Some(basis) = self.recording.answered(id) {
            self.metrics.answered(basis, self.since(id.held_ns));
        }
    }

    /// A decision that was heard at `heard_ns` was carried out, if the answer to its
    /// hold is in the kernel.
    pub(super) fn measure_decision(&self, id: HoldId, verdict: v1::Verdict, heard_ns: u64) {
        if self.recording.is_answered(id) {
            self.metrics.carried_out(verdict, self.since(heard_ns));
        }
    }

    fn since(&self, boot_ns: u64) -> Duration {
        Duration::from_nanos(self.gate.now_ns().saturating_sub(boot_ns))
    }
}
