//! Who may do what, at the moment it is done, and that it is done to its end.

use std::{fmt::Write as _, time::Duration};

use holdpoint_proto::{
    digest,
    v1::{GrantScope, approver_message::Message as Down},
};
use hyper::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::client::TlsStream;

use super::{Client, requests::decision};
use crate::kit::{self, Approver, PASSWORD, within};

/// Begins a call that its body is still missing of.
async fn begin(client: &Client, path: &str, body: &Value) -> (TlsStream<TcpStream>, Vec<u8>) {
    let mut stream = client.connect().await;
    let body = body.to_string().into_bytes();
    let mut head = format!(
        "POST /api/v1{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n",
        client.host(),
        body.len()
    );
    for (name, value) in &client.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head += "\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    (stream, body)
}

#[tokio::test]
async fn whoever_is_shut_out_while_they_call_gets_nothing_done() {
    let approver = Approver::start().await;
    approver.add("root", "administrator").await;
    approver.add("kim", "administrator").await;
    let kim = Client::browser(&approver, "kim").await;
    let wish = json!({ "label": "x", "valid_seconds": 60 });
    let (mut stream, body) = begin(&kim, "/enrolment-tokens", &wish).await;
    stream.write_all(&body[..3]).await.unwrap();
    stream.flush().await.unwrap();
    // Until the call was looked at.
    sleep(Duration::from_millis(300)).await;
    let name = "kim".parse().unwrap();
    approver.admin.remove_user(&name).await.unwrap();
    stream.write_all(&body[3..]).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("not-logged-in"), "{answer}");
    let root = Client::browser(&approver, "root").await;
    let tokens = root.get("/enrolment-tokens").await.ok();
    assert_eq!(tokens["enrolment_tokens"], json!([]));
}

#[tokio::test]
async fn the_host_hears_of_a_revocation_whose_caller_hangs_up() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let mut request = kit::request();
    let context = request.context.as_mut().unwrap();
    let rule = context.rule.as_mut().unwrap();
    rule.grants = vec![GrantScope::Session.into()];
    request.digest = digest::of(context).to_vec();
    host.open(&request).await.unwrap();
    let bob = Client::browser(&approver, "bob").await;
    let approval = json!({
        "verdict": "approve", "reason": "I know this upload",
        "digest": data_encoding::HEXLOWER.encode(&request.digest),
        "grant": { "scope": "session" },
    });
    let path = format!("/requests/{}/decision", request.request_id);
    bob.post(&path, &approval).await.ok();
    host.decision().await;
    let grants = bob.get("/grants").await.ok();
    let id = grants["grants"][0]["id"].as_str().unwrap().to_owned();

    // The database is busy when the revocation comes, so that it is under way when
    // its caller hangs up.
    let file = approver.config.state_dir.join("approver.db");
    let options = SqliteConnectOptions::new().filename(file);
    let mut busy = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut busy)
        .await
        .unwrap();
    let reason = json!({ "reason": "no more" });
    let (mut stream, body) = begin(&bob, &format!("/grants/{id}/revoke"), &reason).await;
    stream.write_all(&body).await.unwrap();
    stream.flush().await.unwrap();
    sleep(Duration::from_millis(500)).await;
    drop(stream);
    sleep(Duration::from_millis(500)).await;
    sqlx::query("ROLLBACK").execute(&mut busy).await.unwrap();
    match host.next().await.unwrap() {
        Down::Revoke(revoke) => assert_eq!(revoke.grant_id, id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tool_makes_no_people() {
    let approver = Approver::start().await;
    approver.add("root", "administrator").await;
    let root = Client::browser(&approver, "root").await;
    let wish = json!({ "name": "ci", "role": "administrator", "expires_in_seconds": 60 });
    let made = root.post("/api-tokens", &wish).await.ok();
    let tool = Client::bearer(&approver, made["token"].as_str().unwrap());

    let new = json!({ "name": "zoe", "role": "administrator" });
    tool.post("/users", &new).await.problem(403, "role");
    let role = json!({ "role": "administrator" });
    let changed = tool.call(Method::PATCH, "/users/ada", Some(&role)).await;
    changed.problem(403, "role");
    for name in ["ada", "root"] {
        let path = format!("/users/{name}/password");
        tool.post(&path, &json!({})).await.problem(403, "role");
    }
    tool.delete("/users/ada").await.problem(403, "role");
    let own = json!({ "current": PASSWORD, "new": "another password" });
    tool.post("/me/password", &own).await.problem(403, "role");
    let users = tool.get("/users").await.ok();
    assert_eq!(users["users"].as_array().unwrap().len(), 4);

    // It has no login to end, and goes on.
    let left = tool.call(Method::POST, "/logout", None).await;
    let problem = left.problem(400, "invalid");
    assert!(problem["mend"].as_str().unwrap().contains("api-tokens"));
    tool.get("/me").await.ok();

    // What tools are for, they may, under their own name.
    let wish = json!({ "label": "build-7", "valid_seconds": 60 });
    let token = tool.post("/enrolment-tokens", &wish).await.ok();
    let path = format!("/enrolment-tokens/{}", token["id"].as_str().unwrap());
    assert_eq!(tool.delete(&path).await.status, 204);
    let seen = root.get("/events?q=kind:token&limit=2").await.ok();
    for (event, outcome) in seen["events"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["revoked", "made"])
    {
        let record = &event["record"];
        assert_eq!(record["unmapped"]["outcome"], outcome, "{record}");
        assert_eq!(record["entity"]["name"], "build-7");
        assert_eq!(record["actor"]["user"]["name"], "root");
        assert_eq!(record["actor"]["user"]["credential_uid"], made["id"]);
    }
    assert_eq!(seen["events"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_tools_decision_is_told_from_its_persons() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let bob = Client::browser(&approver, "bob").await;
    let wish = json!({ "name": "ci", "role": "reviewer", "expires_in_seconds": 60 });
    let made = bob.post("/api-tokens", &wish).await.ok();
    let tool = Client::bearer(&approver, made["token"].as_str().unwrap());
    for (client, credential) in [(&bob, &Value::Null), (&tool, &made["id"])] {
        let request = kit::request();
        host.open(&request).await.unwrap();
        let digest = json!(data_encoding::HEXLOWER.encode(&request.digest));
        let path = format!("/requests/{}/decision", request.request_id);
        client.post(&path, &decision("deny", &digest)).await.ok();
        host.decision().await;
        let seen = bob.get("/events?q=kind:decision&limit=1").await.ok();
        let user = &seen["events"][0]["record"]["actor"]["user"];
        assert_eq!(
            (&user["name"], &user["credential_uid"]),
            (&json!("bob"), credential)
        );
    }
}

#[tokio::test]
async fn nobody_gets_around_their_own_password() {
    let approver = Approver::start().await;
    approver.add("root", "administrator").await;
    let root = Client::browser(&approver, "root").await;
    let refused = root.post("/users/root/password", &json!({})).await;
    let problem = refused.problem(409, "conflict");
    assert!(problem["mend"].as_str().unwrap().contains("/me/password"));
    root.get("/me").await.ok();
}
