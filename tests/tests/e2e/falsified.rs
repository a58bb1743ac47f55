//! What an approver keeps is changed, dropped and cut on its disk, and `holdpoint
//! audit verify` finds each: in the files of the log, and in those that questions
//! are answered from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use futures::stream;
use holdpoint_agent::identity::Identity;
use holdpoint_proto::v1::{
    Action, Basis, Event, EventBatch, Exec, OpenSpool, Operation, OperationEvent, Process,
    PublishRequest, Session, event::Body, host_events_client::HostEventsClient, operation::Kind,
    publish_request::Message,
};
use holdpoint_tests::{
    patience::{until, within},
    programs::Done,
    world::{World, bounded},
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity as Credential};

/// Enough that the approver moves them to files.
const EVENTS: u64 = 11_000;
const BATCH: u64 = 1000;

const UNSOUND: i32 = 3;

fn event(sequence: u64) -> Event {
    Event {
        sequence,
        time: Some(std::time::SystemTime::now().into()),
        body: Some(Body::Operation(OperationEvent {
            action: Action::Denied.into(),
            basis: Basis::Policy.into(),
            operation: Some(Operation {
                kind: Some(Kind::Exec(Exec {
                    path: b"/usr/bin/curl".to_vec(),
                    argv: vec![b"curl".to_vec(), sequence.to_string().into_bytes()],
                    ..Exec::default()
                })),
            }),
            process: Some(Process {
                pid: 9,
                tid: 9,
                executable: b"/bin/sh".to_vec(),
                ..Process::default()
            }),
            session: Some(Session {
                id: "00ab".into(),
                ..Session::default()
            }),
            ..OperationEvent::default()
        })),
    }
}

/// The host tells of [`EVENTS`] events, as fast as they are taken.
async fn publish(world: &World) {
    let identity = Identity::load(&world.host.state_dir()).unwrap().unwrap();
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&identity.ca))
        .identity(Credential::from_pem(&identity.certificate, &identity.key));
    let endpoint = Endpoint::from_shared(world.approver.address()).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect_lazy();
    let say = |message| PublishRequest {
        message: Some(message),
    };
    let mut messages = vec![say(Message::Open(OpenSpool {
        spool_id: vec![7; 16],
        first_sequence: 1,
    }))];
    for first in (1..=EVENTS).step_by(1000) {
        let events = (first..first + BATCH).map(event).collect();
        messages.push(say(Message::Batch(EventBatch { events })));
    }
    let mut client = HostEventsClient::new(channel);
    let call = client.publish(stream::iter(messages));
    let mut stored = within("the stream", call).await.unwrap().into_inner();
    loop {
        let answer = within("a batch", stored.message()).await.unwrap().unwrap();
        if answer.sequence == EVENTS {
            return;
        }
    }
}

fn parquet(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|one| one == "parquet") {
                found.push(path);
            }
        }
    }
    found
}

/// The largest file: that of the host.
fn largest(files: Vec<PathBuf>) -> PathBuf {
    let size = |path: &PathBuf| fs::metadata(path).unwrap().len();
    files.into_iter().max_by_key(size).unwrap()
}

async fn verify(world: &mut World, arguments: &[&str]) -> Done {
    let words = [&["audit", "verify"], arguments].concat();
    world.people.types("ada", &words).await
}

/// What is done to a file.
#[derive(Clone, Copy)]
enum Change {
    /// One bit of this byte is another.
    Flip(usize),
    /// It is not there.
    Drop,
    /// Its end is not there.
    Cut,
}

impl Change {
    fn make(self, file: &Path, whole: &[u8]) {
        let mut bytes = whole.to_vec();
        match self {
            Self::Flip(at) => bytes[at] ^= 1,
            Self::Drop => return fs::remove_file(file).unwrap(),
            Self::Cut => bytes.truncate(bytes.len() - 100),
        }
        fs::write(file, bytes).unwrap();
    }
}

/// Makes `change` to `file`, which must be found and said in `words`, and undoes
/// it.
async fn found(world: &mut World, file: &Path, change: Change, words: &[&str]) {
    let whole = fs::read(file).unwrap();
    change.make(file, &whole);
    let done = verify(world, &[]).await;
    assert_eq!(done.code, Some(UNSOUND), "{words:?}: {done:#?}");
    for words in [&["Integrity    BROKEN"], words].concat() {
        let said = done.stdout.contains(words);
        assert!(said, "{words:?} is not in {}", done.stdout);
    }
    fs::write(file, whole).unwrap();
}

#[test]
fn what_is_changed_dropped_or_cut_on_the_disk_is_found() {
    bounded(async {
        let mut world = World::new().await;
        publish(&world).await;
        let history = world.approver.state_dir().join("history");
        let log = world.approver.state_dir().join("log");
        let kept = until("records in files", async || {
            let files = parquet(&history);
            if files.is_empty() { Err(()) } else { Ok(files) }
        })
        .await;
        world.people.wait_for_log("ada", EVENTS).await;
        let verified = verify(&mut world, &[]).await.ok();
        for words in ["every record is the one", "History      OK"] {
            assert!(verified.contains(words), "{words:?} is not in {verified}");
        }

        let bundle = log.join("tile/entries/005");
        // In the middle of a record.
        found(
            &mut world,
            &bundle,
            Change::Flip(3000),
            &["was changed after the log was signed"],
        )
        .await;
        found(
            &mut world,
            &bundle,
            Change::Drop,
            &["records 1280 to 1535 are missing"],
        )
        .await;
        let last = log.join("tile/entries/041");
        found(
            &mut world,
            &last,
            Change::Cut,
            &["records 10496 to 10751 can't be read"],
        )
        .await;
        let hashes = log.join("tile/0/005");
        found(
            &mut world,
            &hashes,
            Change::Flip(40),
            &["tile/0/005 over records 1280 to 1535"],
        )
        .await;

        let file = largest(kept);
        let middle = usize::try_from(fs::metadata(&file).unwrap().len() / 2).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let broken = ["History      BROKEN", &name, "Completeness OK"];
        let changed = [&broken[..], &["was changed"]].concat();
        found(&mut world, &file, Change::Flip(middle), &changed).await;
        found(&mut world, &file, Change::Cut, &changed).await;
        let gone = [&broken[..], &["is gone"]].concat();
        found(&mut world, &file, Change::Drop, &gone).await;

        // What was verified before is not read again, which is said.
        let whole = fs::read(&file).unwrap();
        Change::Flip(middle).make(&file, &whole);
        let done = verify(&mut world, &["--new"]).await.ok();
        assert!(done.contains("were not read again"), "{done}");
        fs::write(&file, &whole).unwrap();
        verify(&mut world, &[]).await.ok();

        // A start notices that a file is not there.
        world.approver.stop().await;
        fs::remove_file(&file).unwrap();
        let mut starting = tokio::process::Command::from(world.approver.program());
        let ended = within("the start", starting.output()).await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("lacks records 0 to"), "{said}");
        fs::write(&file, whole).unwrap();
        world.approver.start_again().await;
        verify(&mut world, &[]).await.ok();
    });
}
