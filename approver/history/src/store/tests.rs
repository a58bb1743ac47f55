//! One answer, wherever the records are.

mod damage;
mod merging;
mod statements;

use std::sync::Arc;

use holdpoint_proto::v1::{
    Action, Basis, Connect, Event, Exec, Operation, OperationEvent, Process, Session, event::Body,
    operation::Kind,
};
use prost_types::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{
    audit::{AuditRecord, HostRef},
    ocsf,
    query::Query,
};

/// 2026-01-31.
const DAY: i64 = 1_769_817_600_000;
const HOUR: i64 = 3_600_000;

fn operation(number: u64, host: &str, time: i64, action: Action, kind: Kind) -> Record {
    let host = HostRef {
        id: format!("id-of-{host}"),
        hostname: host.into(),
    };
    let event = Event {
        sequence: number + 1,
        time: Some(Timestamp {
            seconds: time.div_euclid(1000),
            nanos: 0,
        }),
        body: Some(Body::Operation(OperationEvent {
            action: action.into(),
            basis: Basis::Policy.into(),
            operation: Some(Operation { kind: Some(kind) }),
            process: Some(Process {
                pid: 7,
                uid: 1000,
                executable: b"/usr/bin/python3".to_vec(),
                ..Process::default()
            }),
            session: Some(Session {
                id: "00ab".into(),
                owner: "ada".into(),
                ..Session::default()
            }),
            ..OperationEvent::default()
        })),
    };
    Record {
        log_index: number,
        json: ocsf::of_host_event(&host, &[1; 16], &event, time),
    }
}

fn exec(path: &str) -> Kind {
    Kind::Exec(Exec {
        path: path.into(),
        argv: vec![path.into(), b"100%_done".to_vec()],
        ..Exec::default()
    })
}

fn connect(address: [u8; 4], port: u32) -> Kind {
    Kind::Connect(Connect {
        address: address.to_vec(),
        port,
        protocol: 6,
        ..Connect::default()
    })
}

/// Six records over two days and two hosts.
fn records() -> Vec<Record> {
    let logged_out = AuditRecord::LoggedOut {
        username: "bob".into(),
    };
    vec![
        operation(0, "web-1", DAY, Action::Allowed, exec("/usr/bin/ls")),
        operation(
            1,
            "web-1",
            DAY + HOUR,
            Action::Denied,
            exec("/usr/bin/curl"),
        ),
        operation(
            2,
            "db-1",
            DAY + 24 * HOUR,
            Action::Held,
            connect([10, 1, 2, 3], 443),
        ),
        operation(
            3,
            "db-1",
            DAY + 25 * HOUR,
            Action::Released,
            connect([192, 0, 2, 1], 80),
        ),
        Record {
            log_index: 4,
            json: ocsf::of_audit(DAY + 26 * HOUR, 4, &logged_out),
        },
        operation(
            5,
            "web-1",
            DAY + 27 * HOUR,
            Action::Denied,
            exec("/opt/curl"),
        ),
    ]
}

fn query(text: &str) -> Query {
    Query::parse(text, DAY + 28 * HOUR).unwrap_or_else(|error| panic!("{}", error.pointed(text)))
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.log_index).collect()
}

/// The same records: all fresh, some kept, all kept.
async fn everywhere() -> Vec<(Arc<History>, TempDir)> {
    let mut places = Vec::new();
    for below in [0, 2, 4, 6] {
        let directory = tempfile::tempdir().unwrap();
        let history = Arc::new(History::open(directory.path(), 0, 6).unwrap());
        history.offer(&records()).unwrap();
        assert_eq!(history.keep(below).await.unwrap(), below);
        places.push((history, directory));
    }
    places
}

#[tokio::test]
async fn each_query_finds_the_same_wherever_the_records_are() {
    for (history, _directory) in everywhere().await {
        for (text, wanted) in [
            ("", &[5, 4, 3, 2, 1, 0][..]),
            ("outcome:denied", &[5, 1]),
            ("outcome:denied exe:*/bin/curl", &[1]),
            ("exe:*/curl,*/ls", &[5, 1, 0]),
            ("-outcome:denied", &[4, 3, 2, 0]),
            ("-exe:*curl", &[4, 3, 2, 0]),
            ("dest:10.0.0.0/8", &[2]),
            ("-dest:0.0.0.0/0", &[5, 4, 1, 0]),
            ("port:80-443", &[3, 2]),
            ("host:web-*", &[5, 1, 0]),
            ("host:id-of-db-1", &[3, 2]),
            ("reviewer:bob", &[4]),
            ("kind:login", &[4]),
            ("owner:ada pid:7 uid:1000 protocol:tcp", &[3, 2]),
            ("since:2026-02-01", &[5, 4, 3, 2]),
            ("since:2h", &[5, 4]),
            ("until:2026-01-31T00:30:00Z", &[0]),
            ("severity:medium", &[5, 2, 1]),
            ("class:4001", &[3, 2]),
            ("CURL", &[5, 1]),
            ("cmd:*100%_done*", &[5, 1, 0]),
            ("cmd:*100%done*", &[]),
            ("text:100%", &[5, 1, 0]),
            ("nothing-like-it", &[]),
        ] {
            let page = history.search(&query(text), None, 100).await.unwrap();
            assert_eq!(numbers(&page.records), wanted, "{text}");
            assert_eq!(page.next, None, "{text}");
            let stretch = history.follow(&query(text), 0, 100).await.unwrap();
            let forwards: Vec<u64> = wanted.iter().rev().copied().collect();
            assert_eq!(numbers(&stretch.records), forwards, "{text}");
            assert_eq!(stretch.seen, 6, "{text}");
        }
    }
}

#[tokio::test]
async fn records_come_back_byte_for_byte() {
    for (history, _directory) in everywhere().await {
        let page = history.search(&Query::default(), None, 100).await.unwrap();
        let mut found = page.records;
        found.reverse();
        assert_eq!(found, records());
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition() {
    for (history, _directory) in everywhere().await {
        let (mut found, mut before) = (Vec::new(), None);
        for _ in 0..4 {
            let page = history.search(&Query::default(), before, 2).await.unwrap();
            found.extend(numbers(&page.records));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found, [5, 4, 3, 2, 1, 0]);
        let stretch = history.follow(&Query::default(), 1, 2).await.unwrap();
        assert_eq!(numbers(&stretch.records), [1, 2]);
        assert_eq!(stretch.seen, 3);
    }
}

#[tokio::test]
async fn a_round_that_was_cut_short_is_done_again() {
    let directory = tempfile::tempdir().unwrap();
    {
        let history = Arc::new(History::open(directory.path(), 0, 6).unwrap());
        history.offer(&records()).unwrap();
        history.keep(4).await.unwrap();
    }
    // The database was never told: it has them all, and offers them again.
    let history = Arc::new(History::open(directory.path(), 0, 6).unwrap());
    history.offer(&records()).unwrap();
    let page = history.search(&Query::default(), None, 100).await.unwrap();
    assert_eq!(numbers(&page.records), [5, 4, 3, 2, 1, 0]);
    assert_eq!(history.keep(6).await.unwrap(), 6);
    drop(history);
    // And this time it was.
    let history = History::open(directory.path(), 6, 6).unwrap();
    assert_eq!(history.next(), 6);
    let page = history.search(&Query::default(), None, 100).await.unwrap();
    assert_eq!(numbers(&page.records), [5, 4, 3, 2, 1, 0]);
    drop(history);
    // A database from before them is refused, and nothing of them is removed.
    let error = History::open(directory.path(), 0, 3).unwrap_err();
    assert!(matches!(error, HistoryError::Newer { .. }), "{error}");
    assert!(History::open(directory.path(), 6, 6).is_ok());
}

#[tokio::test]
async fn a_round_that_failed_is_done_again_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let history = Arc::new(History::open(directory.path(), 0, 6).unwrap());
    history.offer(&records()[..4]).unwrap();
    // The first day can be written, and the second can't.
    let obstacle = directory.path().join("day=2026-02-01");
    std::fs::write(&obstacle, "").unwrap();
    let error = history.keep(4).await.unwrap_err();
    assert!(matches!(error, HistoryError::Io { .. }), "{error}");
    assert!(directory.path().join("day=2026-01-31").is_dir());
    history.offer(&records()).unwrap();
    std::fs::remove_file(obstacle).unwrap();
    assert_eq!(history.keep(6).await.unwrap(), 4, "as far as before");
    assert_eq!(history.keep(6).await.unwrap(), 6);
    for _ in 0..2 {
        let page = history.search(&Query::default(), None, 100).await.unwrap();
        assert_eq!(numbers(&page.records), [5, 4, 3, 2, 1, 0]);
        let sql = "SELECT count(*) FROM events";
        assert_eq!(history.sql(sql, 1).await.unwrap().rows[0][0], "6");
        // And after a start.
        History::open(directory.path(), 6, 6).unwrap();
    }
}

#[tokio::test]
async fn what_is_kept_takes_no_memory() {
    let directory = tempfile::tempdir().unwrap();
    let history = Arc::new(History::open(directory.path(), 0, 6).unwrap());
    assert_eq!(history.fresh_bytes(), 0);
    history.offer(&records()).unwrap();
    let all = history.fresh_bytes();
    let records: usize = records().iter().map(|record| record.json.len()).sum();
    assert!(all > records, "{all} bytes for {records}");
    history.keep(5).await.unwrap();
    let rest = history.fresh_bytes();
    assert!(rest > 0 && rest < all / 2, "{rest} of {all}");
    history.keep(6).await.unwrap();
    assert_eq!(history.fresh_bytes(), 0);
}

#[tokio::test]
async fn a_clock_that_is_wrong_hides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let history = Arc::new(History::open(directory.path(), 0, 4).unwrap());
    let year = 365 * 24 * HOUR;
    let mut told = Vec::new();
    for (number, time) in [(0, DAY), (1, DAY + year), (2, DAY - year), (3, 0)] {
        let host = HostRef {
            id: "id".into(),
            hostname: "web-1".into(),
        };
        let event = Event {
            sequence: number + 1,
            time: Some(Timestamp {
                seconds: time / 1000,
                nanos: 0,
            }),
            body: None,
        };
        told.push(Record {
            log_index: number,
            json: ocsf::of_host_event(&host, &[1; 16], &event, DAY),
        });
    }
    history.offer(&told).unwrap();
    history.keep(4).await.unwrap();
    let mut days: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    days.sort();
    assert_eq!(days, ["day=2026-01-24", "day=2026-01-31", "day=9999-12-31"]);
    for (text, wanted) in [
        ("since:2026-06-01", &[1][..]),
        ("since:2027-01-01", &[1]),
        ("since:2026-01-31", &[1, 0]),
        ("since:2025-01-31 until:2026-01-01", &[2]),
        ("until:2025-01-01", &[3]),
        ("since:1970-01-01", &[3, 2, 1, 0]),
    ] {
        let page = history.search(&query(text), None, 100).await.unwrap();
        assert_eq!(numbers(&page.records), wanted, "{text}");
    }
    for (text, wanted) in [
        ("since:2025-01-01", 2),
        ("since:2026-01-31 until:2028-01-01", 2),
        ("since:1970-01-01", 3),
    ] {
        let counted = history.histogram(&query(text), 3, DAY).await.unwrap();
        let counted: u64 = counted.buckets.iter().map(|one| one.other).sum();
        assert_eq!(counted, wanted, "{text}");
    }
}

#[tokio::test]
async fn what_is_kept_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let outer = tempfile::tempdir().unwrap();
    let directory = outer.path().join("a/history");
    let history = Arc::new(History::open(&directory, 0, 6).unwrap());
    history.offer(&records()).unwrap();
    history.keep(6).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = damage::files(&directory);
    assert_eq!(files.len(), 4);
    for file in files {
        assert_eq!(mode(&file), 0o600, "{file:?}");
        let folders = file.ancestors().skip(1);
        for folder in folders.take_while(|one| *one != outer.path()) {
            assert_eq!(mode(folder), 0o700, "{folder:?}");
        }
    }
}

#[tokio::test]
async fn records_are_offered_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let history = History::open(directory.path(), 0, 6).unwrap();
    history.offer(&records()[..2]).unwrap();
    history.offer(&records()[..3]).unwrap();
    assert_eq!(history.next(), 3, "what it has is passed over");
    let error = history.offer(&records()[4..]).unwrap_err();
    assert!(matches!(
        error,
        HistoryError::Gap {
            found: 4,
            wanted: 3
        }
    ));
}

#[tokio::test]
async fn a_histogram_counts_each_once() {
    for (history, _directory) in everywhere().await {
        let since = query("since:2026-01-31");
        let counted = history.histogram(&since, 2, DAY + 28 * HOUR).await.unwrap();
        assert_eq!((counted.from, counted.to), (DAY, DAY + 28 * HOUR));
        assert_eq!(counted.bucket_ms, 14 * HOUR);
        let first = counted.buckets[0];
        assert_eq!((first.allowed, first.denied, first.other), (1, 1, 0));
        let second = counted.buckets[1];
        assert_eq!((second.held, second.released), (1, 1));
        assert_eq!((second.denied, second.other), (1, 1));
    }
}

#[tokio::test]
async fn sql_reads_everything_and_changes_nothing() {
    for (history, directory) in everywhere().await {
        let answer = history.sql(
            "WITH denied AS (SELECT * FROM events WHERE outcome = 'denied')
             SELECT hostname, count(*) AS n FROM denied GROUP BY hostname",
            10,
        );
        let answer = answer.await.unwrap();
        assert_eq!(answer.columns, ["hostname", "n"]);
        assert_eq!(answer.rows, [vec![Value::from("web-1"), Value::from("2")]]);
        let cut = history
            .sql("SELECT log_index FROM events", 2)
            .await
            .unwrap();
        assert_eq!((cut.rows.len(), cut.cut), (2, true));
        let time = history.sql("SELECT time FROM events WHERE log_index = 0", 1);
        assert_eq!(time.await.unwrap().rows[0][0], "2026-01-31T00:00:00Z");
        let file = directory.path().join("out.parquet");
        let file = file.display();
        for sql in [
            "DROP TABLE events".to_owned(),
            "DELETE FROM events".to_owned(),
            "INSERT INTO events SELECT * FROM events".to_owned(),
            "CREATE TABLE x AS SELECT 1".to_owned(),
            "CREATE VIEW x AS SELECT 1".to_owned(),
            format!("COPY (SELECT 1) TO '{file}'"),
            format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{file}'"),
            "SELECT * FROM '/etc/passwd'".to_owned(),
            "SET datafusion.execution.batch_size = 1".to_owned(),
            "EXPLAIN SELECT 1".to_owned(),
            "SHOW TABLES".to_owned(),
            "SELECT * FROM information_schema.tables".to_owned(),
            "SELECT 1; SELECT 2".to_owned(),
            "SELECT repeat('x', 1000000000)".to_owned(),
            "SELECT nonsense FROM events".to_owned(),
            "not sql".to_owned(),
            " ".repeat(8000),
        ] {
            let error = history.sql(&sql, 10).await.unwrap_err();
            assert!(matches!(error, HistoryError::Sql(_)), "{sql}: {error:?}");
        }
        assert!(!directory.path().join("out.parquet").exists());
        let all = history.sql("SELECT count(*) FROM events", 1).await.unwrap();
        assert_eq!(all.rows[0][0], "6");
    }
}
