//! `run` and `status` against a fake daemon.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::PathBuf,
    thread::{self, JoinHandle},
};

use holdpoint_proto::control::{Answer, ApproverStatus, Call, SessionInfo, Status};
use rustix::net::sockopt::socket_peercred;

use super::program::Program;

/// What the daemon saw of one call.
struct Seen {
    call: Call,
    pid: i32,
    threads: usize,
}

/// Answers one call at `daemon.sock` with `answer`, as it is.
fn daemon(program: &Program, answer: String) -> (PathBuf, JoinHandle<Seen>) {
    let path = program.path("daemon.sock");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let pid = socket_peercred(&stream).unwrap().pid.as_raw_nonzero().get();
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        Seen {
            call: serde_json::from_str(&line).unwrap(),
            pid,
            threads,
        }
    });
    (path, thread)
}

fn line(answer: &Answer) -> String {
    serde_json::to_string(answer).unwrap() + "\n"
}

fn begun() -> String {
    line(&Answer::SessionBegun(SessionInfo {
        id: "00000000000000a1".into(),
        profile: "demo".into(),
        owner: "ada".into(),
        root_pid: 1,
        uid: 1000,
    }))
}

fn status(enforcing: bool) -> String {
    line(&Answer::Status(Box::new(Status {
        version: "0.1.0".into(),
        kernel_release: "6.12".into(),
        enforcing,
        not_enforcing_because: (!enforcing).then(|| "no canary yet".to_owned()),
        approver: ApproverStatus {
            address: None,
            connected: false,
            error: None,
        },
        sessions: Vec::new(),
        held: 0,
        events: None,
    })))
}

#[test]
fn run_becomes_the_command_in_the_process_that_called() {
    let program = Program::new();
    let (socket, daemon) = daemon(&program, begun());
    let done = program.run(&[
        "run",
        "--profile",
        "demo",
        "--socket",
        socket.to_str().unwrap(),
        "--",
        "/bin/sh",
        "-c",
        "echo $$; ls -l /proc/$$/fd | grep -c socket; exit 7",
    ]);
    let seen = daemon.join().unwrap();
    assert_eq!(done.code, 7, "{done:?}");
    assert_eq!(done.stderr, "");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(lines, [seen.pid.to_string().as_str(), "0"]);
    assert_eq!(
        seen.threads, 1,
        "the daemon labels one process with one thread"
    );
    let profile = Some("demo".to_owned());
    assert_eq!(seen.call, Call::BeginSession { profile });
}

#[test]
fn the_command_does_not_run_without_a_session() {
    let program = Program::new();
    let marker = program.path("ran");
    let run = |socket: &str| {
        program.run(&[
            "run",
            "--socket",
            socket,
            "--",
            "touch",
            marker.to_str().unwrap(),
        ])
    };
    run(program.path("none.sock").to_str().unwrap()).fails(125, "isn't running on this host");
    for (answer, wanted) in [
        (
            line(&Answer::Refused {
                reason: "already in session a1\u{1b}[2J".into(),
            }),
            "holdpointd refused: already in session a1\\u{1b}[2J",
        ),
        (status(true), "answered another question"),
        ("{\"nonsense\"\n".into(), "does not speak like"),
        ("x".repeat(100_000), "cut off or too long"),
        (begun().trim_end().to_owned(), "cut off"),
        (String::new(), "it closed the connection"),
    ] {
        let (socket, daemon) = daemon(&program, answer);
        run(socket.to_str().unwrap()).fails(125, wanted);
        // A daemon that still writes when the caller has gone may fail.
        let _ = daemon.join();
    }
    assert!(!marker.exists());
}

#[test]
fn a_command_that_cannot_run_has_the_status_of_shells() {
    let program = Program::new();
    let plain = program.write("plain.txt", "no program");
    for (command, code, wanted) in [
        ("no-such-command-here", 127, "no such command"),
        (plain.to_str().unwrap(), 126, "Permission denied"),
    ] {
        let (socket, daemon) = daemon(&program, begun());
        program
            .run(&["run", "--socket", socket.to_str().unwrap(), "--", command])
            .fails(code, wanted);
        daemon.join().unwrap();
    }
    program.run(&["run"]).fails(2, "COMMAND");
}

#[test]
fn status_fails_unless_enforcing() {
    let program = Program::new();
    let ask = |enforcing, more: &[&str]| {
        let (socket, daemon) = daemon(&program, status(enforcing));
        let socket = socket.to_str().unwrap();
        let done = program.run(&[&["status", "--socket", socket], more].concat());
        assert_eq!(daemon.join().unwrap().call, Call::Status);
        done
    };
    let said = ask(true, &[]).ok();
    assert!(said.starts_with("Enforcing  yes\n"), "{said}");
    assert_eq!(ask(true, &["--json"]).json()["enforcing"], true);
    let done = ask(false, &[]);
    assert!(
        done.stdout.starts_with("Enforcing  NO: no canary yet"),
        "{done:?}"
    );
    done.fails(1, "");
    let none = program.path("none.sock");
    program
        .run(&["status", "--socket", none.to_str().unwrap()])
        .fails(1, "isn't running on this host");
}
