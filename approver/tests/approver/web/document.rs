//! The document that describes the API: it is current, and every route does what
//! it says about who may call it.

use std::{fs, path::Path};

use hyper::Method;
use serde_json::{Value, json};

use super::Client;
use crate::kit::Approver;

/// The copy for readers.
const COPY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// Every operation: method, path with its variables filled, least role.
fn operations(document: &Value) -> Vec<(Method, String, String)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let role = operation["x-least-role"].as_str().unwrap().to_owned();
            let mut filled = path.clone();
            while let (Some(from), Some(to)) = (filled.find('{'), filled.find('}')) {
                filled.replace_range(from..=to, "0000");
            }
            found.push((method.to_uppercase().parse().unwrap(), filled, role));
        }
        for key in item.as_object().unwrap().keys() {
            assert!(METHODS.contains(&key.as_str()), "{path}: {key}");
        }
    }
    found
}

#[tokio::test]
async fn the_copy_is_current() {
    let approver = Approver::start().await;
    let document = Client::of(&approver).get("/openapi.json").await.ok();
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    if std::env::var_os("HOLDPOINT_BLESS").is_some() {
        fs::write(COPY, &text).unwrap();
    }
    let copy = fs::read_to_string(Path::new(COPY)).unwrap_or_default();
    assert!(
        copy == text,
        "docs/openapi.json is stale; run this test with HOLDPOINT_BLESS=1"
    );
    assert_eq!(document["openapi"].as_str().unwrap().get(..3), Some("3.1"));
}

#[tokio::test]
async fn every_route_asks_for_its_role_and_its_csrf_token() {
    let approver = Approver::start().await;
    approver.add("root", "administrator").await;
    let document = Client::of(&approver).get("/openapi.json").await.ok();
    let nobody = Client::of(&approver);
    let ladder = [
        ("viewer", "ada"),
        ("reviewer", "bob"),
        ("administrator", "root"),
    ];
    let mut clients = Vec::new();
    for (role, name) in ladder {
        clients.push((role, Client::browser(&approver, name).await));
    }
    let operations = operations(&document);
    assert!(operations.len() >= 9, "{operations:?}");
    let mut public = Vec::new();
    for (method, path, least) in operations {
        let body = (method != Method::GET).then(|| b"{}".to_vec());
        let call = async |client: &Client| client.raw(method.clone(), &path, body.clone()).await;
        if least == "none" {
            public.push(path.clone());
            continue;
        }
        call(&nobody).await.problem(401, "not-logged-in");
        call(&nobody.with("authorization", "Bearer hpt_x"))
            .await
            .problem(401, "not-logged-in");
        let place = ladder.iter().position(|(role, _)| *role == least);
        let place = place.unwrap_or_else(|| panic!("{path}: {least}"));
        for (role, client) in &clients[..place] {
            let answer = call(client).await;
            assert_eq!(answer.status, 403, "{method} {path} as {role}");
            answer.problem(403, "role");
        }
        let (role, client) = &clients[place];
        if method == Method::GET {
            continue;
        }
        call(&client.without("x-csrf-token"))
            .await
            .problem(403, "csrf");
        call(&client.with("origin", "https://evil.example"))
            .await
            .problem(403, "csrf");
        // With everything right it is at most the call itself that is wrong.
        if path.ends_with("/logout") {
            continue;
        }
        let answer = call(client).await;
        assert!(
            answer.status != 401 && answer.json()["code"] != "csrf",
            "{method} {path} as {role}: {}",
            answer.json()
        );
    }
    public.sort();
    assert_eq!(public, ["/api/v1/login", "/api/v1/openapi.json"]);
}

/// Checks that `value` has every key its schema requires, down to the leaves.
#[track_caller]
pub(super) fn conforms(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document
            .pointer(&name[1..])
            .unwrap_or_else(|| panic!("{name}"));
        return conforms(document, schema, value, place);
    }
    for kind in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[kind].as_array() {
            let fits = choices.iter().any(|choice| {
                std::panic::catch_unwind(|| conforms(document, choice, value, place)).is_ok()
            });
            assert!(fits, "{place}: {value} is none of {schema}");
            return;
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let number = kind == "integer" && kinds.contains(&"number");
    assert!(
        number || kinds.contains(&kind),
        "{place}: {value} is no {kinds:?}"
    );
    if let Some(names) = schema["enum"].as_array() {
        assert!(
            names.contains(value),
            "{place}: {value} is none of {names:?}"
        );
    }
    if let Value::Object(object) = value {
        for key in schema["required"].as_array().into_iter().flatten() {
            let key = key.as_str().unwrap();
            assert!(object.contains_key(key), "{place} lacks {key}: {value}");
        }
        // One without properties may have any.
        let known = schema["properties"].is_object();
        for (key, inner) in object.iter().filter(|_| known) {
            let schema = &schema["properties"][key];
            assert!(!schema.is_null(), "{place}.{key} is not in the schema");
            conforms(document, schema, inner, &format!("{place}.{key}"));
        }
    }
    for inner in value.as_array().into_iter().flatten() {
        conforms(document, &schema["items"], inner, &format!("{place}[]"));
    }
}

/// Asks `client` for `path` and checks the answer against the schema of `route`.
pub(super) async fn check(document: &Value, client: &Client, route: &str, path: &str) -> Value {
    let value = client.get(path).await.ok();
    let responses = &document["paths"][format!("/api/v1{route}")]["get"]["responses"];
    let schema = &responses["200"]["content"]["application/json"]["schema"];
    assert!(!schema.is_null(), "{route} has no schema");
    conforms(document, schema, &value, route);
    value
}

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let request = crate::kit::request();
    host.open(&request).await.unwrap();
    let bob = Client::browser(&approver, "bob").await;
    let document = bob.get("/openapi.json").await.ok();
    let id = format!("/requests/{}", request.request_id);
    check(&document, &bob, "/me", "/me").await;
    check(&document, &bob, "/requests", "/requests").await;
    let seen = check(&document, &bob, "/requests/{id}", &id).await;
    let body = super::requests::decision("deny", &seen["digest"]);
    bob.post(&format!("{id}/decision"), &body).await.ok();
    check(&document, &bob, "/requests/{id}", &id).await;
    let wish = json!({ "name": "x", "role": "viewer", "expires_in_seconds": 60 });
    bob.post("/api-tokens", &wish).await.ok();
    check(&document, &bob, "/api-tokens", "/api-tokens").await;
    for list in [
        "/grants",
        "/flags",
        "/sessions",
        "/events",
        "/audit/checkpoint",
    ] {
        check(&document, &bob, list, list).await;
    }
    check(&document, &bob, "/events/histogram", "/events/histogram").await;
    let problem = bob.get("/requests/ffffffff").await.json();
    let schema = json!({ "$ref": "#/components/schemas/Problem" });
    conforms(&document, &schema, &problem, "problem");
}
