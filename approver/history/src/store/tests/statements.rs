//! Statements that want to take the approver down with them.

use std::time::{Duration, Instant};

use super::*;

/// What any of these may take: they are refused, or small.
const SOON: Duration = Duration::from_secs(20);

async fn history() -> (Arc<History>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let history = Arc::new(History::open(directory.path(), 0, 6).unwrap());
    history.offer(&records()).unwrap();
    history.keep(4).await.unwrap();
    (history, directory)
}

/// Why `sql` is not answered; none if it is.
async fn refused(history: &History, sql: &str) -> Option<String> {
    let begin = Instant::now();
    let answer = history.sql(sql, 10).await;
    assert!(
        begin.elapsed() < SOON,
        "{sql:.100} took {:?}",
        begin.elapsed()
    );
    match answer {
        Ok(_) => None,
        Err(HistoryError::Sql(text)) => Some(text),
        Err(other) => panic!("{sql:.100}: {other:?}"),
    }
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("SELECT {}1{}", open.repeat(depth), close.repeat(depth))
}

#[tokio::test]
async fn depth_ends_before_the_stack() {
    let (history, _directory) = history().await;
    let long = format!("SELECT {}1", "1+".repeat(4000));
    let why = refused(&history, &long).await.unwrap();
    assert!(why.contains("the most is 1000"), "{why}");
    // At the bound, whatever it is made of: answered or refused, and no more.
    let or = "kind = 'a' OR ".repeat(240);
    for sql in [
        format!("SELECT {}1", "1+".repeat(498)),
        format!("SELECT log_index {} FROM events", "+ 1".repeat(490)),
        format!("SELECT count(*) FROM events WHERE {or} true"),
        nested("(", ")", 12),
        nested("coalesce(", ")", 12),
        nested("CASE WHEN true THEN ", " END", 40),
        nested("NOT ", " IS NULL", 40),
        nested("- ", "", 45),
        nested("CAST(", " AS BIGINT)", 12),
        nested("(SELECT ", ")", 12),
        format!("SELECT 1 FROM {}events{}", "(".repeat(12), ")".repeat(12)),
        format!(
            "SELECT 1 FROM events WHERE {}true",
            "EXISTS (SELECT 1 WHERE ".repeat(6)
        ),
        vec!["SELECT 1"; 16].join(" UNION "),
        format!("SELECT {}1", "INTERVAL ".repeat(15)),
        format!("SELECT 1 FROM {}events", "(SELECT * FROM (".repeat(6)),
        format!("SELECT x IN ({}1)", "1,".repeat(480)),
        format!(
            "SELECT CAST(1 AS {}INT{})",
            "ARRAY<".repeat(300),
            ">".repeat(300)
        ),
        format!("SELECT 1{}", "::TEXT".repeat(480)),
        format!("SELECT 1 FROM events e{}", ", events".repeat(400)),
    ] {
        refused(&history, &sql).await;
    }
}

#[tokio::test]
async fn what_makes_much_of_little_is_refused() {
    let (history, _directory) = history().await;
    for (sql, why) in [
        ("SELECT repeat('x', 1000000000)", "repeat is not answered"),
        ("SELECT lpad('x', 1000000000, 'x')", "lpad is not"),
        (
            "SELECT replace(record, '', record) FROM events",
            "replace is not",
        ),
        (
            "SELECT regexp_replace(record, '', record, 'g') FROM events",
            "regexp_replace is not",
        ),
        ("SELECT concat(record, record) FROM events", "concat is not"),
        (
            "SELECT concat_ws(record, record, record) FROM events",
            "concat_ws is not",
        ),
        (
            "SELECT overlay(record PLACING record FROM 1) FROM events",
            "overlay is not",
        ),
        ("SELECT record || record FROM events", "|| is not"),
        (
            "SELECT arrow_cast(record, 'LargeUtf8') FROM events",
            "arrow_cast is not",
        ),
        ("SELECT to_char(time, record) FROM events", "to_char is not"),
        (
            "SELECT string_agg(record, ',') FROM events",
            "string_agg is not",
        ),
        ("SELECT array_agg(record) FROM events", "array_agg is not"),
        ("SELECT make_array(record) FROM events", "make_array"),
        ("SELECT ARRAY[record] FROM events", "[ is not"),
        ("SELECT count(*) OVER () FROM events", "OVER is not"),
        (
            "SELECT row_number() OVER (ORDER BY time) FROM events",
            "OVER is not",
        ),
        (
            "SELECT count(*) FROM events GROUP BY CUBE (kind, rule, risk)",
            "CUBE or ROLLUP",
        ),
        (
            "SELECT count(*) FROM events GROUP BY ROLLUP (kind, rule)",
            "CUBE or ROLLUP",
        ),
        (
            "SELECT approx_percentile_cont(log_index, 0.5, 1000000000) FROM events",
            "with a size",
        ),
        (
            "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t",
            "ecursive",
        ),
        (
            "SELECT * FROM generate_series(1, 1000000000)",
            "generate_series",
        ),
        (
            "SELECT input_file_name() FROM events",
            "input_file_name is not",
        ),
        ("SELECT version()", "version is not"),
    ] {
        let text = refused(&history, sql).await.unwrap_or_default();
        assert!(text.contains(why), "{sql}: {text:?}");
    }
}

#[tokio::test]
async fn what_multiplies_in_the_plan_is_refused() {
    let (history, _directory) = history().await;
    // Each part names the one before twice.
    let mut laughs = "WITH a0 AS (SELECT * FROM events)".to_owned();
    for level in 1..15 {
        let before = level - 1;
        let part = format!(", a{level} AS (SELECT x.* FROM a{before} x, a{before} y)");
        laughs.push_str(&part);
    }
    let sql = format!("{laughs} SELECT count(*) FROM a14");
    let why = refused(&history, &sql).await.unwrap();
    assert!(why.contains("comes to more than"), "{why}");
    // Each expression does.
    let mut laughs = "WITH a0 AS (SELECT log_index AS x FROM events)".to_owned();
    for level in 1..15 {
        let before = level - 1;
        let part = format!(", a{level} AS (SELECT x+x+x+x+x+x+x+x AS x FROM a{before})");
        laughs.push_str(&part);
    }
    let sql = format!("{laughs} SELECT x FROM a14 WHERE x > 7");
    let why = refused(&history, &sql).await.unwrap();
    assert!(why.contains("more than 10000 parts"), "{why}");
    // What is allowed of that ends soon.
    let allowed = "WITH a AS (SELECT log_index+log_index+log_index AS x FROM events),
        b AS (SELECT x+x+x+x+x+x AS x FROM a), c AS (SELECT x+x+x+x+x+x AS x FROM b)
        SELECT x FROM c WHERE x > 7 ORDER BY x";
    assert_eq!(refused(&history, allowed).await, None);
}

#[tokio::test]
async fn ordinary_questions_are_answered() {
    let (history, _directory) = history().await;
    for sql in [
        "SELECT lower(exe), count(*) FROM events GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
        "SELECT date_trunc('hour', time) AS hour, count(DISTINCT host_id) FROM events GROUP BY 1",
        "SELECT substring(record FROM 1 FOR 10), position('x' IN record) FROM events",
        "SELECT extract(hour FROM time), trim(both ' ' FROM exe) FROM events",
        "SELECT * FROM events WHERE exe LIKE '%curl' AND time > now() - INTERVAL '100 years'",
        "SELECT CASE WHEN kind = 'exec' THEN 1 ELSE 0 END FROM events",
        "SELECT e.kind FROM events e JOIN events f ON e.log_index = f.log_index + 1",
        "SELECT kind FROM events WHERE log_index IN (SELECT max(log_index) FROM events)",
        "SELECT coalesce(rule, '-'), min(time), max(time), avg(pid) FROM events GROUP BY rule",
        "SELECT DISTINCT kind FROM events UNION SELECT outcome FROM events",
        "SELECT kind, count(*) AS n FROM events GROUP BY kind HAVING count(*) > 1",
    ] {
        assert_eq!(refused(&history, sql).await, None, "{sql}");
    }
}

#[tokio::test]
async fn a_greedy_statement_gets_no_more_memory() {
    let (history, _directory) = history().await;
    let sql = "SELECT a.record FROM events a, events b, events c, events d, events e, events f, \
               events g ORDER BY a.time, b.time, c.time, d.time, e.time, f.time, g.time";
    let error = history.sql(sql, 10).await.unwrap_err();
    let HistoryError::Sql(text) = error else {
        panic!("{error:?}");
    };
    assert!(text.contains("ask for less"), "{text}");
    // Others are answered as before.
    let all = history.sql("SELECT count(*) FROM events", 1).await.unwrap();
    assert_eq!(all.rows[0][0], "6");
}

#[tokio::test]
async fn two_are_answered_at_once_and_others_wait() {
    let (history, _directory) = history().await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let history = Arc::clone(&history);
        asked.spawn(async move {
            let sql = "SELECT count(*) FROM events a, events b, events c, events d";
            history.sql(sql, 1).await.unwrap().rows[0][0].clone()
        });
    }
    assert!(history.sql.available() <= 2);
    while let Some(answer) = asked.join_next().await {
        assert_eq!(answer.unwrap(), "1296");
    }
    assert_eq!(history.sql.available(), 2);
}
