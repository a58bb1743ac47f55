//! The log as people get it, also after the approver was killed while it grew.

use std::{fs, time::Duration};

use holdpoint_evidence::{
    Checkpoint, Resource, VerifierKey,
    audit::{Source, continues, walk},
};
use holdpoint_proto::v1::{GetCheckpointRequest, GetTileRequest, audit_client::AuditClient};
use tokio::{runtime::Handle, time::Instant};
use tonic::{Code, Status};

use crate::{
    events::{Auditor, Spool, auditor, execs},
    kit::{Approver, PATIENCE, assert_status, within},
};

/// How often the approver is killed.
const ROUNDS: u64 = 5;
/// Events of a batch: not the size of a bundle.
const BATCH: u64 = 150;

/// The log that an approver shows.
struct Shown(Auditor);

impl Shown {
    async fn checkpoint(&mut self) -> Result<(Checkpoint, VerifierKey), Status> {
        let answer = within(self.0.get_checkpoint(GetCheckpointRequest {})).await?;
        let answer = answer.into_inner();
        let key: VerifierKey = answer.verifier_key.parse().unwrap();
        let checkpoint = Checkpoint::open(answer.checkpoint.as_bytes(), &key).unwrap();
        Ok((checkpoint, key))
    }

    async fn tile(&mut self, path: &str) -> Result<Vec<u8>, Status> {
        let path = path.to_owned();
        let answer = within(self.0.get_tile(GetTileRequest { path })).await?;
        Ok(answer.into_inner().data)
    }

    /// The checkpoint as soon as it is over `size` records.
    async fn reaches(&mut self, size: u64) -> Checkpoint {
        let start = Instant::now();
        loop {
            let (checkpoint, _) = self.checkpoint().await.unwrap();
            if checkpoint.size >= size {
                return checkpoint;
            }
            assert!(start.elapsed() < PATIENCE, "{checkpoint:?}, not {size}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Source for Shown {
    type Error = Status;

    fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, Status> {
        let path = resource.to_string();
        let read = tokio::task::block_in_place(|| Handle::current().block_on(self.tile(&path)));
        match read {
            Err(status) if status.code() == Code::NotFound => Ok(None),
            other => other.map(Some),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_signed_within_seconds_and_verifies() {
    let mut approver = Approver::start().await;
    let mut shown = Shown(auditor(&approver, "ada").await);
    let host = approver.enrol().await;
    let (mut spool, _) = Spool::open(&host, 1, 1).await.unwrap();
    let (before, key) = shown.checkpoint().await.unwrap();
    assert_eq!(spool.send(execs(1..=700)).await.unwrap(), 700);
    let after = shown.reaches(before.size + 700).await;
    let report = walk(&mut shown, &after, 0, |_, _| Ok(())).unwrap();
    assert_eq!((report.findings, report.verified), (vec![], after.size));
    continues(&mut shown, &before, &after).unwrap();

    for path in [
        "",
        "checkpoint",
        "tile/0/../../log.key",
        "tile/0/0",
        "/etc/passwd",
    ] {
        let refused = shown.tile(path).await;
        assert_status(refused, Code::InvalidArgument, "this is no path in a log");
    }
    let refused = shown.tile("tile/0/999").await;
    assert_status(refused, Code::NotFound, "the log has no tile/0/999");
    let mut stranger = AuditClient::new(approver.channel().await);
    let refused = stranger.get_checkpoint(GetCheckpointRequest {}).await;
    assert_status(refused, Code::Unauthenticated, "authorization");
    let path = "tile/0/000".to_owned();
    let refused = stranger.get_tile(GetTileRequest { path }).await;
    assert_status(refused, Code::Unauthenticated, "authorization");

    // The end is covered too, and the key is the same after a restart.
    approver.stop().await;
    let note = fs::read(approver.config.state_dir.join("log/checkpoint")).unwrap();
    let last = Checkpoint::open(&note, &key).unwrap();
    assert!(last.size > after.size, "the end is a record");
    approver.start_again().await;
    let mut shown = Shown(auditor(&approver, "ada").await);
    let (_, again) = shown.checkpoint().await.unwrap();
    assert_eq!(again, key);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_while_the_log_grows_forks_nothing_and_loses_nothing() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    approver.stop().await;
    let mut acknowledged = 0;
    let mut seen: Vec<Checkpoint> = Vec::new();
    for round in 0..ROUNDS {
        let mut child = approver.program();
        let mut shown = Shown(auditor(&approver, "ada").await);
        let (mut spool, stored) = Spool::open(&host, 9, acknowledged + 1).await.unwrap();
        assert!(stored >= acknowledged, "{stored} < {acknowledged}");
        acknowledged = stored;
        // Not the same moment of a second in any two rounds.
        let end = Instant::now() + Duration::from_millis(700 + 370 * round);
        while Instant::now() < end {
            let batch = execs(acknowledged + 1..=acknowledged + BATCH);
            acknowledged = spool.send(batch).await.unwrap();
            seen.push(shown.checkpoint().await.unwrap().0);
        }
        // One more batch is under way.
        spool
            .offer(execs(acknowledged + 1..=acknowledged + BATCH))
            .await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    approver.start_again().await;
    let mut shown = Shown(auditor(&approver, "ada").await);
    let (_, stored) = Spool::open(&host, 9, acknowledged + 1).await.unwrap();
    let last = shown.reaches(stored).await;
    let mut numbers = Vec::new();
    let report = walk(&mut shown, &last, 0, |_, record| {
        let record: serde_json::Value = serde_json::from_slice(record).unwrap();
        numbers.extend(
            record
                .pointer("/metadata/sequence")
                .and_then(serde_json::Value::as_u64),
        );
        Ok(())
    });
    assert_eq!(report.unwrap().findings, []);
    assert!(
        numbers.len() as u64 >= acknowledged,
        "{} < {acknowledged}",
        numbers.len()
    );
    assert!(
        numbers.iter().copied().eq(1..=numbers.len() as u64),
        "each once, in order"
    );
    seen.dedup();
    assert!(
        seen.len() as u64 > ROUNDS,
        "the log grew while it was watched: {seen:?}"
    );
    for old in &seen {
        continues(&mut shown, old, &last).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_always_go_down_in_the_middle_and_start_again() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut next = 1;
    for round in 0..8 {
        let (mut spool, stored) = Spool::open(&host, 9, 1).await.unwrap();
        assert!(stored + 1 >= next, "{stored} of {}", next - 1);
        next = spool
            .send(execs(stored + 1..=stored + BATCH))
            .await
            .unwrap()
            + 1;
        spool.offer(execs(next..=next + BATCH - 1)).await;
        // At another moment of the second in which it signs, each time.
        tokio::time::sleep(Duration::from_millis(130 * round)).await;
        approver.stop().await;
        approver.start_again().await;
    }
    let mut shown = Shown(auditor(&approver, "ada").await);
    let (_, stored) = Spool::open(&host, 9, 1).await.unwrap();
    let last = shown.reaches(stored).await;
    let report = walk(&mut shown, &last, 0, |_, _| Ok(())).unwrap();
    assert_eq!((report.findings, report.verified), (vec![], last.size));
}
