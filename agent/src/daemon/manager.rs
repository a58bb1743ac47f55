//! What the service manager hears of the running daemon, and what it may ask for:
//! a policy to be read anew.
//!
//! Must never say *ready* before the kernel has refused the canary: whoever waits
//! for the service relies on the gate.

use std::time::Duration;

use tracing::{info, warn};

use super::Daemon;
use crate::{config::Profiles, kernel::Gate};

impl<G: Gate + ?Sized> Daemon<G> {
    /// The canary came back.
    pub(super) fn tell_readiness(&mut self) {
        if self.enforcement.is_ok() && !self.ready {
            self.notifier.ready();
            self.ready = true;
        }
        self.tell_status();
    }

    /// One line for `systemctl status`, told when it is another than before.
    pub(super) fn tell_status(&mut self) {
        let link = self.link_state.borrow().clone();
        let approver = match (&link.address, link.connected) {
            (Some(address), true) => format!("linked to {address}"),
            (Some(address), false) => format!("no link to {address}"),
            (None, _) => "not enrolled".to_owned(),
        };
        let status = match &self.enforcement {
            Ok(()) => format!(
                "enforcing, {} held, {} grants, {approver}",
                self.holds.len(),
                self.grants.ids().len()
            ),
            Err(reason) => format!("NOT ENFORCING: {reason}; {approver}"),
        };
        self.notifier.status(&status);
    }

    /// Other policies are in force from now on. What people are asked about stays
    /// asked, under the rule that asked; what was granted under a policy that is
    /// not in force any more ends.
    pub(super) fn reload(&mut self, profiles: Profiles) {
        self.notifier.reloading(monotonic());
        self.profiles = profiles;
        if let Err(error) = self.gate.policy_changed() {
            // The kernel goes on with what it remembers of the old policy.
            super::trouble(&error);
            warn!("verdicts of the old policy may stay in force; restart holdpointd");
        }
        let profiles = &self.profiles;
        let in_force = |name: &str| profiles.get(name).map(|profile| profile.policy.sha256());
        for change in self.grants.policies_changed(in_force) {
            self.tell_grant(&change);
        }
        self.recording.policies(&self.profiles);
        let policies = super::policies(&self.profiles);
        self.hello.send_if_modified(|hello| {
            let changed = hello.policies != policies;
            hello.policies = policies;
            changed
        });
        info!(profiles = self.profiles.len(), "policies read anew");
        if self.ready {
            self.notifier.ready();
        }
    }
}

/// The clock that the manager compares with.
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}
