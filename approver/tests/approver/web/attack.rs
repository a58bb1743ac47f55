//! What pages of other sites, strangers and hostile processes try.

use std::time::Duration;

use holdpoint_proto::{digest, v1::operation::Kind};
use hyper::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Client, requests::decision, set_cookie};
use crate::kit::{self, Approver, PASSWORD, within};

#[tokio::test]
async fn a_page_of_another_site_gets_nothing_done() {
    let approver = Approver::start().await;
    let bob = Client::browser(&approver, "bob").await;
    let body = json!({ "name": "x", "role": "viewer", "expires_in_seconds": 60 });
    let make = async |client: &Client| client.post("/api-tokens", &body).await;
    make(&bob.without("x-csrf-token"))
        .await
        .problem(403, "csrf");
    make(&bob.with("x-csrf-token", ""))
        .await
        .problem(403, "csrf");
    make(&bob.with("x-csrf-token", "guess"))
        .await
        .problem(403, "csrf");
    let eve = Client::browser(&approver, "eve").await;
    let (_, of_eve) = eve.header("x-csrf-token");
    make(&bob.with("x-csrf-token", &of_eve))
        .await
        .problem(403, "csrf");
    for site in ["cross-site", "same-site", "none"] {
        make(&bob.with("sec-fetch-site", site))
            .await
            .problem(403, "csrf");
    }
    for origin in ["https://evil.example", "null", "http://localhost:1"] {
        make(&bob.with("origin", origin)).await.problem(403, "csrf");
    }
    let own = format!("https://{}", bob.host());
    let made = make(&bob.with("origin", &own)).await;
    assert_eq!(made.status, 201);
    // A form can't say that it is JSON, and what it can say is refused.
    for kind in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data",
    ] {
        make(&bob.with("content-type", kind))
            .await
            .problem(400, "invalid");
    }
    let listed = bob.get("/api-tokens").await.ok();
    assert_eq!(listed["api_tokens"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_login_is_never_one_that_was_there_before() {
    let approver = Approver::start().await;
    // Somebody else's cookie is planted before the login.
    let planted = Client::of(&approver).with("cookie", &format!("{}=planted", super::COOKIE));
    let body = json!({ "username": "bob", "password": PASSWORD });
    let answer = planted.post("/login", &body).await;
    let fresh = set_cookie(&answer).unwrap();
    assert_ne!(fresh, "planted");
    planted.get("/me").await.problem(401, "not-logged-in");
    // A second login ends the first one of the same browser.
    let first = Client::browser(&approver, "bob").await;
    first.post("/login", &body).await.ok();
    first.get("/me").await.problem(401, "not-logged-in");
    // And a page of another site can't log anybody in.
    Client::of(&approver)
        .with("origin", "https://evil.example")
        .post("/login", &body)
        .await
        .problem(403, "csrf");
}

#[tokio::test]
async fn a_token_in_the_url_is_nobody() {
    let approver = Approver::start().await;
    let token = approver.bearer_token("bob").await;
    let nobody = Client::of(&approver);
    for query in ["token", "access_token", "authorization"] {
        nobody
            .get(&format!("/me?{query}={token}"))
            .await
            .problem(401, "not-logged-in");
    }
}

#[tokio::test]
async fn no_path_leads_to_a_file_of_the_machine() {
    let approver = Approver::start().await;
    let nobody = Client::of(&approver);
    for path in [
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/assets/../../../../etc/passwd",
        "/assets/..\\..\\etc\\passwd.txt",
        "/%00",
        "/etc/passwd%00.js",
    ] {
        let answer = nobody.raw(Method::GET, path, None).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("root:"), "{path}: {text}");
    }
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let approver = Approver::start().await;
    let nobody = Client::of(&approver);
    for path in [
        "/",
        "/api/v1/me",
        "/api/v1/openapi.json",
        "/nothing.js",
        "/api/v1/x",
    ] {
        let answer = nobody.raw(Method::GET, path, None).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap();
        assert!(header("content-security-policy").starts_with("default-src 'none'"));
        assert!(!header("content-security-policy").contains("unsafe"));
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
        assert!(!answer.headers.contains_key("server"));
    }
    let traced = nobody.raw(Method::TRACE, "/api/v1/me", None).await;
    traced.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn what_a_hostile_process_writes_is_data() {
    let approver = Approver::start().await;
    let mut host = approver.enrol().await.connect().await;
    let mut request = kit::request();
    let context = request.context.as_mut().unwrap();
    let Some(Kind::Exec(exec)) = context.operation.as_mut().unwrap().kind.as_mut() else {
        unreachable!();
    };
    let hostile: Vec<Vec<u8>> = vec![
        b"</script><script>alert(1)</script>".to_vec(),
        b"\x1b]0;x\x07\x1b[2J".to_vec(),
        "a\u{202e}b\u{2066}\u{200b}\u{feff}".as_bytes().to_vec(),
        b"event: request\ndata: {}\n\n".to_vec(),
        b"\"}]}".to_vec(),
        vec![0xff, 0x00, 0xfe],
        vec![b'A'; 2 * 1024 * 1024],
    ];
    exec.argv.clone_from(&hostile);
    request.digest = digest::of(context).to_vec();
    host.open(&request).await.unwrap();
    let bob = Client::browser(&approver, "bob").await;
    let answer = bob.get(&format!("/requests/{}", request.request_id)).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let seen = answer.ok();
    let argv = seen["operation"]["exec"]["argv"].as_array().unwrap();
    let read: Vec<Vec<u8>> = argv
        .iter()
        .map(|word| match word {
            Value::String(text) => text.as_bytes().to_vec(),
            other => data_encoding::BASE64
                .decode(other["base64"].as_str().unwrap().as_bytes())
                .unwrap(),
        })
        .collect();
    assert_eq!(read, hostile);
    let path = format!("/requests/{}/decision", request.request_id);
    let decided = bob.post(&path, &decision("deny", &seen["digest"])).await;
    assert_eq!(decided.ok()["state"], "denied");
}

#[tokio::test]
async fn large_and_wrong_bodies_are_refused() {
    let approver = Approver::start().await;
    let nobody = Client::of(&approver);
    let huge = format!("{{\"username\":\"{}\"", "a".repeat(1 << 20)).into_bytes();
    let answer = nobody.raw(Method::POST, "/api/v1/login", Some(huge)).await;
    answer.problem(413, "too-large");
    let deep = "[".repeat(60_000).into_bytes();
    for body in [&b""[..], b"{", b"null", b"\xff", &deep, b"{\"username\":1}"] {
        let answer = nobody
            .raw(Method::POST, "/api/v1/login", Some(body.to_vec()))
            .await;
        answer.problem(400, "invalid");
    }
    for body in [
        json!({ "username": "ada", "password": PASSWORD, "admin": true }),
        json!({ "username": "ada" }),
    ] {
        nobody.post("/login", &body).await.problem(400, "invalid");
    }
    let twice = b"{\"username\":\"a\",\"username\":\"b\",\"password\":\"c\"}".to_vec();
    let answer = nobody.raw(Method::POST, "/api/v1/login", Some(twice)).await;
    answer.problem(400, "invalid");
}

#[tokio::test]
async fn too_many_headers_are_refused_and_others_served_on() {
    let approver = Approver::start().await;
    let nobody = Client::of(&approver);
    let mut stream = nobody.connect().await;
    let mut head = format!("GET / HTTP/1.1\r\nhost: {}\r\n", nobody.host());
    for number in 0..200 {
        head += "x-";
        head += &number.to_string();
        head += ": y\r\n";
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    nobody.get("/openapi.json").await.ok();
}

#[tokio::test]
async fn whoever_says_nothing_is_shown_the_door() {
    let approver = Approver::start().await;
    let nobody = Client::of(&approver);
    let host = Client {
        address: approver.config.listen,
        ..nobody.clone()
    };
    let mut slow = nobody.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.unwrap();
    let silent = nobody.connect_with(&[b"h2"]).await;
    let (silent_host, mut speaking_host) = (
        host.connect_with(&[b"h2"]).await,
        host.connect_with(&[b"h2"]).await,
    );
    speaking_host
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let ended = async |name: &str, mut stream: super::TlsStream<TcpStream>| {
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(25), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{name}: the connection is still open");
    };
    tokio::join!(
        ended("slow", slow),
        ended("silent", silent),
        ended("silent, over gRPC", silent_host),
        ended("without a call, over gRPC", speaking_host),
    );
    approver.login("bob").await;
}

#[tokio::test]
async fn a_full_house_serves_on_when_somebody_leaves() {
    let approver = Approver::start_with(|config| {
        config.web.max_connections = std::num::NonZeroU32::new(2).unwrap();
    })
    .await;
    let nobody = Client::of(&approver);
    let (one, two) = (nobody.connect().await, nobody.connect().await);
    let waiting = tokio::spawn({
        let nobody = nobody.clone();
        async move { nobody.get("/openapi.json").await.status }
    });
    assert!(
        timeout(Duration::from_millis(300), nobody.connect())
            .await
            .is_err(),
        "there is no room"
    );
    drop((one, two));
    assert_eq!(within(waiting).await.unwrap(), 200);
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_nothing_else() {
    let approver = Approver::start().await;
    let nobody = Client::of(&approver);
    let mut stream = nobody.connect_with(&[b"h2"]).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // `:method: GET`, `:scheme: https`, `:path: /`, then :authority.
    let mut head = vec![0x82, 0x87, 0x84, 0x41, 9];
    head.extend(b"localhost");
    for stream in (1..4001_u32).step_by(2) {
        bytes.extend([0, 0, u8::try_from(head.len()).unwrap(), 1, 5]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(&head);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(8_u32.to_be_bytes());
    }
    // Fails if it is cut off before all is written.
    let _ = stream.write_all(&bytes).await;
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    // GOAWAY with ENHANCE_YOUR_CALM, as the last frame.
    let calm = answer
        .windows(9)
        .any(|frame| frame[3] == 7 && frame[..3] == [0, 0, 8]);
    let told = answer.windows(4).any(|code| code == 11_u32.to_be_bytes());
    assert!(calm || told || answer.is_empty(), "{answer:?}");
    nobody.get("/openapi.json").await.ok();
}
