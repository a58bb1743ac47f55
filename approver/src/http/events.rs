//! Events: search, count over time, SQL.

use axum::{Json, extract::State};
use holdpoint_history::{Bucket, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    Web,
    access::Caller,
    body::{Body, Params},
    page,
    problem::{Code, Problem},
    view::time,
};
use crate::domain::time::Millis;

/// Stretches of a histogram unless told otherwise.
const BUCKETS: u32 = 60;

/// Which records.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchParams {
    /// The query, as `holdpoint events` takes it; everything if absent.
    q: Option<String>,
    /// 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Which records, and in how many stretches.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistogramParams {
    /// The query; its `since:` and `until:` are the ends, otherwise the last day.
    q: Option<String>,
    /// 1 to 1000; 60 if absent.
    buckets: Option<u32>,
}

/// A page of records, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct EventList {
    events: Vec<EventView>,
    /// To ask for the next page with; null on the last one.
    #[schema(required)]
    next: Option<String>,
}

/// One record.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventView {
    /// Its number in the log.
    log_index: String,
    /// OCSF.
    #[schema(value_type = Object)]
    record: Value,
}

/// Counts over time.
#[derive(Serialize, ToSchema)]
pub(super) struct HistogramView {
    from: String,
    to: String,
    bucket_seconds: f64,
    buckets: Vec<BucketView>,
}

/// Counts of one stretch.
#[derive(Serialize, ToSchema)]
pub(super) struct BucketView {
    start: String,
    allowed: u64,
    held: u64,
    released: u64,
    denied: u64,
    other: u64,
}

/// A statement.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlBody {
    /// One SELECT over the table `events`.
    sql: String,
    /// Most rows; 10,000 if absent, which is also the most.
    limit: Option<u32>,
}

/// The answer to a statement.
#[derive(Serialize, ToSchema)]
pub(super) struct SqlAnswer {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// Whether there were more rows.
    cut: bool,
}

impl TryFrom<Record> for EventView {
    type Error = Problem;

    fn try_from(record: Record) -> Result<Self, Problem> {
        Ok(Self {
            log_index: record.log_index.to_string(),
            record: json(&record.json)?,
        })
    }
}

impl From<Bucket> for BucketView {
    fn from(bucket: Bucket) -> Self {
        Self {
            start: time(Millis::new(bucket.start)),
            allowed: bucket.allowed,
            held: bucket.held,
            released: bucket.released,
            denied: bucket.denied,
            other: bucket.other,
        }
    }
}

/// Search events
#[utoipa::path(get, path = "/events", tag = "events", params(SearchParams),
    responses((status = 200, description = "Newest first", body = EventList)))]
pub(super) async fn search(
    State(web): State<Web>,
    Params(params): Params<SearchParams>,
) -> Result<Json<EventList>, Problem> {
    let limit = page::limit(params.limit)?;
    let before = match params.cursor.as_deref() {
        None => None,
        cursor => Some(page::before(cursor)?.unsigned_abs()),
    };
    let query = params.q.unwrap_or_default();
    let page = web.approver.search_events(&query, before, limit).await?;
    let events = page.records.into_iter().map(EventView::try_from);
    Ok(Json(EventList {
        events: events.collect::<Result<_, _>>()?,
        next: page.next.map(|next| page::cursor(next.cast_signed())),
    }))
}

/// Count events over time
#[utoipa::path(get, path = "/events/histogram", tag = "events", params(HistogramParams),
    responses((status = 200, description = "In order of time", body = HistogramView)))]
pub(super) async fn histogram(
    State(web): State<Web>,
    Params(params): Params<HistogramParams>,
) -> Result<Json<HistogramView>, Problem> {
    let buckets = params.buckets.unwrap_or(BUCKETS);
    if !(1..=1000).contains(&buckets) {
        let detail = format!("buckets is {buckets}; it must be 1 to 1000");
        return Err(Problem::new(Code::Invalid, detail));
    }
    let query = params.q.unwrap_or_default();
    let histogram = web.approver.events_histogram(&query, buckets).await?;
    Ok(Json(HistogramView {
        from: time(Millis::new(histogram.from)),
        to: time(Millis::new(histogram.to)),
        bucket_seconds: seconds(histogram.bucket_ms),
        buckets: histogram.buckets.into_iter().map(Into::into).collect(),
    }))
}

/// Ask with SQL
///
/// Read only.
#[utoipa::path(post, path = "/events/sql", tag = "events", request_body = SqlBody,
    responses((status = 200, description = "The rows", body = SqlAnswer)))]
pub(super) async fn sql(
    State(web): State<Web>,
    caller: Caller,
    Body(body): Body<SqlBody>,
) -> Result<Json<SqlAnswer>, Problem> {
    let limit = body.limit.unwrap_or(0);
    let answer = web
        .approver
        .events_sql(&caller.login, &body.sql, limit)
        .await?;
    Ok(Json(SqlAnswer {
        columns: answer.columns,
        rows: answer.rows,
        cut: answer.cut,
    }))
}

/// What the history keeps as JSON.
fn json(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| Problem::internal(&error))
}

fn seconds(ms: i64) -> f64 {
    std::time::Duration::from_millis(ms.unsigned_abs()).as_secs_f64()
}
