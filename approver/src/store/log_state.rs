//! How far the Merkle log has come, as the database remembers it.

use super::{Store, StoreError};
use crate::domain::time::Millis;

/// The newest signed checkpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LogState {
    /// Records below are in bundles on disk.
    pub(crate) bundled: u64,
    /// Records the checkpoint is over.
    pub(crate) size: u64,
    /// The signed note.
    pub(crate) checkpoint: String,
    pub(crate) signed_at: Millis,
}

impl Store {
    /// What was remembered last; none before the first checkpoint.
    pub(crate) async fn log_state(&self) -> Result<Option<LogState>, StoreError> {
        let row: Option<(i64, i64, String, i64)> = sqlx::query_as(
            "SELECT bundled, size, checkpoint, signed_at FROM log_state WHERE only_row = 0",
        )
        .fetch_optional(&self.read)
        .await?;
        Ok(row.map(|(bundled, size, checkpoint, signed_at)| LogState {
            bundled: bundled.cast_unsigned(),
            size: size.cast_unsigned(),
            checkpoint,
            signed_at: Millis::new(signed_at),
        }))
    }

    /// Remembers `state`.
    pub(crate) async fn set_log_state(&self, state: &LogState) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO log_state (only_row, bundled, size, checkpoint, signed_at)
             VALUES (0, ?, ?, ?, ?)
             ON CONFLICT (only_row) DO UPDATE SET
                bundled = excluded.bundled, size = excluded.size,
                checkpoint = excluded.checkpoint, signed_at = excluded.signed_at",
        )
        .bind(state.bundled.cast_signed())
        .bind(state.size.cast_signed())
        .bind(&state.checkpoint)
        .bind(state.signed_at.get())
        .execute(&self.write)
        .await?;
        Ok(())
    }
}

/// What only somebody with the database could do, for tests of what is found
/// then.
#[cfg(test)]
impl Store {
    pub(crate) async fn change_record(&self, index: i64, record: &[u8]) {
        let sql = "UPDATE events SET record = ? WHERE log_index = ?";
        let change = sqlx::query(sql).bind(record).bind(index);
        let changed = change.execute(&self.write).await.unwrap();
        assert_eq!(changed.rows_affected(), 1);
    }

    pub(crate) async fn cut_records(&self, size: i64) {
        for sql in [
            "DELETE FROM events WHERE log_index >= ?",
            "UPDATE event_marks SET next_index = ?",
        ] {
            sqlx::query(sql)
                .bind(size)
                .execute(&self.write)
                .await
                .unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open::tests::store;

    #[tokio::test]
    async fn the_last_state_is_remembered() {
        let (store, _directory) = store().await;
        assert_eq!(store.log_state().await.unwrap(), None);
        let mut state = LogState {
            bundled: 256,
            size: 300,
            checkpoint: "a".into(),
            signed_at: Millis::new(7),
        };
        store.set_log_state(&state).await.unwrap();
        assert_eq!(store.log_state().await.unwrap().as_ref(), Some(&state));
        state.size = 301;
        store.set_log_state(&state).await.unwrap();
        assert_eq!(store.log_state().await.unwrap(), Some(state));
    }
}
