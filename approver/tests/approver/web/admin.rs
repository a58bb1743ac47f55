//! What administrators do: accounts, hosts, enrolment.

use hyper::Method;
use serde_json::{Value, json};

use super::{Client, document::check};
use crate::kit::{self, Approver, PASSWORD, within};
use holdpoint_proto::token::EnrolmentToken;

async fn patch(client: &Client, path: &str, body: &Value) -> super::Answer {
    client.call(Method::PATCH, path, Some(body)).await
}

#[tokio::test]
async fn accounts_are_added_changed_and_removed() {
    let approver = Approver::start().await;
    approver.add("root", "administrator").await;
    let root = Client::browser(&approver, "root").await;
    let document = root.get("/openapi.json").await.ok();
    let new = json!({ "name": "zoe", "role": "viewer" });
    let added = root.post("/users", &new).await;
    assert_eq!(added.status, 201);
    let added = added.ok();
    assert_eq!(added["user"]["role"], "viewer");
    let password = added["password"].as_str().unwrap();
    root.post("/users", &new).await.problem(409, "conflict");
    let bad = json!({ "name": "Zoe", "role": "viewer" });
    root.post("/users", &bad).await.problem(400, "invalid");
    let list = check(&document, &root, "/users", "/users").await;
    assert!(!list.to_string().contains("argon2"));

    let login = json!({ "username": "zoe", "password": password });
    let answer = Client::of(&approver).post("/login", &login).await;
    let cookie = super::set_cookie(&answer).unwrap();
    let zoe = Client::of(&approver).with("cookie", &format!("{}={cookie}", super::COOKIE));
    assert_eq!(zoe.get("/me").await.ok()["role"], "viewer");
    let changed = patch(&root, "/users/zoe", &json!({ "role": "reviewer" })).await;
    assert_eq!(changed.ok()["role"], "reviewer");
    assert_eq!(zoe.get("/me").await.ok()["role"], "reviewer", "at once");
    let set = json!({ "password": "another password" });
    let set = root.post("/users/zoe/password", &set).await.ok();
    assert_eq!(set["password"], json!(null));
    zoe.get("/me").await.problem(401, "not-logged-in");

    for (path, body) in [("/users/root", json!({ "role": "viewer" }))] {
        patch(&root, path, &body).await.problem(409, "conflict");
        root.delete(path).await.problem(409, "conflict");
    }
    root.delete("/users/nobody").await.problem(404, "not-found");
    assert_eq!(root.delete("/users/zoe").await.status, 204);
    root.delete("/users/zoe").await.problem(404, "not-found");
}

#[tokio::test]
async fn people_change_their_own_password() {
    let approver = Approver::start().await;
    let here = Client::browser(&approver, "bob").await;
    let there = Client::browser(&approver, "bob").await;
    let change = |current: &str, new: &str| json!({ "current": current, "new": new });
    here.post("/me/password", &change("wrong", "a new password"))
        .await
        .problem(400, "invalid");
    here.post("/me/password", &change(PASSWORD, "short"))
        .await
        .problem(400, "invalid");
    let changed = here
        .post("/me/password", &change(PASSWORD, "a new password"))
        .await;
    assert_eq!(changed.status, 204);
    here.get("/me").await.ok();
    there.get("/me").await.problem(401, "not-logged-in");
    // Guesses are counted as those at the login are.
    for _ in 0..5 {
        here.post("/me/password", &change("wrong", "a new password"))
            .await
            .problem(400, "invalid");
    }
    here.post("/me/password", &change("a new password", PASSWORD))
        .await
        .problem(429, "too-many");
}

#[tokio::test]
async fn a_host_enrols_with_a_token_from_here_and_is_shut_out() {
    let approver = Approver::start().await;
    approver.add("root", "administrator").await;
    let root = Client::browser(&approver, "root").await;
    let document = root.get("/openapi.json").await.ok();
    let wish = json!({ "label": "build-7", "valid_seconds": 60 });
    let made = root.post("/enrolment-tokens", &wish).await.ok();
    let text = made["token"].as_str().unwrap();
    let command = made["command"].as_str().unwrap();
    assert!(command.contains(text) && command.contains("holdpointd enrol"));
    let wrong = json!({ "label": "x", "valid_seconds": 0 });
    root.post("/enrolment-tokens", &wrong)
        .await
        .problem(400, "invalid");

    let token = EnrolmentToken::decode(text).unwrap();
    assert_eq!(token.ca, approver.ca);
    let key = rcgen::KeyPair::generate().unwrap();
    let enrolled = within(kit::enrol(&approver.config, &token, &key))
        .await
        .unwrap();
    let tokens = check(&document, &root, "/enrolment-tokens", "/enrolment-tokens").await;
    assert_eq!(tokens["enrolment_tokens"][0]["state"], "used");
    let id = made["id"].as_str().unwrap();
    root.delete(&format!("/enrolment-tokens/{id}"))
        .await
        .problem(404, "not-found");
    let spare = root.post("/enrolment-tokens", &wish).await.ok();
    let path = format!("/enrolment-tokens/{}", spare["id"].as_str().unwrap());
    assert_eq!(root.delete(&path).await.status, 204);

    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    let hosts = check(&document, &root, "/hosts", "/hosts").await;
    let hosts = hosts["hosts"].as_array().unwrap();
    let find = |id: &str| hosts.iter().find(|host| host["id"] == id).unwrap();
    assert_eq!(find(&enrolled.host_id)["connected"], false);
    let seen = find(&host.id);
    assert_eq!(
        (&seen["connected"], &seen["enforcing"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(seen["not_enforcing_because"], json!(null));

    let path = format!("/hosts/{}", host.id);
    assert_eq!(root.delete(&path).await.status, 204);
    root.delete(&path).await.problem(409, "conflict");
    root.delete("/hosts/x").await.problem(404, "not-found");
    let end = stream.end().await;
    assert!(end.message().contains("revoked"), "{end:?}");
}
