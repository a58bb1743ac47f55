//! Requests over HTTP.

use serde_json::{Value, json};

use super::Client;
use crate::kit::{self, Approver, within};

pub(crate) fn decision(verdict: &str, digest: &Value) -> Value {
    json!({ "verdict": verdict, "reason": "I know this upload", "digest": digest })
}

#[tokio::test]
async fn a_request_is_listed_shown_and_decided() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let request = kit::request();
    host.open(&request).await.unwrap();
    let bob = Client::browser(&approver, "bob").await;

    let list = bob.get("/requests?state=pending").await.ok();
    assert_eq!(list["next"], json!(null));
    let listed = &list["requests"][0];
    assert_eq!(listed["id"], request.request_id.as_str());
    assert_eq!(listed["state"], "pending");
    assert_eq!(listed["may_decide"], true);
    assert_eq!(listed["session"]["owner"], "ada");
    assert_eq!(
        listed["operation"]["exec"]["argv"],
        json!(["curl", "--upload-file", { "base64": "//4=" }])
    );
    let ada = Client::browser(&approver, "ada").await;
    let seen = ada
        .get(&format!("/requests/{}", &request.request_id[..8]))
        .await
        .ok();
    assert_eq!(seen["may_not_because"], "role");

    let path = format!("/requests/{}/decision", request.request_id);
    bob.post(&path, &decision("approve", &json!("00")))
        .await
        .problem(409, "digest-changed");
    bob.post(&path, &decision("approve", &json!("zz")))
        .await
        .problem(400, "invalid");
    let mut silent = decision("approve", &seen["digest"]);
    silent["reason"] = json!(" ");
    bob.post(&path, &silent).await.problem(400, "invalid");
    let decided = bob
        .post(&path, &decision("approve", &seen["digest"]))
        .await
        .ok();
    assert_eq!(decided["state"], "approved");
    assert_eq!(decided["decision"]["reviewer"], "bob");
    assert_eq!(decided["may_not_because"], "not-pending");
    let told = host.decision().await;
    assert_eq!(told.request_id, request.request_id);

    let eve = Client::browser(&approver, "eve").await;
    let late = eve.post(&path, &decision("deny", &seen["digest"])).await;
    let late = late.problem(409, "already-decided");
    assert_eq!(late["request"]["decision"]["reviewer"], "bob");
    assert_eq!(late["request"]["state"], "approved");
}

#[tokio::test]
async fn nobody_decides_their_own() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let request = kit::request_of("bob", kit::PATIENCE);
    host.open(&request).await.unwrap();
    let bob = Client::browser(&approver, "bob").await;
    let seen = bob
        .get(&format!("/requests/{}", request.request_id))
        .await
        .ok();
    assert_eq!(seen["may_decide"], false);
    assert_eq!(seen["may_not_because"], "own-request");
    let path = format!("/requests/{}/decision", request.request_id);
    bob.post(&path, &decision("approve", &seen["digest"]))
        .await
        .problem(403, "own-request");
}

#[tokio::test]
async fn pages_follow_each_other() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        let request = kit::request();
        host.open(&request).await.unwrap();
        sent.push(request.request_id);
    }
    sent.reverse();
    let ada = Client::browser(&approver, "ada").await;
    let (mut found, mut path) = (Vec::new(), "/requests?limit=2".to_owned());
    for _ in 0..3 {
        let page = ada.get(&path).await.ok();
        for request in page["requests"].as_array().unwrap() {
            found.push(request["id"].as_str().unwrap().to_owned());
        }
        let next = page["next"].as_str().unwrap_or_default();
        path = format!("/requests?limit=2&cursor={next}");
    }
    assert_eq!(found, sent);
    for bad in [
        "limit=0",
        "limit=501",
        "cursor=-",
        "state=open",
        "sate=pending",
    ] {
        ada.get(&format!("/requests?{bad}"))
            .await
            .problem(400, "invalid");
    }
    ada.get("/requests/abc").await.problem(400, "invalid");
    ada.get("/requests/ffffffff")
        .await
        .problem(404, "not-found");
}

#[tokio::test]
async fn two_who_decide_at_once_get_one_outcome() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let bob = Client::browser(&approver, "bob").await;
    let mut eve = approver.login("eve").await;
    for _ in 0..10 {
        let request = kit::request();
        host.open(&request).await.unwrap();
        let path = format!("/requests/{}/decision", request.request_id);
        let digest = json!(data_encoding::HEXLOWER.encode(&request.digest));
        let body = decision("approve", &digest);
        let (rest, grpc) = within(async {
            tokio::join!(
                bob.post(&path, &body),
                kit::decide(&mut eve, &request, holdpoint_proto::v1::Verdict::Deny)
            )
        })
        .await;
        let approved = rest.status == 200;
        assert_ne!(approved, grpc.is_ok(), "{:?} {grpc:?}", rest.json());
        if !approved {
            let problem = rest.problem(409, "already-decided");
            assert_eq!(problem["request"]["decision"]["reviewer"], "eve");
        }
        let told = host.decision().await;
        assert_eq!(
            told.verdict() == holdpoint_proto::v1::Verdict::Approve,
            approved
        );
    }
}
