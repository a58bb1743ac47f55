//! `Audit`: what happened, for people and their tools.

use std::{sync::Arc, time::Duration};

use holdpoint_history::{Answer, Record};
use holdpoint_proto::v1::{
    EventRecord, FollowEventsRequest, FollowEventsResponse, GetCheckpointRequest,
    GetCheckpointResponse, GetTileRequest, GetTileResponse, SearchEventsRequest,
    SearchEventsResponse, SqlRequest, SqlResponse, audit_server::Audit,
};
use tokio::{
    sync::mpsc,
    time::{self, MissedTickBehavior},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{patience, reviews::caller};
use crate::{
    live::Seats,
    service::{Approver, events::Follow},
};

/// How often a follower's login is checked.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// Messages that may wait for a slow reader.
const BUFFER: usize = 16;
/// Bytes of rows that go into one message, about.
const MESSAGE_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Service {
    approver: Arc<Approver>,
    seats: Arc<Seats>,
}

impl Service {
    pub(super) fn new(approver: Arc<Approver>, seats: Arc<Seats>) -> Self {
        Self { approver, seats }
    }
}

#[tonic::async_trait]
impl Audit for Service {
    async fn search_events(
        &self,
        request: Request<SearchEventsRequest>,
    ) -> Result<Response<SearchEventsResponse>, Status> {
        caller::of(&self.approver, caller::token(&request)?).await?;
        let request = request.into_inner();
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                Status::invalid_argument(
                    "the page token is not one of this approver; begin without one",
                )
            })?),
        };
        let page = self
            .approver
            .search_events(&request.query, before, request.page_size)
            .await?;
        Ok(Response::new(SearchEventsResponse {
            records: page.records.into_iter().map(record).collect(),
            next_page_token: page.next.map(|next| next.to_string()).unwrap_or_default(),
        }))
    }

    type SqlStream = ReceiverStream<Result<SqlResponse, Status>>;

    async fn sql(&self, request: Request<SqlRequest>) -> Result<Response<Self::SqlStream>, Status> {
        let login = caller::of(&self.approver, caller::token(&request)?).await?;
        // Its rows are kept until they are read.
        let seat = self.seats.take(&login.username)?;
        let SqlRequest { sql, limit } = request.into_inner();
        let answer = self.approver.events_sql(&login, &sql, limit).await?;
        let (responses, stream) = mpsc::channel(BUFFER);
        tokio::spawn(async move {
            for message in messages(answer) {
                if let Err(status) = patience::send(&responses, message).await {
                    patience::end(&responses, status).await;
                    break;
                }
            }
            drop(seat);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    type FollowEventsStream = ReceiverStream<Result<FollowEventsResponse, Status>>;

    async fn follow_events(
        &self,
        request: Request<FollowEventsRequest>,
    ) -> Result<Response<Self::FollowEventsStream>, Status> {
        let token = caller::token(&request)?.to_owned();
        let login = caller::of(&self.approver, &token).await?;
        let seat = self.seats.take(&login.username)?;
        let request = request.into_inner();
        let follow = self
            .approver
            .follow_events(&request.query, request.after_log_index)
            .await?;
        let (responses, stream) = mpsc::channel(BUFFER);
        let approver = Arc::clone(&self.approver);
        tokio::spawn(async move {
            if let Err(status) = run_follow(&approver, &token, follow, &responses).await {
                patience::end(&responses, status).await;
            }
            drop(seat);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        caller::of(&self.approver, caller::token(&request)?).await?;
        let view = self.approver.checkpoint();
        Ok(Response::new(GetCheckpointResponse {
            checkpoint: view.checkpoint,
            verifier_key: view.verifier_key,
        }))
    }

    async fn get_tile(
        &self,
        request: Request<GetTileRequest>,
    ) -> Result<Response<GetTileResponse>, Status> {
        caller::of(&self.approver, caller::token(&request)?).await?;
        let data = self.approver.tile(&request.into_inner().path).await?;
        Ok(Response::new(GetTileResponse { data }))
    }
}

fn record(record: Record) -> EventRecord {
    EventRecord {
        log_index: record.log_index,
        json: record.json,
    }
}

/// `answer` in messages of bearable size; the last says if there is more.
fn messages(answer: Answer) -> Vec<SqlResponse> {
    let mut messages = vec![SqlResponse {
        columns: answer.columns,
        ..SqlResponse::default()
    }];
    let mut size = 0;
    for row in answer.rows {
        let row = serde_json::Value::Array(row).to_string();
        if size + row.len() > MESSAGE_BYTES && size > 0 {
            messages.push(SqlResponse::default());
            size = 0;
        }
        size += row.len();
        if let Some(last) = messages.last_mut() {
            last.rows.push(row);
        }
    }
    if let Some(last) = messages.last_mut() {
        last.cut = answer.cut;
    }
    messages
}

/// Tells one follower what comes until it hangs up or its login ends.
async fn run_follow(
    approver: &Approver,
    token: &str,
    mut follow: Follow,
    responses: &patience::Stream<FollowEventsResponse>,
) -> Result<(), Status> {
    let mut check = time::interval(CHECK_EVERY);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            records = follow.next() => {
                for one in records? {
                    let response = FollowEventsResponse {
                        record: Some(record(one)),
                    };
                    patience::send(responses, response).await?;
                }
            }
            _ = check.tick() => {
                caller::of(approver, token).await?;
            }
            () = responses.closed() => return Ok(()),
            () = approver.live.closing() => {
                return Err(Status::unavailable("the approver is going down; connect again"));
            }
        }
    }
}
