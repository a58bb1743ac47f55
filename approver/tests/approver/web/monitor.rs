//! What the operator's monitoring sees.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Client, requests::decision};
use crate::kit::{self, Approver, within};

/// The status and body of a plain GET.
async fn get(approver: &Approver, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(approver.config.metrics.listen)
        .await
        .unwrap();
    let call = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(call.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

#[tokio::test]
async fn the_numbers_follow_what_happens() {
    let approver = Approver::start_with(|config| {
        config.metrics.enabled = true;
        config.metrics.listen = "127.0.0.1:0".parse().unwrap();
    })
    .await;
    assert_eq!(get(&approver, "/healthz").await, (200, "ok\n".into()));
    assert_eq!(get(&approver, "/readyz").await, (200, "ready\n".into()));
    let mut host = approver.enrol().await.connect().await;
    let request = kit::request();
    host.open(&request).await.unwrap();
    host.open(&kit::request()).await.unwrap();
    let bob = Client::browser(&approver, "bob").await;
    let path = format!("/requests/{}", request.request_id);
    let seen = bob.get(&path).await.ok();
    let body = decision("approve", &seen["digest"]);
    bob.post(&format!("{path}/decision"), &body).await.ok();
    let wrong = json!({ "username": "secret-name", "password": "secret-password" });
    let nobody = Client::of(&approver);
    nobody
        .post("/login", &wrong)
        .await
        .problem(401, "bad-login");
    for made_up in ["/api/v1/x1", "/x2", "/api/v1/requests/0192-x3"] {
        bob.raw(hyper::Method::GET, made_up, None).await;
    }
    bob.raw("MADEUP".parse().unwrap(), "/api/v1/me", None).await;

    let (status, text) = get(&approver, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "holdpoint_requests_opened_total{kind=\"exec\"} 2",
        "holdpoint_requests_decided_total{verdict=\"approve\"} 1",
        "holdpoint_requests_expired_total 0",
        "holdpoint_request_decision_seconds_count 1",
        "holdpoint_requests_pending 1",
        "holdpoint_hosts_connected 1",
        "holdpoint_hosts_enforcing 1",
        "holdpoint_login_failures_total 1",
        "holdpoint_http_requests_total{route=\"/requests/{id}\",method=\"GET\",status=\"200\"} 1",
        "holdpoint_http_requests_total{route=\"/login\",method=\"POST\",status=\"401\"} 1",
        "holdpoint_grpc_requests_total{method=\"HostSession/Connect\",code=\"ok\"} 1",
        "holdpoint_grpc_requests_total{method=\"Enrolment/Enrol\",code=\"ok\"} 1",
    ] {
        assert!(
            text.lines().any(|one| one == line),
            "{line:?} not in\n{text}"
        );
    }
    for secret in ["secret-name", "secret-password", "x1", "x2", "x3", "MADEUP"] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    assert_eq!(get(&approver, "/x").await.0, 404);
}

#[tokio::test]
async fn nothing_listens_unless_it_is_asked_for() {
    let approver = Approver::start().await;
    assert!(!approver.config.metrics.enabled);
    let answer = Client::of(&approver)
        .raw(hyper::Method::GET, "/metrics.txt", None)
        .await;
    answer.problem(404, "not-found");
}
