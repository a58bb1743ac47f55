//! Records of what happened: the leaves of the log, numbered without a gap.
//!
//! A record is appended inside the transaction that makes the change it tells
//! of, and takes its number there: what rolls back leaves no hole.

pub(crate) use holdpoint_history::Record;
use holdpoint_history::{audit::HostRef, ocsf};
use holdpoint_proto::v1::Event;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Store, StoreError, decode};
use crate::domain::{audit::AuditRecord, time::Millis};

/// Records that are deleted in one change.
const DROPPED_TOGETHER: i64 = 1000;

/// How far the log has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Marks {
    /// What the next record is numbered: how many there are.
    pub(crate) next_index: u64,
    /// Everything below is in Parquet, and here no more.
    pub(crate) kept_below: u64,
}

/// Appends what the approver did at `at`, as part of the change that `conn` is
/// in. Gives the record's number in the log.
pub(crate) async fn append(
    conn: &mut SqliteConnection,
    at: Millis,
    record: &AuditRecord,
) -> Result<u64, StoreError> {
    let log_index = next_index(conn).await?;
    let bytes = ocsf::of_audit(at.get(), log_index, record);
    sqlx::query("INSERT INTO events (log_index, at, host_id, record) VALUES (?, ?, ?, ?)")
        .bind(stored(log_index)?)
        .bind(at.get())
        .bind(record.host().map(|host| host.id.as_str()))
        .bind(bytes)
        .execute(&mut *conn)
        .await?;
    Ok(log_index)
}

/// Appends `event` of the spool `spool` of `host`. The caller has checked that
/// this number was not stored before.
pub(super) async fn append_host_event(
    conn: &mut SqliteConnection,
    host: &HostRef,
    spool: &[u8],
    event: &Event,
    now: Millis,
) -> Result<u64, StoreError> {
    let log_index = next_index(conn).await?;
    let at = event.time.map_or(now, Millis::from);
    sqlx::query(
        "INSERT INTO events (log_index, at, host_id, spool_id, sequence, record)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(stored(log_index)?)
    .bind(at.get())
    .bind(&host.id)
    .bind(spool)
    .bind(stored(event.sequence)?)
    .bind(ocsf::of_host_event(host, spool, event, now.get()))
    .execute(&mut *conn)
    .await?;
    Ok(log_index)
}

/// Takes the next number. The change holds the only write lock, so nobody else
/// takes the same.
async fn next_index(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let taken: i64 = sqlx::query_scalar(
        "UPDATE event_marks SET next_index = next_index + 1 RETURNING next_index - 1",
    )
    .fetch_one(&mut *conn)
    .await?;
    Ok(read("next_index", taken)?)
}

impl Store {
    /// Up to `limit` records from number `from` on, in order. Those below
    /// [`Marks::kept_below`] are not here any more.
    pub(crate) async fn records(&self, from: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
        let rows = sqlx::query(
            "SELECT log_index, record FROM events WHERE log_index >= ? ORDER BY log_index LIMIT ?",
        )
        .bind(stored(from)?)
        .bind(limit)
        .fetch_all(&self.read)
        .await?;
        Ok(rows.iter().map(record).collect::<Result<_, _>>()?)
    }

    /// How far the log has come.
    pub(crate) async fn event_marks(&self) -> Result<Marks, StoreError> {
        let row = sqlx::query("SELECT next_index, kept_below FROM event_marks")
            .fetch_one(&self.read)
            .await?;
        Ok(Marks {
            next_index: read("next_index", row.try_get("next_index")?)?,
            kept_below: read("kept_below", row.try_get("kept_below")?)?,
        })
    }

    /// How many records there ever were.
    pub(crate) async fn count(&self) -> Result<u64, StoreError> {
        Ok(self.event_marks().await?.next_index)
    }

    /// Appends a record of what changed nothing else here.
    pub(crate) async fn record(&self, at: Millis, record: &AuditRecord) -> Result<u64, StoreError> {
        let mut change = self.begin().await?;
        let log_index = append(&mut change, at, record).await?;
        change.commit().await?;
        Ok(log_index)
    }

    /// Deletes all records below `below`: they are in Parquet, and in the log. A
    /// few at a time: whoever decides waits for the same lock.
    pub(crate) async fn drop_kept(&self, below: u64) -> Result<(), StoreError> {
        let below = stored(below)?;
        // First, so that none of them is missed if this ends in between.
        sqlx::query("UPDATE event_marks SET kept_below = max(kept_below, ?)")
            .bind(below)
            .execute(&self.write)
            .await?;
        loop {
            let dropped = sqlx::query(
                "DELETE FROM events
                 WHERE log_index < min(?, (SELECT min(log_index) FROM events) + ?)",
            )
            .bind(below)
            .bind(DROPPED_TOGETHER)
            .execute(&self.write)
            .await?;
            if dropped.rows_affected() == 0 {
                return Ok(());
            }
        }
    }
}

/// A number as SQLite keeps it.
pub(super) fn stored(number: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(number).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A number as SQLite kept it.
pub(super) fn read(column: &str, number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|error| decode(column, error))
}

fn record(row: &SqliteRow) -> Result<Record, sqlx::Error> {
    Ok(Record {
        log_index: read("log_index", row.try_get("log_index")?)?,
        json: row.try_get("record")?,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::open::tests::store, *};

    fn login(username: &str) -> AuditRecord {
        AuditRecord::LoggedOut {
            username: username.to_owned(),
        }
    }

    #[tokio::test]
    async fn numbers_are_dense_and_what_rolls_back_leaves_no_hole() {
        let (store, _directory) = store().await;
        for (index, kept) in [(0, true), (1, false), (1, true), (2, true)] {
            let mut change = store.begin().await.unwrap();
            let taken = append(&mut change, Millis::new(5), &login("ada")).await;
            assert_eq!(taken.unwrap(), index);
            if kept {
                change.commit().await.unwrap();
            } else {
                change.rollback().await.unwrap();
            }
        }
        let records = store.records(1, 10).await.unwrap();
        let numbers: Vec<u64> = records.iter().map(|one| one.log_index).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(store.count().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn many_are_dropped_and_those_behind_them_stay() {
        let (store, _directory) = store().await;
        let mut change = store.begin().await.unwrap();
        for _ in 0..2500 {
            append(&mut change, Millis::new(5), &login("ada"))
                .await
                .unwrap();
        }
        change.commit().await.unwrap();
        for (below, wanted) in [(0, 0), (2300, 2300), (100, 2300), (2400, 2400)] {
            store.drop_kept(below).await.unwrap();
            let left = store.records(0, 3000).await.unwrap();
            let numbers = left.iter().map(|one| one.log_index);
            assert!(numbers.eq(wanted..2500), "{below}");
            assert_eq!(store.event_marks().await.unwrap().kept_below, wanted);
        }
    }

    #[tokio::test]
    async fn numbers_go_on_when_everything_is_kept_elsewhere() {
        let (store, _directory) = store().await;
        for _ in 0..3 {
            let mut change = store.begin().await.unwrap();
            append(&mut change, Millis::new(5), &login("ada"))
                .await
                .unwrap();
            change.commit().await.unwrap();
        }
        store.drop_kept(3).await.unwrap();
        assert_eq!(store.records(0, 10).await.unwrap(), []);
        let mut change = store.begin().await.unwrap();
        let taken = append(&mut change, Millis::new(5), &login("bob")).await;
        assert_eq!(taken.unwrap(), 3);
        change.commit().await.unwrap();
        let marks = store.event_marks().await.unwrap();
        assert_eq!((marks.next_index, marks.kept_below), (4, 3));
    }
}
