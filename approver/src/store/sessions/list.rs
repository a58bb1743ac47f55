//! Reading sessions: lists and one with its processes.

use holdpoint_proto::v1::Process;
use prost::Message as _;
use sqlx::{FromRow, QueryBuilder, Row as _, Sqlite, sqlite::SqliteRow};

use super::super::{Store, StoreError, decode};
use crate::domain::time::Millis;

/// One tracked process tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Session {
    /// Order of arrival.
    pub(crate) seq: i64,
    pub(crate) host_id: String,
    pub(crate) hostname: String,
    pub(crate) id: String,
    pub(crate) profile: String,
    pub(crate) owner: String,
    pub(crate) user: String,
    pub(crate) uid: u32,
    pub(crate) started_at: Millis,
    pub(crate) ended_at: Option<Millis>,
    pub(crate) last_seen_at: Millis,
    /// Its requests that wait for a person.
    pub(crate) pending: u32,
    /// All its requests.
    pub(crate) requests: u32,
}

/// One process of a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct KnownProcess {
    pub(crate) pid: u32,
    pub(crate) start_time_ns: u64,
    /// Pid and start of the one above it, if that is of the session too.
    pub(crate) parent: Option<(u32, u64)>,
    pub(crate) executable: Vec<u8>,
    pub(crate) argv: Vec<Vec<u8>>,
    /// It had more arguments than are kept.
    pub(crate) argv_cut: bool,
    pub(crate) uid: u32,
    pub(crate) first_seen: Millis,
    pub(crate) last_seen: Millis,
}

/// Which sessions are asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wanted {
    /// Id or name of the host.
    pub(crate) host: Option<String>,
    /// Only those that go on, or only those that ended.
    pub(crate) active: Option<bool>,
    /// Only those that came before this one.
    pub(crate) before: Option<i64>,
    /// At most so many.
    pub(crate) limit: u32,
}

/// Sessions, newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Page {
    pub(crate) sessions: Vec<Session>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<i64>,
}

const SELECT: &str = "SELECT sessions.*, hosts.hostname,
     (SELECT count(*) FROM requests WHERE requests.host_id = sessions.host_id
          AND requests.session_id = sessions.id) AS requests,
     (SELECT count(*) FROM requests WHERE requests.host_id = sessions.host_id
          AND requests.session_id = sessions.id AND state = 'pending') AS pending
     FROM sessions JOIN hosts ON hosts.id = sessions.host_id WHERE TRUE";

impl Store {
    /// Sessions as `wanted`, newest first.
    pub(crate) async fn sessions(&self, wanted: &Wanted) -> Result<Page, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(SELECT);
        if let Some(host) = &wanted.host {
            query.push(" AND (sessions.host_id = ").push_bind(host);
            query
                .push(" OR hosts.hostname = ")
                .push_bind(host)
                .push(")");
        }
        match wanted.active {
            Some(true) => drop(query.push(" AND ended_at IS NULL")),
            Some(false) => drop(query.push(" AND ended_at IS NOT NULL")),
            None => {}
        }
        if let Some(before) = wanted.before {
            query.push(" AND sessions.seq < ").push_bind(before);
        }
        query.push(" ORDER BY sessions.seq DESC LIMIT ");
        query.push_bind(i64::from(wanted.limit) + 1);
        let mut sessions: Vec<Session> = query.build_query_as().fetch_all(&self.read).await?;
        let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
        let more = sessions.len() > limit;
        sessions.truncate(limit);
        let next = sessions.last().filter(|_| more).map(|last| last.seq);
        Ok(Page { sessions, next })
    }

    /// Session `id` of host `host_id`, with the processes that are known of it in
    /// the order they were first seen.
    pub(crate) async fn session(
        &self,
        host_id: &str,
        id: &str,
    ) -> Result<Option<(Session, Vec<KnownProcess>)>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(SELECT);
        query.push(" AND sessions.host_id = ").push_bind(host_id);
        query.push(" AND sessions.id = ").push_bind(id);
        let session = query.build_query_as().fetch_optional(&self.read).await?;
        let Some(session) = session else {
            return Ok(None);
        };
        let processes = sqlx::query_as(
            "SELECT * FROM session_processes WHERE host_id = ? AND session_id = ?
             ORDER BY first_seen, start_time_ns, pid",
        )
        .bind(host_id)
        .bind(id)
        .fetch_all(&self.read)
        .await?;
        Ok(Some((session, processes)))
    }
}

impl FromRow<'_, SqliteRow> for Session {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            host_id: row.try_get("host_id")?,
            hostname: row.try_get("hostname")?,
            id: row.try_get("id")?,
            profile: row.try_get("profile")?,
            owner: row.try_get("owner")?,
            user: row.try_get("user")?,
            uid: row.try_get("uid")?,
            started_at: Millis::new(row.try_get("started_at")?),
            ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(Millis::new),
            last_seen_at: Millis::new(row.try_get("last_seen_at")?),
            pending: row.try_get("pending")?,
            requests: row.try_get("requests")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for KnownProcess {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let pid: Option<u32> = row.try_get("parent_pid")?;
        let start: Option<i64> = row.try_get("parent_start_time_ns")?;
        let kept = Process::decode(row.try_get::<&[u8], _>("argv")?)
            .map_err(|error| decode("argv", error))?;
        Ok(Self {
            pid: row.try_get("pid")?,
            start_time_ns: row.try_get::<i64, _>("start_time_ns")?.cast_unsigned(),
            parent: pid.zip(start.map(i64::cast_unsigned)),
            executable: row.try_get("executable")?,
            argv: kept.argv,
            argv_cut: kept.argv_cut,
            uid: row.try_get("uid")?,
            first_seen: Millis::new(row.try_get("first_seen")?),
            last_seen: Millis::new(row.try_get("last_seen")?),
        })
    }
}
