//! Grants as a host's Hello names them: what it honours, set against what it
//! should.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Store, StoreError, TOGETHER, end, record_end};
use crate::{
    domain::{
        grant::{Event, State},
        time::Millis,
    },
    store::parse,
};

/// What a host's Hello shows of its grants.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Honoured {
    /// Grants it names and should not honour.
    pub(crate) wrong: Vec<String>,
    /// Grants that are over, since it does not name them.
    pub(crate) over: Vec<String>,
}

/// A grant that may still give something.
struct Open {
    id: String,
    state: State,
    /// Its host has told what became of the operation that was held.
    carried_out: bool,
}

impl Store {
    /// Compares the grants that `host` says it honours with those it should, and
    /// ends what that shows to be over: a revoked one that it does not name, and an
    /// active one that it must have known and does not name.
    ///
    /// It need not know one yet whose decision has not reached it. It has if it
    /// has told what became of the operation: a host begins a grant before that.
    /// If it has `rebooted`, no process of before is left that could use any.
    pub(crate) async fn honoured(
        &self,
        host: Uuid,
        named: &HashSet<String>,
        rebooted: bool,
        now: Millis,
    ) -> Result<Honoured, StoreError> {
        let open = self.open_grants(host).await?;
        let states: HashMap<&str, State> = open
            .iter()
            .map(|grant| (grant.id.as_str(), grant.state))
            .collect();
        let wrong = named
            .iter()
            .filter(|id| states.get(id.as_str()) != Some(&State::Active))
            .cloned()
            .collect();
        let gone: Vec<&Open> = open
            .iter()
            .filter(|grant| !named.contains(&grant.id))
            .filter(|grant| grant.state == State::Revoking || grant.carried_out || rebooted)
            .collect();
        let mut over = Vec::with_capacity(gone.len());
        for some in gone.chunks(TOGETHER as usize) {
            let mut change = self.begin().await?;
            for Open { id, state, .. } in some {
                let detail = match state {
                    State::Revoking => "revoked; its host honours it no more",
                    _ => "its host honours it no more",
                };
                if end(&mut change, id, Event::HostEnded, now).await? {
                    record_end(&mut change, id, detail, now).await?;
                    over.push(id.clone());
                }
            }
            change.commit().await?;
        }
        Ok(Honoured { wrong, over })
    }

    /// Grants of `host` that are revoked, and it has not said that it knows.
    pub(crate) async fn revoking(&self, host: Uuid) -> Result<Vec<String>, StoreError> {
        // The first condition is that of the index over the few that are open.
        let revoking = sqlx::query_scalar(
            "SELECT grants.id FROM grants JOIN requests ON requests.id = grants.request_id
             WHERE grants.state IN ('active', 'revoking') AND grants.state = 'revoking'
                 AND requests.host_id = ?",
        )
        .bind(host.to_string())
        .fetch_all(&self.read)
        .await?;
        Ok(revoking)
    }

    async fn open_grants(&self, host: Uuid) -> Result<Vec<Open>, StoreError> {
        let open: Vec<(String, String, bool)> = sqlx::query_as(
            "SELECT grants.id, grants.state, requests.outcome IS NOT NULL FROM grants
             JOIN requests ON requests.id = grants.request_id
             WHERE requests.host_id = ? AND grants.state IN ('active', 'revoking')",
        )
        .bind(host.to_string())
        .fetch_all(&self.read)
        .await?;
        let open = open.into_iter().map(|(id, state, carried_out)| {
            let state = parse("state", &state)?;
            Ok(Open {
                id,
                state,
                carried_out,
            })
        });
        Ok(open.collect::<Result<_, sqlx::Error>>()?)
    }
}
