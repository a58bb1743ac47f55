//! A log that tests can tamper with, and the service that shows it.

use std::{collections::HashMap, sync::Arc};

use holdpoint_evidence::{
    Checkpoint, Resource, SigningKey,
    entry::{self, entry_of, leaf_of},
    path::Width,
    tiles::{Edge, encode, partial_tiles},
};
use holdpoint_proto::v1::{
    EventRecord, FollowEventsRequest, FollowEventsResponse, GetCheckpointRequest,
    GetCheckpointResponse, GetTileRequest, GetTileResponse, SearchEventsRequest,
    SearchEventsResponse, SqlRequest, SqlResponse, audit_server::Audit,
};
use rcgen::{KeyPair, PKCS_ED25519};
use serde_json::json;
use tonic::{Response, Status};

use super::approver::State;

/// What a log shows: its files, its checkpoint and its key.
#[derive(Clone)]
pub(crate) struct FakeLog {
    pub(crate) files: HashMap<String, Vec<u8>>,
    pub(crate) checkpoint: String,
    pub(crate) verifier_key: String,
    records: Vec<Vec<u8>>,
    /// What questions are answered from, oldest first.
    pub(crate) history: Vec<(u64, Vec<u8>)>,
    /// Below this record it can't be read.
    pub(crate) unreadable_below: u64,
}

pub(crate) fn key() -> SigningKey {
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    SigningKey::from_pkcs8(&pair.serialize_der(), "holdpoint/log/test").unwrap()
}

/// Number `sequence` of host h1, in its first spool.
pub(crate) fn event(sequence: usize) -> Vec<u8> {
    numbered(
        sequence,
        &json!({ "kind": "exec", "request_id": format!("r{sequence}") }),
    )
}

pub(crate) fn numbered(sequence: usize, unmapped: &serde_json::Value) -> Vec<u8> {
    json!({
        "metadata": {
            "uid": format!("h1/aa/{sequence}"),
            "product": { "name": "holdpointd", "vendor_name": "Holdpoint" },
        },
        "device": { "uid": "h1", "hostname": "build-1" },
        "unmapped": unmapped,
    })
    .to_string()
    .into_bytes()
}

/// Events 1 to `count`.
pub(crate) fn events(count: usize) -> Vec<Vec<u8>> {
    (1..=count).map(event).collect()
}

pub(crate) fn entries_path(index: u64, size: usize) -> String {
    let width = (size as u64 - index * 256).min(256);
    let width = Width::new(width).unwrap();
    Resource::Entries { index, width }.to_string()
}

impl FakeLog {
    pub(crate) fn of(records: &[Vec<u8>], key: &SigningKey) -> Self {
        let mut files = HashMap::new();
        let mut edge = Edge::new();
        let mut keep = |level, index, width, hashes: &[_]| {
            let resource = Resource::Tile {
                level,
                index,
                width,
            };
            files.insert(resource.to_string(), encode(hashes));
        };
        for record in records {
            for tile in edge.push(leaf_of(record)) {
                keep(tile.level, tile.index, Width::FULL, &tile.hashes);
            }
        }
        for (level, index, width) in partial_tiles(edge.size()) {
            keep(level, index, width, edge.level(level));
        }
        for (index, chunk) in (0..).zip(records.chunks(256)) {
            let bundle = entry::bundle(chunk.iter().map(|record| entry_of(record)));
            files.insert(entries_path(index, records.len()), bundle.unwrap());
        }
        for (index, record) in (0..).zip(records) {
            if entry::is_long(record) {
                files.insert(Resource::Record { index }.to_string(), record.clone());
            }
        }
        let checkpoint = Checkpoint {
            origin: key.verifier().name().to_owned(),
            size: edge.size(),
            root: edge.root(),
        };
        Self {
            files,
            checkpoint: checkpoint.sign(key),
            verifier_key: key.verifier().to_string(),
            records: records.to_vec(),
            history: (0..).zip(records.iter().cloned()).collect(),
            unreadable_below: 0,
        }
    }

    /// Changes the records of a bundle, as somebody with the files could.
    pub(crate) fn rebundle(&mut self, index: u64, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let path = entries_path(index, self.records.len());
        let start = usize::try_from(index).unwrap() * 256;
        let end = self.records.len().min(start + 256);
        let mut records = self.records[start..end].to_vec();
        change(&mut records);
        self.files.insert(path, entry::bundle(records).unwrap());
    }
}

/// Shows the log of a fake approver.
pub(crate) struct AuditService(pub(crate) Arc<State>);

impl AuditService {
    fn log(&self) -> Result<FakeLog, Status> {
        let log = self.0.log.lock().unwrap().clone();
        log.ok_or_else(|| Status::unimplemented("no log"))
    }
}

impl AuditService {
    /// A page of all records, newest first; no larger than a hundred, so that
    /// there is more than one.
    fn everything(&self, token: &str, size: u32) -> Result<SearchEventsResponse, Status> {
        let log = self.log()?;
        let before: usize = token.parse().unwrap_or(log.history.len());
        let from = before.saturating_sub(size.min(100) as usize);
        let page = &log.history[from..before];
        if page.iter().any(|(index, _)| *index < log.unreadable_below) {
            return Err(Status::data_loss("day=2026-01-31/x.parquet was changed"));
        }
        let record = |(log_index, json): &(u64, Vec<u8>)| EventRecord {
            log_index: *log_index,
            json: json.clone(),
        };
        Ok(SearchEventsResponse {
            records: page.iter().rev().map(record).collect(),
            next_page_token: if from == 0 {
                String::new()
            } else {
                from.to_string()
            },
        })
    }
}

#[tonic::async_trait]
impl Audit for AuditService {
    type SqlStream = tokio_stream::Empty<Result<SqlResponse, Status>>;
    type FollowEventsStream = tokio_stream::Empty<Result<FollowEventsResponse, Status>>;

    async fn search_events(
        &self,
        request: tonic::Request<SearchEventsRequest>,
    ) -> Result<Response<SearchEventsResponse>, Status> {
        let SearchEventsRequest {
            query,
            page_token,
            page_size,
        } = request.into_inner();
        if query.is_empty() {
            return Ok(Response::new(self.everything(&page_token, page_size)?));
        }
        let id = query.strip_prefix("request:").unwrap().to_owned();
        let wanted = format!("\"request_id\":\"{id}\"");
        // One record a page, so that there is more than one.
        let before: u64 = page_token.parse().unwrap_or(u64::MAX);
        let log = self.log()?;
        let found = (0_u64..)
            .zip(&log.records)
            .filter(|(at, _)| *at < before)
            .filter(|(_, record)| String::from_utf8_lossy(record).contains(&wanted))
            .last();
        Ok(Response::new(SearchEventsResponse {
            next_page_token: found
                .as_ref()
                .map_or_else(String::new, |(at, _)| at.to_string()),
            records: found
                .into_iter()
                .map(|(log_index, json)| EventRecord {
                    log_index,
                    json: json.clone(),
                })
                .collect(),
        }))
    }

    async fn sql(
        &self,
        _: tonic::Request<SqlRequest>,
    ) -> Result<Response<Self::SqlStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn follow_events(
        &self,
        _: tonic::Request<FollowEventsRequest>,
    ) -> Result<Response<Self::FollowEventsStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }

    async fn get_checkpoint(
        &self,
        _: tonic::Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let log = self.log()?;
        Ok(Response::new(GetCheckpointResponse {
            checkpoint: log.checkpoint,
            verifier_key: log.verifier_key,
        }))
    }

    async fn get_tile(
        &self,
        request: tonic::Request<GetTileRequest>,
    ) -> Result<Response<GetTileResponse>, Status> {
        let path = request.into_inner().path;
        let data = self.log()?.files.remove(&path);
        let data = data.ok_or_else(|| Status::not_found(path))?;
        Ok(Response::new(GetTileResponse { data }))
    }
}
