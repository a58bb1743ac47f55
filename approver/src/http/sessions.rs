//! Sessions: list, show with their processes and requests.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Web,
    access::Caller,
    body::{Params, Segments},
    page,
    problem::{Code, Problem},
    view::{
        ProcessBytes,
        operation::list as list_of_bytes,
        request::{HostName, RequestView},
        time, time_or_null,
    },
};
use crate::{
    service::now,
    store::sessions::{KnownProcess, Session, Wanted},
};

/// Requests that are shown of one session.
const REQUESTS: usize = 50;

/// Which sessions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// Id or name of a host.
    host: Option<String>,
    /// Only those that go on, or only those that ended.
    active: Option<bool>,
    /// 1 to 500; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    id: String,
    host: HostName,
    profile: String,
    owner: String,
    user: String,
    uid: u32,
    started_at: String,
    #[schema(required)]
    ended_at: Option<String>,
    last_seen_at: String,
    /// Requests that wait for a person.
    pending: u32,
    /// All requests.
    requests: u32,
}

/// A page of sessions, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionList {
    sessions: Vec<SessionView>,
    /// To ask for the next page with; null on the last one.
    #[schema(required)]
    next: Option<String>,
}

/// A session with what is known of it.
#[derive(Serialize, ToSchema)]
pub(super) struct SessionPage {
    session: SessionView,
    /// In the order they were first seen.
    processes: Vec<ProcessSeen>,
    /// Newest first, at most 50.
    requests: Vec<RequestView>,
}

/// A process of a session.
#[derive(Serialize, ToSchema)]
pub(super) struct ProcessSeen {
    pid: u32,
    start_time_ns: String,
    /// Null for the root, and where it isn't known.
    #[schema(required)]
    parent: Option<ProcessKey>,
    executable: ProcessBytes,
    argv: Vec<ProcessBytes>,
    /// It had more arguments: the last of these may be a part of one.
    argv_cut: bool,
    uid: u32,
    first_seen: String,
    last_seen: String,
    /// True once its session is over.
    ended: bool,
}

/// Which process of a boot.
#[derive(Serialize, ToSchema)]
pub(super) struct ProcessKey {
    pid: u32,
    start_time_ns: String,
}

impl From<Session> for SessionView {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            host: HostName {
                id: session.host_id,
                hostname: session.hostname,
            },
            profile: session.profile,
            owner: session.owner,
            user: session.user,
            uid: session.uid,
            started_at: time(session.started_at),
            ended_at: time_or_null(session.ended_at),
            last_seen_at: time(session.last_seen_at),
            pending: session.pending,
            requests: session.requests,
        }
    }
}

impl ProcessSeen {
    fn new(process: KnownProcess, ended: bool) -> Self {
        Self {
            pid: process.pid,
            start_time_ns: process.start_time_ns.to_string(),
            parent: process.parent.map(|(pid, start)| ProcessKey {
                pid,
                start_time_ns: start.to_string(),
            }),
            executable: process.executable.into(),
            argv: list_of_bytes(process.argv),
            argv_cut: process.argv_cut,
            uid: process.uid,
            first_seen: time(process.first_seen),
            last_seen: time(process.last_seen),
            ended,
        }
    }
}

/// List sessions
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(ListParams),
    responses((status = 200, description = "Newest first", body = SessionList)))]
pub(super) async fn list(
    State(web): State<Web>,
    Params(params): Params<ListParams>,
) -> Result<Json<SessionList>, Problem> {
    let wanted = Wanted {
        host: params.host,
        active: params.active,
        before: Some(page::before(params.cursor.as_deref())?),
        limit: page::limit(params.limit)?,
    };
    let page = web.approver.sessions(&wanted).await?;
    Ok(Json(SessionList {
        sessions: page.sessions.into_iter().map(SessionView::from).collect(),
        next: page.next.map(page::cursor),
    }))
}

/// Show a session
#[utoipa::path(get, path = "/sessions/{host_id}/{session_id}", tag = "sessions",
    params(
        ("host_id" = String, Path, description = "Id of its host"),
        ("session_id" = String, Path, description = "Its id on that host"),
    ),
    responses((status = 200, description = "The session", body = SessionPage)))]
pub(super) async fn show(
    State(web): State<Web>,
    caller: Caller,
    Segments((host_id, session_id)): Segments<(String, String)>,
) -> Result<Json<SessionPage>, Problem> {
    let found = web.approver.session(&host_id, &session_id).await?;
    let (session, processes) = found
        .ok_or_else(|| Problem::new(Code::NotFound, "there is no such session on this host"))?;
    let ended = session.ended_at.is_some();
    let requests = web
        .approver
        .requests_of_session(&host_id, &session_id, REQUESTS)
        .await?;
    let now = now();
    Ok(Json(SessionPage {
        session: session.into(),
        processes: processes
            .into_iter()
            .map(|process| ProcessSeen::new(process, ended))
            .collect(),
        requests: requests
            .into_iter()
            .map(|request| RequestView::new(request, &caller.login, now))
            .collect(),
    }))
}
