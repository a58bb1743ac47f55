//! Logging in, looking and deciding.

use std::{
    fs::Permissions,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::Stdio,
};

use holdpoint_proto::v1::{Decision, RequestState, Verdict};

use super::{
    approver::{FakeApprover, pending},
    program::Program,
};

const ID: &str = "0198f1a2-0000-7000-8000-00000000000a";

/// An approver with one pending request.
fn with_one() -> (FakeApprover, Program) {
    let approver = FakeApprover::start();
    approver
        .requests()
        .push(pending(ID, &[b"curl", b"-T", b"\x1b[2J\xff"]));
    let program = Program::logged_in(&approver);
    (approver, program)
}

#[test]
fn login_whoami_contexts_logout() {
    let approver = FakeApprover::start();
    let program = Program::new();
    program
        .login(&approver, "ada", "wrong")
        .fails(1, "wrong name or password");
    assert!(!program.contexts_file().exists());
    let said = program.login(&approver, "ada", "secret").ok();
    assert!(said.contains("as ada until 2100-01-01"), "{said}");
    let mode = program.contexts_file().metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    let me = program
        .run(&["--context", "ada", "whoami", "--json"])
        .json();
    assert_eq!(me["username"], "ada");
    assert_eq!(me["role"], "reviewer");
    let mut by_environment = program.command(&["whoami"]);
    by_environment.env("HOLDPOINT_CONTEXT", "ada");
    let said = super::program::Done::from(by_environment.output().unwrap()).ok();
    assert!(
        said.starts_with("ada (reviewer) at https://localhost:"),
        "{said}"
    );
    program.run(&["whoami"]).fails(
        1,
        "there is no context \"default\"; the contexts are ada; `holdpoint login`",
    );

    let contexts = program.run(&["contexts", "--json"]).json();
    assert_eq!(contexts["contexts"][0]["name"], "ada");
    assert_eq!(contexts["contexts"][0]["logged_in"], true);
    assert!(!contexts.to_string().contains("token"), "{contexts}");

    program.run(&["--context", "ada", "logout"]).ok();
    assert!(approver.has_ended("ada"));
    program
        .run(&["--context", "ada", "whoami"])
        .fails(1, "not logged in; run `holdpoint --context ada login`");
    let said = program.run(&["contexts"]).ok();
    assert!(said.contains("logged out"), "{said}");
}

#[test]
fn an_exposed_contexts_file_is_refused() {
    let (_approver, program) = with_one();
    let file = program.contexts_file();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    program
        .run(&["--context", "bob", "requests"])
        .fails(1, "chmod 600");
}

#[test]
fn another_ca_another_name_and_nobody_there() {
    let approver = FakeApprover::start();
    let other = FakeApprover::start();
    let program = Program::new();
    program.write("ca.pem", &other.ca);
    program.write("password", "secret\n");
    let login = |address: &str| {
        let ca = program.path("ca.pem");
        let password = program.path("password");
        program.run(&[
            "login",
            "--approver",
            address,
            "--user",
            "ada",
            "--ca",
            ca.to_str().unwrap(),
            "--password-file",
            password.to_str().unwrap(),
        ])
    };
    let port = approver.port;
    login(&format!("https://localhost:{port}")).fails(1, "not from the CA of this context");
    program.write("ca.pem", &approver.ca);
    login(&format!("https://127.0.0.1:{port}")).fails(1, "certificate is for another name");
    login(&format!("http://localhost:{port}")).fails(1, "is no address of an approver");
    login(&format!("https://localhost:{port}")).ok();
    drop(approver);
    program
        .run(&["requests", "list"])
        .fails(1, "can't reach the approver at https://localhost");
    // The login is forgotten here even if nobody there hears of it.
    program.run(&["logout"]).fails(1, "could not be told");
    program.run(&["whoami"]).fails(1, "is not logged in");
}

#[test]
fn list_walks_pages_up_to_the_limit() {
    let (approver, program) = with_one();
    for number in 0..30 {
        let mut request = pending(
            &format!("0298f1a2-0000-7000-8000-0000000000{number:02}"),
            &[b"x"],
        );
        if number % 2 == 0 {
            request.state = RequestState::Expired.into();
        }
        approver.requests().push(request);
    }
    let list = |more: &[&str]| {
        let arguments = [&["--context", "bob", "--json", "requests", "list"], more].concat();
        let page = program.run(&arguments).json();
        let count = page["requests"].as_array().unwrap().len();
        (count, page["more"].as_bool().unwrap())
    };
    assert_eq!(list(&[]), (31, false));
    assert_eq!(list(&["--limit", "10"]), (10, true));
    assert_eq!(list(&["--limit", "31"]), (31, false));
    assert_eq!(list(&["--state", "expired"]), (15, false));
    assert_eq!(
        list(&["--state", "expired", "--state", "pending"]),
        (31, false)
    );
    let text = program
        .run(&["--context", "bob", "requests", "--json"])
        .json();
    assert_eq!(text["requests"].as_array().unwrap().len(), 31);
}

#[test]
fn hostile_text_reaches_the_terminal_escaped_and_the_json_whole() {
    let (_approver, program) = with_one();
    for command in [
        &["requests", "list"][..],
        &["requests", "show", ID],
        &["requests", "show", "0198f1a2"],
    ] {
        let text = program.run(&[&["--context", "bob"], command].concat()).ok();
        assert!(text.contains(r"\u{1b}[2J\xff"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
    let request = program
        .run(&["--context", "bob", "--json", "requests", "show", ID])
        .json();
    let argv = &request["operation"]["exec"]["argv"];
    assert_eq!(argv[1], "-T");
    assert_eq!(argv[2]["base64"], "G1sySv8=");
}

#[test]
fn approve_and_deny() {
    let (approver, program) = with_one();
    let said = program
        .run(&["--context", "bob", "approve", ID, "--reason", "fine"])
        .ok();
    assert!(
        said.contains("argv[1] \"-T\""),
        "what is decided is shown: {said}"
    );
    assert!(
        said.ends_with(&format!("Request {ID} is approved\n")),
        "{said}"
    );
    let decision = approver.requests()[0].decision.clone().unwrap();
    assert_eq!(
        (decision.reviewer.as_str(), decision.reason.as_str()),
        ("bob", "fine")
    );
    assert_eq!(decision.digest, approver.requests()[0].digest);

    approver.requests()[0] = pending(ID, &[b"curl"]);
    let denied = program
        .run(&[
            "--context",
            "bob",
            "--json",
            "deny",
            "0198f1a2",
            "--reason",
            "no",
        ])
        .json();
    assert_eq!(denied["state"], "denied");
    assert_eq!(denied["decision"]["reviewer"], "bob");
}

#[test]
fn every_refusal_says_what_and_why() {
    let (approver, program) = with_one();
    let approve = |context: &str, id: &str, reason: &str| {
        program.run(&["--context", context, "approve", id, "--reason", reason])
    };
    approve("ada", ID, "mine").fails(1, "belongs to a session of \"ada\", which is you");
    approve("vera", ID, "x").fails(1, "does not let \"vera\" do this: vera is a viewer");
    approve("bob", "0198f1a2-0000-7000-8000-0000000000ff", "x").fails(1, "there is no request");
    approve("bob", "01", "x").fails(1, "the approver refused: give 4 or more digits");
    approve("bob", "ffff", "x").fails(1, "there is no request");
    approve("bob", ID, "broken").fails(1, "disk full\\u{1b}[2J");
    approve("bob", ID, "too late").fails(1, "was already denied by carol");
    approve("bob", ID, "again").fails(1, "\"faster\"");
    approver.end_login("bob");
    approve("bob", ID, "x").fails(
        1,
        "expired or was ended; run `holdpoint --context bob login`",
    );

    let set = |state: RequestState| approver.requests()[0].state = state.into();
    approver.requests()[0].decision = None;
    set(RequestState::Expired);
    approve("vera", ID, "x").fails(1, "has expired");
    set(RequestState::Withdrawn);
    approver.requests()[0].outcome_detail = "killed".into();
    approve("vera", ID, "x").fails(
        1,
        "was withdrawn: its process has gone or has given the \
         operation up (killed)",
    );
    approve("vera", ID, " ").fails(2, "--reason");
}

#[test]
fn two_requests_that_begin_alike_are_not_confused() {
    let (approver, program) = with_one();
    approver
        .requests()
        .push(pending("0198f1a2-0000-7000-8000-00000000000b", &[b"x"]));
    program
        .run(&["--context", "bob", "deny", "0198f1a2", "--reason", "x"])
        .fails(1, "the approver refused: several requests begin so");
}

#[test]
fn what_is_not_what_it_claims_can_only_be_denied() {
    let (approver, program) = with_one();
    approver.requests()[0].digest = vec![7; 32];
    let bob = ["--context", "bob"];
    let approve = ["approve", ID, "--reason", "x"];
    program
        .run(&[&bob[..], &approve[..]].concat())
        .fails(1, "not approved: the digest");
    assert_eq!(approver.requests()[0].state(), RequestState::Pending);
    program
        .run(&["--context", "bob", "deny", ID, "--reason", "x"])
        .ok();
}

#[test]
fn watch_prints_a_line_for_each_change() {
    let (approver, program) = with_one();
    let mut decided = pending("0298f1a2-0000-7000-8000-00000000000b", &[b"two\nlines"]);
    decided.state = RequestState::Approved.into();
    decided.decision = Some(Decision {
        reviewer: "bob".into(),
        verdict: Verdict::Approve.into(),
        ..Decision::default()
    });
    approver.requests().push(decided);
    let done = program.run(&["--context", "bob", "requests", "watch"]);
    assert_eq!(done.stdout.lines().count(), 2, "{done:?}");
    assert!(done.stdout.contains("approved by bob"), "{done:?}");
    done.fails(1, "the approver ended the watch");
    let done = program.run(&["--context", "bob", "requests", "watch", "--json"]);
    let states: Vec<serde_json::Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].clone())
        .collect();
    assert_eq!(states, ["pending", "approved"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (approver, program) = with_one();
    let long = vec![b'x'; 1 << 20];
    approver.requests()[0] = pending(ID, &[b"curl", &long]);
    let mut child = program
        .command(&["--context", "bob", "requests", "show", ID])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
}
