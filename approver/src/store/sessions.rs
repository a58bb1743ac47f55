//! Sessions and their processes, as the events of their hosts tell of them.
//!
//! A projection: everything here can be read out of the records too. Written in
//! the transaction that stores the event, so the two never disagree.

mod list;

use holdpoint_proto::v1::{
    Action, Exec, OperationEvent, Process, Session as Told, SessionEvent, operation::Kind,
};
use prost::Message as _;
use sqlx::SqliteConnection;

pub(crate) use list::{KnownProcess, Page, Session, Wanted};

use super::StoreError;
use crate::domain::time::Millis;

/// Processes that are kept of one session; further ones are in the records only.
const PROCESSES_MAX: i64 = 10_000;

/// Processes above the one that tried that are kept, the nearest: a batch has room
/// for half a million, and whoever decides waits for the same lock.
const ANCESTORS_MAX: usize = 64;

/// A session began or ended.
pub(super) async fn told(
    conn: &mut SqliteConnection,
    host_id: &str,
    event: &SessionEvent,
    at: Millis,
) -> Result<(), StoreError> {
    let Some(session) = &event.session else {
        return Ok(());
    };
    seen(conn, host_id, session, at).await?;
    sqlx::query("UPDATE sessions SET ended_at = ? WHERE host_id = ? AND id = ?")
        .bind(event.ended.then_some(at.get()))
        .bind(host_id)
        .bind(&session.id)
        .execute(&mut *conn)
        .await?;
    if let Some(root) = &event.root {
        let place = Place {
            host_id,
            session_id: &session.id,
            at,
        };
        place.process(conn, root, None).await?;
    }
    Ok(())
}

/// The daemon of `host_id` starts. It tells next which sessions there are; all
/// others ended while no daemon ran.
pub(super) async fn over(
    conn: &mut SqliteConnection,
    host_id: &str,
    at: Millis,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE sessions SET ended_at = ? WHERE host_id = ? AND ended_at IS NULL")
        .bind(at.get())
        .bind(host_id)
        .execute(conn)
        .await?;
    Ok(())
}

/// A process of a session tried something.
pub(super) async fn operated(
    conn: &mut SqliteConnection,
    host_id: &str,
    event: &OperationEvent,
    at: Millis,
) -> Result<(), StoreError> {
    let (Some(session), Some(process)) = (&event.session, &event.process) else {
        return Ok(());
    };
    seen(conn, host_id, session, at).await?;
    let place = Place {
        host_id,
        session_id: &session.id,
        at,
    };
    // From the top, so that each finds its parent.
    let mut parent: Option<ProcessKey> = None;
    for ancestor in event.ancestry.iter().take(ANCESTORS_MAX).rev() {
        parent = Some(place.process(conn, ancestor, parent).await?);
    }
    let key = place.process(conn, process, parent).await?;
    let kind = event.operation.as_ref().and_then(|one| one.kind.as_ref());
    let went_on = matches!(event.action(), Action::Allowed | Action::Released);
    if let (Some(Kind::Exec(exec)), true) = (kind, went_on) {
        place.became(conn, key, exec, event.argv_cut).await?;
    }
    Ok(())
}

async fn seen(
    conn: &mut SqliteConnection,
    host_id: &str,
    session: &Told,
    at: Millis,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sessions (host_id, id, profile, owner, user, uid, started_at, last_seen_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (host_id, id) DO UPDATE SET
             started_at = min(started_at, excluded.started_at),
             last_seen_at = max(last_seen_at, excluded.last_seen_at)",
    )
    .bind(host_id)
    .bind(&session.id)
    .bind(&session.profile)
    .bind(&session.owner)
    .bind(&session.user)
    .bind(session.uid)
    .bind(at.get())
    .bind(at.get())
    .execute(&mut *conn)
    .await?;
    Ok(())
}

/// Pid and start: one process for as long as its machine runs.
type ProcessKey = (u32, i64);

/// Where and when a process was seen.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    host_id: &'a str,
    session_id: &'a str,
    at: Millis,
}

impl Place<'_> {
    /// Notes `process`, and gives the key it is kept under.
    ///
    /// The start is that of a thread. For one that is not its process's first,
    /// the process is the newest of that pid which had begun by then.
    async fn process(
        &self,
        conn: &mut SqliteConnection,
        process: &Process,
        parent: Option<ProcessKey>,
    ) -> Result<ProcessKey, StoreError> {
        let mut start = process.start_time_ns.cast_signed();
        if process.tid != process.pid && process.tid != 0 {
            let known: Option<i64> = sqlx::query_scalar(
                "SELECT start_time_ns FROM session_processes
                 WHERE host_id = ? AND session_id = ? AND pid = ? AND start_time_ns <= ?
                 ORDER BY start_time_ns DESC LIMIT 1",
            )
            .bind(self.host_id)
            .bind(self.session_id)
            .bind(process.pid)
            .bind(start)
            .fetch_optional(&mut *conn)
            .await?;
            start = known.unwrap_or(start);
        }
        let key = (process.pid, start);
        if !self.seen_again(conn, key, process, parent).await? && self.has_room(conn).await? {
            self.add(conn, key, process, parent).await?;
        }
        Ok(key)
    }

    /// Updates a process that is known. False if it is not.
    async fn seen_again(
        &self,
        conn: &mut SqliteConnection,
        (pid, start): ProcessKey,
        process: &Process,
        parent: Option<ProcessKey>,
    ) -> Result<bool, StoreError> {
        let updated = sqlx::query(
            "UPDATE session_processes SET executable = ?, argv = ?, uid = ?,
                 parent_pid = coalesce(?, parent_pid),
                 parent_start_time_ns = coalesce(?, parent_start_time_ns),
                 first_seen = min(first_seen, ?6), last_seen = max(last_seen, ?6)
             WHERE host_id = ?7 AND session_id = ?8 AND pid = ?9 AND start_time_ns = ?10",
        )
        .bind(&process.executable)
        .bind(arguments(&process.argv, process.argv_cut))
        .bind(process.uid)
        .bind(parent.map(|(pid, _)| pid))
        .bind(parent.map(|(_, start)| start))
        .bind(self.at.get())
        .bind(self.host_id)
        .bind(self.session_id)
        .bind(pid)
        .bind(start)
        .execute(&mut *conn)
        .await?;
        Ok(updated.rows_affected() == 1)
    }

    /// Takes a place for one more process. False if the session has too many.
    async fn has_room(&self, conn: &mut SqliteConnection) -> Result<bool, StoreError> {
        let taken = sqlx::query(
            "UPDATE sessions SET processes = processes + 1
             WHERE host_id = ? AND id = ? AND processes < ?",
        )
        .bind(self.host_id)
        .bind(self.session_id)
        .bind(PROCESSES_MAX)
        .execute(&mut *conn)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    async fn add(
        &self,
        conn: &mut SqliteConnection,
        (pid, start): ProcessKey,
        process: &Process,
        parent: Option<ProcessKey>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO session_processes (host_id, session_id, pid, start_time_ns, parent_pid,
                 parent_start_time_ns, executable, argv, uid, first_seen, last_seen)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(self.host_id)
        .bind(self.session_id)
        .bind(pid)
        .bind(start)
        .bind(parent.map(|(pid, _)| pid))
        .bind(parent.map(|(_, start)| start))
        .bind(&process.executable)
        .bind(arguments(&process.argv, process.argv_cut))
        .bind(process.uid)
        .bind(self.at.get())
        .bind(self.at.get())
        .execute(&mut *conn)
        .await?;
        Ok(())
    }

    /// The process runs `exec` now.
    async fn became(
        &self,
        conn: &mut SqliteConnection,
        (pid, start): ProcessKey,
        exec: &Exec,
        argv_cut: bool,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE session_processes SET executable = ?, argv = ?
             WHERE host_id = ? AND session_id = ? AND pid = ? AND start_time_ns = ?",
        )
        .bind(&exec.path)
        .bind(arguments(&exec.argv, argv_cut))
        .bind(self.host_id)
        .bind(self.session_id)
        .bind(pid)
        .bind(start)
        .execute(&mut *conn)
        .await?;
        Ok(())
    }
}

/// Most bytes of a process's arguments that are kept here.
const ARGV_MAX: usize = 4096;

/// `argv` as it is kept: as much of it as fits, and whether that is all.
fn arguments(argv: &[Vec<u8>], mut argv_cut: bool) -> Vec<u8> {
    let mut left = ARGV_MAX;
    let mut kept = Vec::new();
    for argument in argv {
        if argument.len() >= left {
            kept.extend(argument.get(..left).map(<[u8]>::to_vec));
            argv_cut = true;
            break;
        }
        left -= argument.len() + 1;
        kept.push(argument.clone());
    }
    Process {
        argv: kept,
        argv_cut,
        ..Process::default()
    }
    .encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{open::tests::store, requests::tests::enrolled};

    fn process(pid: u32) -> Process {
        Process {
            pid,
            tid: pid,
            start_time_ns: pid.into(),
            ..Process::default()
        }
    }

    #[tokio::test]
    async fn of_a_long_ancestry_the_nearest_are_kept() {
        let (store, _directory) = store().await;
        let host = enrolled(&store, 1).await.to_string();
        let event = OperationEvent {
            process: Some(process(1000)),
            ancestry: (1..=500).rev().map(process).collect(),
            session: Some(Told {
                id: "00ab".into(),
                ..Told::default()
            }),
            ..OperationEvent::default()
        };
        let mut change = store.begin().await.unwrap();
        operated(&mut change, &host, &event, Millis::new(5))
            .await
            .unwrap();
        change.commit().await.unwrap();
        let (_, mut processes) = store.session(&host, "00ab").await.unwrap().unwrap();
        processes.sort_by_key(|one| one.pid);
        let pids: Vec<u32> = processes.iter().map(|one| one.pid).collect();
        let nearest = (437..=500).chain([1000]);
        assert!(nearest.eq(pids.iter().copied()), "{pids:?}");
        assert_eq!(processes[0].parent, None);
        for pair in processes.windows(2) {
            let above = (pair[0].pid, pair[0].start_time_ns);
            assert_eq!(pair[1].parent, Some(above));
        }
    }
}
