//! How many operations were allowed, held, released and denied, over time.

use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::TimestampMillisecondType,
};
use datafusion::{logical_expr::ident, prelude::DataFrame};
use futures::StreamExt as _;

use super::{History, in_files, in_memory};
use crate::{
    HistoryError,
    columns::TIME,
    files::day,
    filter::{at, predicate},
    query::Query,
};

/// How long back, unless the query says: a day.
const USUAL: i64 = 24 * 3_600_000;

/// Counts over time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Histogram {
    /// Beginning of the first bucket, milliseconds since the epoch.
    pub from: i64,
    /// End of the last.
    pub to: i64,
    /// Length of each in milliseconds.
    pub bucket_ms: i64,
    /// In order.
    pub buckets: Vec<Bucket>,
}

/// Counts of one stretch of time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bucket {
    /// Its beginning, milliseconds since the epoch.
    pub start: i64,
    /// Operations that went on without waiting.
    pub allowed: u64,
    /// That were stopped.
    pub held: u64,
    /// That waited and went on.
    pub released: u64,
    /// That were refused.
    pub denied: u64,
    /// All other records.
    pub other: u64,
}

impl History {
    /// Counts the records that match `query` in `count` buckets. The time is that
    /// of the query's `since:` and `until:`, otherwise the day before `now`.
    pub async fn histogram(
        &self,
        query: &Query,
        count: u32,
        now: i64,
    ) -> Result<Histogram, HistoryError> {
        let to = query.until().unwrap_or(now);
        let from = query
            .since()
            .unwrap_or_else(|| to.saturating_sub(USUAL))
            .min(to);
        let length = to.saturating_sub(from).max(1);
        let count = i64::from(count.max(1));
        let bucket_ms = length.saturating_add(count - 1) / count;
        let mut histogram = Histogram {
            from,
            to,
            bucket_ms,
            buckets: (0..count)
                .map(|number| Bucket {
                    start: from.saturating_add(number.saturating_mul(bucket_ms)),
                    ..Bucket::default()
                })
                .collect(),
        };
        let mut filter = ident(TIME).gt_eq(at(from)).and(ident(TIME).lt_eq(at(to)));
        if let Some(predicate) = predicate(query) {
            filter = filter.and(predicate);
        }
        let (context, snapshot, first_day) = (self.context.clone(), self.snapshot(), day(from));
        self.run(async move {
            let units = snapshot.units.values().map(AsRef::as_ref);
            let kept = in_files(&context, units, Some(&first_day)).await?;
            let fresh = in_memory(&context, snapshot.fresh)?;
            for rows in [Some(fresh), kept].into_iter().flatten() {
                let rows = rows.filter(filter.clone())?;
                count_into(&mut histogram, rows.select_columns(&[TIME, "outcome"])?).await?;
            }
            Ok(histogram)
        })
        .await
    }
}

async fn count_into(histogram: &mut Histogram, rows: DataFrame) -> Result<(), HistoryError> {
    let mut batches = rows.execute_stream().await?;
    while let Some(batch) = batches.next().await {
        count_batch(histogram, &batch?);
    }
    Ok(())
}

fn count_batch(histogram: &mut Histogram, batch: &RecordBatch) {
    let times = batch
        .column(0)
        .as_primitive_opt::<TimestampMillisecondType>();
    let outcomes = batch.column(1).as_string_opt::<i32>();
    let (Some(times), Some(outcomes)) = (times, outcomes) else {
        return;
    };
    let last = histogram.buckets.len().saturating_sub(1);
    for row in 0..batch.num_rows() {
        let since = times.value(row).saturating_sub(histogram.from);
        let number = usize::try_from(since / histogram.bucket_ms).unwrap_or(0);
        let Some(bucket) = histogram.buckets.get_mut(number.min(last)) else {
            return;
        };
        let outcome = if outcomes.is_valid(row) {
            outcomes.value(row)
        } else {
            ""
        };
        *match outcome {
            "allowed" => &mut bucket.allowed,
            "held" => &mut bucket.held,
            "released" => &mut bucket.released,
            "denied" => &mut bucket.denied,
            _ => &mut bucket.other,
        } += 1;
    }
}
