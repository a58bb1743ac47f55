//! Login over HTTP: cookies, bearer tokens, tools' tokens.

use serde_json::json;

use super::{Client, set_cookie};
use crate::kit::{Approver, PASSWORD};

#[tokio::test]
async fn a_browser_logs_in_acts_and_logs_out() {
    let approver = Approver::start().await;
    let nobody = Client::of(&approver);
    nobody.get("/me").await.problem(401, "not-logged-in");

    let body = json!({ "username": "ada", "password": PASSWORD });
    let answer = nobody.post("/login", &body).await;
    let header = answer.headers["set-cookie"].to_str().unwrap();
    for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(header.contains(attribute), "{header}");
    }
    assert!(!header.contains("Domain"), "{header}");
    let secret = set_cookie(&answer).unwrap();
    let login = answer.ok();
    assert!(
        !login.to_string().contains(&secret),
        "it is in the cookie alone"
    );

    let ada = Client::browser(&approver, "ada").await;
    let me = ada.get("/me").await.ok();
    assert_eq!(me["username"], "ada");
    assert_eq!(me["role"], "viewer");
    assert_eq!(me["via"], "cookie");
    let csrf = me["csrf_token"].as_str().unwrap();

    let gone = ada
        .with("x-csrf-token", csrf)
        .call(hyper::Method::POST, "/logout", None)
        .await;
    assert_eq!(gone.status, 204);
    assert_eq!(set_cookie(&gone).as_deref(), Some(""));
    ada.get("/me").await.problem(401, "not-logged-in");
}

#[tokio::test]
async fn a_cookie_is_no_token_and_a_token_no_cookie() {
    let approver = Approver::start().await;
    let body = json!({ "username": "bob", "password": PASSWORD });
    let answer = Client::of(&approver).post("/login", &body).await;
    let secret = set_cookie(&answer).unwrap();
    Client::bearer(&approver, &secret)
        .get("/me")
        .await
        .problem(401, "not-logged-in");
    // A cookie beside a token counts for nothing.
    Client::browser(&approver, "bob")
        .await
        .with("authorization", "Bearer nothing")
        .get("/me")
        .await
        .problem(401, "not-logged-in");

    let token = approver.bearer_token("bob").await;
    let me = Client::bearer(&approver, &token).get("/me").await.ok();
    assert_eq!(
        (&me["via"], &me["csrf_token"]),
        (&json!("token"), &json!(null))
    );
    Client::of(&approver)
        .with("cookie", &format!("{}={token}", super::COOKIE))
        .get("/me")
        .await
        .problem(401, "not-logged-in");
}

#[tokio::test]
async fn wrong_passwords_are_counted_with_those_over_grpc() {
    let approver = Approver::start().await;
    let nobody = Client::of(&approver);
    let wrong = json!({ "username": "ada", "password": "not it" });
    for _ in 0..5 {
        nobody
            .post("/login", &wrong)
            .await
            .problem(401, "bad-login");
    }
    let right = json!({ "username": "ada", "password": PASSWORD });
    let refused = nobody.post("/login", &right).await;
    refused.problem(429, "too-many");
    let seconds: u64 = refused.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=301).contains(&seconds), "{seconds}");
    let unknown = json!({ "username": "nobody", "password": PASSWORD });
    nobody
        .post("/login", &unknown)
        .await
        .problem(401, "bad-login");
}

#[tokio::test]
async fn guessing_shuts_out_where_it_comes_from_and_not_the_person() {
    let wrong = json!({ "username": "ada", "password": "not it" });
    let right = json!({ "username": "ada", "password": PASSWORD });
    let approver = Approver::start_with(|config| config.web.behind_proxy = true).await;
    let from = |address: &str| {
        Client::of(&approver).with("x-forwarded-for", &format!("192.0.2.99, {address}"))
    };
    let (guesser, ada) = (from("203.0.113.7"), from("192.0.2.1"));
    for _ in 0..5 {
        let refused = guesser.post("/login", &wrong).await;
        refused.problem(401, "bad-login");
    }
    let refused = guesser.post("/login", &right).await;
    refused.problem(429, "too-many");
    ada.post("/login", &right).await.ok();

    // Without a proxy anybody can write the header.
    let approver = Approver::start().await;
    let from = |address: &str| Client::of(&approver).with("x-forwarded-for", address);
    for host in 0..5 {
        let guesser = from(&format!("203.0.113.{host}"));
        guesser
            .post("/login", &wrong)
            .await
            .problem(401, "bad-login");
    }
    let refused = from("192.0.2.1").post("/login", &right).await;
    refused.problem(429, "too-many");
}

#[tokio::test]
async fn records_say_where_from_and_never_what_was_typed_as_a_name() {
    let approver = Approver::start_with(|config| config.web.behind_proxy = true).await;
    let from = Client::of(&approver).with("x-forwarded-for", "203.0.113.7");
    let login = async |username: &str, password: &str| {
        let body = json!({ "username": username, "password": password });
        from.post("/login", &body).await.status
    };
    assert_eq!(login("ada", "not it").await, 401);
    assert_eq!(login("my secret password", "x").await, 401);
    assert_eq!(login("ada", PASSWORD).await, 200);
    // Over gRPC from the machine itself.
    let bob = Client::bearer(&approver, &approver.bearer_token("bob").await);

    let seen = bob.get("/events?q=kind:login").await.ok();
    assert!(!seen.to_string().contains("my secret password"));
    let logins: Vec<_> = seen["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            let record = &event["record"];
            let text = |pointer: &str| record.pointer(pointer).and_then(|text| text.as_str());
            (
                text("/user/name").unwrap(),
                text("/unmapped/outcome").unwrap(),
                text("/src_endpoint/ip").unwrap(),
            )
        })
        .collect();
    assert_eq!(
        logins,
        [
            ("bob", "logged-in", "127.0.0.1"),
            ("ada", "logged-in", "203.0.113.7"),
            ("(unknown)", "refused", "203.0.113.7"),
            ("ada", "refused", "203.0.113.7"),
        ]
    );
}

#[tokio::test]
async fn a_tools_token_does_what_it_was_made_for_and_no_more() {
    let approver = Approver::start().await;
    let bob = Client::browser(&approver, "bob").await;
    let wish = |role: &str, seconds: u64| json!({ "name": "nightly", "role": role, "expires_in_seconds": seconds });
    bob.post("/api-tokens", &wish("administrator", 60))
        .await
        .problem(403, "role");
    bob.post("/api-tokens", &wish("viewer", 0))
        .await
        .problem(400, "invalid");
    bob.post("/api-tokens", &wish("root", 60))
        .await
        .problem(400, "invalid");
    let made = bob.post("/api-tokens", &wish("viewer", 60)).await.ok();
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("hpt_") && token.len() > 40);

    let tool = Client::bearer(&approver, token);
    let me = tool.get("/me").await.ok();
    assert_eq!(
        (&me["role"], &me["via"]),
        (&json!("viewer"), &json!("api-token"))
    );
    let decision = json!({ "verdict": "deny", "reason": "x", "digest": "00" });
    tool.post("/requests/abcd/decision", &decision)
        .await
        .problem(403, "role");
    tool.get("/api-tokens").await.problem(403, "role");
    tool.post("/api-tokens", &wish("viewer", 60))
        .await
        .problem(403, "role");

    let list = bob.get("/api-tokens").await.ok();
    assert_eq!(list["api_tokens"][0]["name"], "nightly");
    assert!(!list.to_string().contains(token));
    let id = made["id"].as_str().unwrap();
    let eve = Client::browser(&approver, "eve").await;
    eve.delete(&format!("/api-tokens/{id}"))
        .await
        .problem(404, "not-found");
    assert_eq!(bob.delete(&format!("/api-tokens/{id}")).await.status, 204);
    tool.get("/me").await.problem(401, "not-logged-in");
}
