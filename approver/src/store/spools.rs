//! Spools: how far each host's numbered events are stored.
//!
//! Everything up to a spool's last number is in `events`, once, or declared
//! missing there. The number moves in the transaction that stores the records,
//! so whatever dies in between, a batch that comes again adds nothing twice.

use holdpoint_history::audit::HostRef;
use holdpoint_proto::v1::{Event, Gap, GapCause, Lifecycle, event::Body};
use sqlx::SqliteConnection;

use super::{
    Store, StoreError,
    events::{append_host_event, read, stored},
    grants, sessions,
};
use crate::domain::{
    spool::{Opening, Overlap, WrongNumbers, opening, overlap},
    time::Millis,
};

/// Name of a spool: 16 random bytes.
pub(crate) type SpoolId = [u8; 16];

/// What became of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stored {
    /// Everything up to here is stored.
    pub(crate) last_sequence: u64,
    /// Records that were new.
    pub(crate) new: usize,
}

impl Store {
    /// Begins or goes on with a spool whose oldest event is `first`. Numbers
    /// that never came are declared missing. Gives the last number that is stored.
    pub(crate) async fn open_spool(
        &self,
        host: &HostRef,
        spool: &SpoolId,
        first: u64,
        now: Millis,
    ) -> Result<Result<u64, WrongNumbers>, StoreError> {
        let mut change = self.begin().await?;
        sqlx::query(
            "INSERT INTO spools (host_id, spool_id, opened_at, last_sequence) VALUES (?, ?, ?, 0)
             ON CONFLICT DO NOTHING",
        )
        .bind(&host.id)
        .bind(spool.as_slice())
        .bind(now.get())
        .execute(&mut *change)
        .await?;
        let last = last_sequence(&mut change, host, spool).await?;
        let last = match opening(last, first) {
            Err(wrong) => return Ok(Err(wrong)),
            Ok(Opening::Whole) => last,
            Ok(Opening::Missing { lost, up_to }) => {
                let gap = Event {
                    sequence: up_to,
                    time: Some(now.into()),
                    body: Some(Body::Gap(Gap {
                        cause: GapCause::Sequence.into(),
                        lost,
                        since: None,
                        detail: format!(
                            "the host's spool begins at {first}; {} was expected",
                            last.saturating_add(1)
                        ),
                    })),
                };
                append_host_event(&mut change, host, spool, &gap, now).await?;
                advance(&mut change, host, spool, up_to, 1).await?;
                tracing::warn!(host.id = host.id, lost, "events of a host never came");
                up_to
            }
        };
        change.commit().await?;
        Ok(Ok(last))
    }

    /// Stores what is new of `events`, all of it or nothing.
    pub(crate) async fn store_events(
        &self,
        host: &HostRef,
        spool: &SpoolId,
        events: &[Event],
        now: Millis,
    ) -> Result<Result<Stored, WrongNumbers>, StoreError> {
        let mut change = self.begin().await?;
        let last = last_sequence(&mut change, host, spool).await?;
        let numbers = events.iter().map(|event| event.sequence);
        let Overlap { known, last: end } = match overlap(last, numbers) {
            Err(wrong) => return Ok(Err(wrong)),
            Ok(overlap) => overlap,
        };
        let new = events.get(known..).unwrap_or_default();
        let mut gaps = 0;
        for event in new {
            append_host_event(&mut change, host, spool, event, now).await?;
            gaps += i64::from(project(&mut change, host, event, now).await?);
        }
        if !new.is_empty() {
            advance(&mut change, host, spool, end, gaps).await?;
        }
        change.commit().await?;
        Ok(Ok(Stored {
            last_sequence: end,
            new: new.len(),
        }))
    }

    /// The last number that is stored of a host's newest spool, and how many
    /// gaps all its spools have.
    pub(crate) async fn spool_state(&self, host_id: &str) -> Result<(u64, u64), StoreError> {
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT last_sequence FROM spools WHERE host_id = ? ORDER BY opened_at DESC LIMIT 1",
        )
        .bind(host_id)
        .fetch_optional(&self.read)
        .await?;
        let gaps: i64 =
            sqlx::query_scalar("SELECT coalesce(sum(gaps), 0) FROM spools WHERE host_id = ?")
                .bind(host_id)
                .fetch_one(&self.read)
                .await?;
        Ok((
            read("last_sequence", last.unwrap_or(0))?,
            read("gaps", gaps)?,
        ))
    }
}

/// Keeps what is asked for often beside the record. True for a gap.
async fn project(
    conn: &mut SqliteConnection,
    host: &HostRef,
    event: &Event,
    now: Millis,
) -> Result<bool, StoreError> {
    let at = event.time.map_or(now, Millis::from);
    match &event.body {
        Some(Body::Operation(operation)) => {
            sessions::operated(conn, &host.id, operation, at).await?;
        }
        Some(Body::Session(session)) => sessions::told(conn, &host.id, session, at).await?,
        Some(Body::Gap(_)) => return Ok(true),
        Some(Body::Grant(grant)) => grants::told(conn, &host.id, grant, now).await?,
        Some(Body::Enforcement(event)) if event.lifecycle() == Lifecycle::Started => {
            sessions::over(conn, &host.id, at).await?;
        }
        Some(Body::Enforcement(_) | Body::Policy(_)) | None => {}
    }
    Ok(false)
}

async fn last_sequence(
    conn: &mut SqliteConnection,
    host: &HostRef,
    spool: &SpoolId,
) -> Result<u64, StoreError> {
    let last =
        sqlx::query_scalar("SELECT last_sequence FROM spools WHERE host_id = ? AND spool_id = ?")
            .bind(&host.id)
            .bind(spool.as_slice())
            .fetch_one(&mut *conn)
            .await?;
    Ok(read("last_sequence", last)?)
}

async fn advance(
    conn: &mut SqliteConnection,
    host: &HostRef,
    spool: &SpoolId,
    last: u64,
    gaps: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE spools SET last_sequence = ?, gaps = gaps + ? WHERE host_id = ? AND spool_id = ?",
    )
    .bind(stored(last)?)
    .bind(gaps)
    .bind(&host.id)
    .bind(spool.as_slice())
    .execute(&mut *conn)
    .await?;
    Ok(())
}
