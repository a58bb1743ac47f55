//! An approver without a server, for tests of what it does whoever asks.

use std::{sync::Arc, time::Duration};

use holdpoint_history::History;
use holdpoint_proto::{
    digest,
    v1::{
        Exec, GrantScope, OpenRequest, Operation, Process, RequestContext, Rule, Session,
        operation::Kind,
    },
};
use tempfile::TempDir;
use uuid::Uuid;

use super::{Approver, decide::Answer, intake::Opening, now};
use crate::{
    ca,
    config::Config,
    domain::{
        account::{Role, Via},
        audit::Actor,
        request::Verdict,
        secret,
    },
    log::Log,
    metrics::Metrics,
    signer::Signer,
    state_dir::StateDir,
    store::{
        Store, enrolment_tokens::NewToken, hosts::NewHost, logins::Login, requests::Request,
        users::User,
    },
};

/// An approver in a directory of its own, with the accounts ada (viewer), bob and
/// eve (reviewers) and root (administrator).
pub(crate) struct Kit {
    pub(crate) approver: Arc<Approver>,
    _directory: TempDir,
}

impl Kit {
    pub(crate) async fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let directory = StateDir::open(place.path()).unwrap();
        let store = Store::open(&directory).await.unwrap();
        let log = Log::open(&directory, &store).await.unwrap();
        let marks = store.event_marks().await.unwrap();
        let history = directory.file("history");
        let history = History::open(&history, marks.kept_below, marks.next_index).unwrap();
        let approver = Approver::new(
            store,
            ca::load_or_create(&directory, now()).unwrap(),
            Signer::load_or_create(&directory).unwrap(),
            &Config::default(),
            Metrics::off(),
            history,
            log,
        );
        for (name, role) in [
            ("ada", Role::Viewer),
            ("bob", Role::Reviewer),
            ("eve", Role::Reviewer),
            ("root", Role::Administrator),
        ] {
            let user = User {
                name: name.parse().unwrap(),
                role,
                password_hash: "h".into(),
                created_at: now(),
            };
            assert!(approver.store.add_user(&user, &Actor::Local).await.unwrap());
        }
        Self {
            approver: Arc::new(approver),
            _directory: place,
        }
    }

    /// A new host.
    pub(crate) async fn host(&self) -> Uuid {
        let host = NewHost {
            id: Uuid::now_v7(),
            hostname: "build-7".into(),
            certificate_serial: "1".into(),
            certificate_expires_at: now().plus(Duration::from_hours(1)),
        };
        let secret_hash = secret::hash(&host.id.to_string());
        let token = NewToken {
            id: host.id.to_string(),
            secret_hash,
            label: String::new(),
            created_at: now(),
            expires_at: now().plus(Duration::from_hours(1)),
        };
        let store = &self.approver.store;
        store.add_token(&token, &Actor::Local).await.unwrap();
        assert!(store.enrol(&secret_hash, &host, now()).await.unwrap());
        host.id
    }

    /// Opens `request` of `host`, which is new.
    pub(crate) async fn open(&self, host: Uuid, request: &OpenRequest) {
        let opening = self.approver.open(host, request).await.unwrap();
        assert!(matches!(opening, Opening::Accepted(None)), "{opening:?}");
    }

    /// Decides `request` as `name` does who was shown it.
    pub(crate) async fn decide(
        &self,
        name: &str,
        request: &OpenRequest,
        verdict: Verdict,
    ) -> Request {
        let (login, answer) = (login(name), answer(request, verdict));
        let decided = self.approver.decide(&login, &request.request_id, &answer);
        decided.await.unwrap()
    }
}

/// `name`, logged in, with the role that [`Kit::new`] gives them.
pub(crate) fn login(name: &str) -> Login {
    Login {
        username: name.parse().unwrap(),
        role: match name {
            "root" => Role::Administrator,
            "ada" => Role::Viewer,
            _ => Role::Reviewer,
        },
        expires_at: now().plus(Duration::from_hours(1)),
        via: Via::Token,
        token: None,
    }
}

/// What a reviewer says who was shown `request`.
pub(crate) fn answer(request: &OpenRequest, verdict: Verdict) -> Answer {
    Answer {
        verdict,
        reason: "I know this upload".into(),
        digest_shown: request.digest.clone(),
        grant: None,
        idempotency_key: None,
    }
}

/// A request to run `path` in a session of `owner`, whose rule gives every scope.
pub(crate) fn request(owner: &str, path: &str) -> OpenRequest {
    let context = RequestContext {
        operation: Some(Operation {
            kind: Some(Kind::Exec(Exec {
                path: path.into(),
                ..Exec::default()
            })),
        }),
        process: Some(Process::default()),
        session: Some(Session {
            id: "00000000000000ab".into(),
            owner: owner.into(),
            ..Session::default()
        }),
        rule: Some(Rule {
            grants: vec![GrantScope::Process.into(), GrantScope::Session.into()],
            ..Rule::default()
        }),
        ..RequestContext::default()
    };
    OpenRequest {
        request_id: Uuid::now_v7().to_string(),
        digest: digest::of(&context).to_vec(),
        context: Some(context),
        held_at: None,
        time_left: Some(prost_types::Duration {
            seconds: 300,
            nanos: 0,
        }),
    }
}
