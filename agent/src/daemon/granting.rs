//! Grants in the running daemon: when one is issued, used, taken back or over,
//! and who hears of it.

use holdpoint_proto::{digest, v1};
use tracing::{info, warn};

use super::Daemon;
use crate::{
    grants::{Bearer, Change, Grants, Now, ProcessBound},
    holds::{Ask, Look, Ruling},
    kernel::{Content, Gate, Held},
    ruling::context,
};

use super::reading::Purpose;

impl<G: Gate + ?Sized> Daemon<G> {
    fn now(&self) -> Now {
        let moment = self.moment();
        Now {
            boot_ns: moment.boot_ns,
            wall: moment.wall,
        }
    }

    /// The policy wants a person to decide, and the content of the file is known
    /// as far as it can be: a grant answers, or people are asked.
    pub(super) fn ask(&mut self, held: &Held, mut ask: Box<Ask>, content: Content) {
        context::set_content(&mut ask.context, content);
        ask.digest = digest::of(&ask.context);
        let now = self.now();
        let ruling = match self.grants.cover(&ask.context, bearer(held, &ask), now) {
            Some(used) => {
                let grant_id = used.grant_id.clone();
                self.tell_grant(&used);
                Ruling::Granted {
                    arguments: ask.arguments,
                    grant_id,
                }
            }
            None => match self.too_many(held) {
                Some(reason) => Ruling::Refused { reason },
                None => Ruling::Ask(ask),
            },
        };
        self.ruled(held, ruling);
    }

    /// Why nobody is asked about `held`, if its session has as many questions open
    /// as its profile allows: reviewers must not be worn out, nor other sessions
    /// have to wait behind this one's.
    fn too_many(&self, held: &Held) -> Option<String> {
        let session = self.session(held.session).ok().flatten()?;
        let most = self.profiles.get(&session.profile)?.max_requests;
        let open = self
            .holds
            .all_asking()
            .filter(|(other, _)| other.session == held.session && other.id != held.id)
            .count();
        (open >= most as usize).then(|| {
            format!(
                "its session has {open} requests open already, and `max_requests` of profile {:?} \
                 allows no more",
                session.profile
            )
        })
    }

    /// A decision was carried out; whatever it grants begins or never does.
    pub(super) fn granted_by(
        &mut self,
        decision: &v1::Decision,
        held: &Held,
        ask: &Ask,
        released: bool,
    ) {
        let change = if released {
            let now = self.now();
            self.grants
                .issue(decision, &ask.context, bearer(held, ask), now)
        } else {
            Grants::unissued(
                decision,
                &ask.context,
                "the operation itself does not go on",
            )
        };
        let Some(change) = change else { return };
        self.tell_grant(&change);
        if change.change == v1::GrantChange::Active {
            self.look_at_waiting();
        }
    }

    /// A decision came for nothing, and so did what it grants.
    pub(super) fn grant_lost(&mut self, decision: &v1::Decision, why: &str) {
        let active = decision
            .grant
            .as_ref()
            .is_some_and(|grant| self.grants.ids().contains(&grant.id));
        if !active
            && let Some(change) = Grants::unissued(decision, &v1::RequestContext::default(), why)
        {
            self.tell_grant(&change);
        }
    }

    /// Others wait for what a new grant may let go on.
    fn look_at_waiting(&self) {
        let now = self.now();
        for (held, ask) in self.holds.all_asking() {
            if self.grants.covers(&ask.context, bearer(held, ask), now) {
                self.readers
                    .look(&self.gate, Box::new(held.clone()), ask, Purpose::Grant);
            }
        }
    }

    /// A hold that a grant may cover was looked at once more. If it is not what it
    /// was, the person who is asked decides.
    pub(super) fn grant_waiting(&mut self, held: &Held, look: &Look) {
        let found = self
            .holds
            .all_asking()
            .find(|(waiting, _)| waiting.id == held.id)
            .map(|(_, ask)| ask.clone());
        let Some(ask) = found.filter(|ask| *look == Look::Digest(ask.digest)) else {
            return;
        };
        let now = self.now();
        if now.boot_ns >= ask.deadline_ns {
            return;
        }
        if let Some(used) = self.grants.cover(&ask.context, bearer(held, &ask), now) {
            let effects = self.holds.granted(held.id, &used.grant_id, now.boot_ns);
            self.tell_grant(&used);
            self.recording.granted(held.id, &used.grant_id);
            self.carry_out(effects);
        }
    }

    pub(super) fn revoke(&mut self, grant_id: &str) {
        if let Some(change) = self.grants.revoke(grant_id) {
            self.tell_grant(&change);
        }
    }

    /// Ends the grants that are over.
    pub(super) fn sweep_grants(&mut self) {
        if self.grants.ids().is_empty() {
            return;
        }
        let now = self.now();
        let gate = &self.gate;
        let sessions = match gate.sessions() {
            Ok(sessions) => sessions,
            Err(error) => return super::trouble(&error),
        };
        let changes = self
            .grants
            .sweep(now, |bearer: Bearer, bound: ProcessBound| {
                sessions.iter().any(|session| session.id == bearer.session)
                    && (!bound.0 || gate.process_lives(bearer.pid, bearer.process_start_ns))
            });
        for change in changes {
            self.tell_grant(&change);
        }
    }

    pub(super) fn tell_grant(&mut self, change: &Change) {
        self.recording.grant(change);
        let Change {
            grant_id,
            request_id,
            uses,
            reason,
            ..
        } = change;
        let what = change.change.as_str_name();
        if change.change == v1::GrantChange::Ended && *uses == 0 && !reason.is_empty() {
            warn!(
                grant = grant_id,
                request = request_id,
                uses,
                reason,
                "{what}"
            );
        } else {
            info!(
                grant = grant_id,
                request = request_id,
                uses,
                reason,
                "{what}"
            );
        }
        self.ledger.note(&self.grants);
        let ids = self.grants.ids();
        self.hello.send_if_modified(|hello| {
            hello.grant_ids = ids;
            // Greeted with the next time; no reason for a new stream.
            false
        });
    }
}

fn bearer(held: &Held, ask: &Ask) -> Bearer {
    Bearer {
        session: held.session,
        pid: held.id.tgid,
        process_start_ns: ask.process_start_ns,
    }
}
