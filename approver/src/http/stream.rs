//! What happens, as it happens (server-sent events).
//!
//! A stream follows the revision of the store. A client that reads too slowly is
//! cut off and loses nothing: it comes back with the last id it has seen. So no
//! client can make us keep more for it than a few events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName},
    response::sse::{Event, Sse},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{self, MissedTickBehavior},
};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;

use super::{
    Web,
    access::Caller,
    body::Params,
    problem::{Code, Problem},
    view::request::RequestView,
};
use crate::{
    live::Reload,
    service::{now, watch::Watch},
    store::{logins::Login, requests::Request},
};

/// How often something is said if there is nothing to say.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a client's login is checked.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Events that may wait for a slow client, and how long it may take none. Each may
/// be as large as a request is.
const BUFFER: usize = 2;
const PATIENCE: Duration = Duration::from_secs(20);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// The last id that was seen; the header Last-Event-ID goes before it.
    after: Option<String>,
}

type Events = Sse<ReceiverStream<Result<Event, Infallible>>>;

/// Follow what happens
///
/// `hello` `{revision}`, then `request` with a Request for each pending request,
/// or, with `Last-Event-ID`, for each that changed since; then for each change.
/// `host`, `session`, `grant` and `flag` say `{id}` of what to load anew. `bye`
/// `{because}` is the end: `login` or `closing`.
#[utoipa::path(get, path = "/stream", tag = "requests", params(StreamParams),
    responses((status = 200, description = "Server-sent events", body = String,
        content_type = "text/event-stream")))]
pub(super) async fn follow(
    State(web): State<Web>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<StreamParams>,
) -> Result<Events, Problem> {
    let seat = web.seats.take(&caller.login.username)?;
    let after = after(&headers, params.after.as_deref())?;
    let watch = match after {
        Some(revision) => Watch::resume(web.approver.clone(), revision).await?,
        None => Watch::begin(web.approver.clone()).await?,
    };
    let (events, stream) = mpsc::channel(BUFFER);
    let client = Client {
        web,
        caller,
        events,
    };
    tokio::spawn(async move {
        client.run(watch).await;
        drop(seat);
    });
    Ok(Sse::new(ReceiverStream::new(stream)))
}

/// The revision a client goes on after.
fn after(headers: &HeaderMap, parameter: Option<&str>) -> Result<Option<i64>, Problem> {
    let header = headers
        .get(LAST_EVENT_ID)
        .map(|id| id.to_str().unwrap_or("?"));
    match header.or(parameter) {
        None | Some("") => Ok(None),
        Some(id) => id.parse().map(Some).map_err(|_| {
            Problem::new(Code::Invalid, format!("{id:?} is no id of this stream"))
                .with_mend("begin without one")
        }),
    }
}

/// One client.
struct Client {
    web: Web,
    caller: Caller,
    events: mpsc::Sender<Result<Event, Infallible>>,
}

/// The client is gone, or reads too slowly.
struct Gone;

impl Client {
    async fn run(self, mut watch: Watch) {
        let mut login = self.caller.login.clone();
        let mut reloads = self.web.approver.live.reloads();
        let mut heartbeat = ticks(HEARTBEAT);
        let mut check = ticks(CHECK_EVERY);
        let hello = json!({ "revision": watch.revision().to_string() });
        if self.say("hello", &hello).await.is_err() {
            return;
        }
        loop {
            let said = tokio::select! {
                changed = watch.next() => match changed {
                    Ok(requests) => self.tell(&watch, requests, &login).await,
                    Err(error) => {
                        Problem::internal(&error);
                        return;
                    }
                },
                what = reloads.recv() => match what {
                    Ok(what) => self.reload(what).await,
                    // Too much at once to tell apart. A client that comes back
                    // loads everything.
                    Err(_) => return,
                },
                _ = heartbeat.tick() => self.send(Event::default().comment("")).await,
                _ = check.tick() => match self.caller.again(&self.web).await {
                    Ok(now) => {
                        login = now;
                        Ok(())
                    }
                    Err(problem) if problem.code() == Code::NotLoggedIn => {
                        let _ = self.say("bye", &json!({ "because": "login" })).await;
                        return;
                    }
                    Err(_) => return,
                },
                () = self.events.closed() => return,
                () = self.web.approver.live.closing() => {
                    let _ = self.say("bye", &json!({ "because": "closing" })).await;
                    return;
                }
            };
            if said.is_err() {
                return;
            }
        }
    }

    async fn tell(&self, watch: &Watch, requests: Vec<Request>, login: &Login) -> Result<(), Gone> {
        for request in requests {
            let id = watch.place(&request).to_string();
            let view = RequestView::new(request, login, now());
            let Ok(event) = Event::default().event("request").id(id).json_data(view) else {
                return Err(Gone);
            };
            self.send(event).await?;
        }
        Ok(())
    }

    async fn reload(&self, what: Reload) -> Result<(), Gone> {
        match what {
            Reload::Host(id) => self.say("host", &json!({ "id": id.to_string() })).await,
            Reload::Session { host, id } => {
                let session = json!({ "id": id, "host_id": host.to_string() });
                self.say("session", &session).await
            }
            Reload::Grant(id) => self.say("grant", &json!({ "id": id })).await,
            Reload::Flag(id) => self.say("flag", &json!({ "id": id })).await,
        }
    }

    async fn say(&self, name: &str, data: &serde_json::Value) -> Result<(), Gone> {
        self.send(Event::default().event(name).data(data.to_string()))
            .await
    }

    async fn send(&self, event: Event) -> Result<(), Gone> {
        match time::timeout(PATIENCE, self.events.send(Ok(event))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone),
            Err(_) => {
                tracing::info!(
                    user.name = %self.caller.login.username,
                    "a stream was ended: its client reads too slowly"
                );
                Err(Gone)
            }
        }
    }
}

fn ticks(every: Duration) -> time::Interval {
    let mut ticks = time::interval_at(time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_header_goes_before_the_parameter() {
        let mut headers = HeaderMap::new();
        let read = |headers: &HeaderMap, parameter| after(headers, parameter).ok();
        assert_eq!(read(&headers, None), Some(None));
        assert_eq!(read(&headers, Some("")), Some(None));
        assert_eq!(read(&headers, Some("7")), Some(Some(7)));
        assert_eq!(read(&headers, Some("x")), None);
        headers.insert(LAST_EVENT_ID, HeaderValue::from_static("9"));
        assert_eq!(read(&headers, Some("7")), Some(Some(9)));
    }
}
