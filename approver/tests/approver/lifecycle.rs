//! Starting and ending: the program itself, with its command line.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use holdpoint_approver::{Server, StartError};
use holdpoint_proto::token::EnrolmentToken;
use tempfile::TempDir;

use crate::kit::{Approver, request, within};

struct Installed {
    directory: TempDir,
}

impl Installed {
    fn new(listen: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let config = format!(
            "listen = {listen:?}\nstate_dir = \"{}\"\n[web]\nlisten = \"127.0.0.1:0\"\n",
            state.display()
        );
        fs::write(directory.path().join("approver.toml"), config).unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdpoint-approver"));
        command
            .arg("--config")
            .arg(self.path().join("approver.toml"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], message: &str) {
        let output = self.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && output.stdout.is_empty(),
            "{arguments:?}"
        );
        assert!(stderr.contains(message), "{stderr:?} lacks {message:?}");
    }

    /// Starts `serve` and waits for its one line with the address.
    fn serve(&self) -> (Child, String) {
        let mut child = self
            .command(&["serve"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let line = lines
            .find(|line| line.contains("listening"))
            .expect("it listens");
        let address = line
            .split("address=")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        // Read on, or the program would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        (child, address)
    }
}

#[test]
fn the_command_line_from_first_command_to_sigterm() {
    let installed = Installed::new("127.0.0.1:0");
    let password = installed.path().join("password");
    fs::write(&password, "a long password\n").unwrap();
    let file = password.to_str().unwrap();
    let add = [
        "user",
        "add",
        "ada",
        "--role",
        "reviewer",
        "--password-file",
        file,
    ];

    // Before the first serve, several at once.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| installed.succeeds(&["token", "create"]));
        }
    });
    let printed = installed.succeeds(&["token", "create", "--ttl", "90s", "--label", "lab"]);
    let token = EnrolmentToken::decode(&printed).expect("stdout is the token and nothing else");
    assert_eq!(token.approver, "https://localhost:7443");
    assert_eq!(
        token.ca,
        fs::read_to_string(installed.path().join("state/ca.pem")).unwrap()
    );
    let tokens = installed.succeeds(&["token", "list", "--json"]);
    assert!(tokens.contains("\"label\": \"lab\"") && !tokens.contains(&token.secret));

    assert_eq!(installed.succeeds(&add), "", "data on stdout alone");
    assert!(
        installed
            .succeeds(&["user", "list"])
            .contains("ada   reviewer")
    );
    installed.fails(&add, "user ada exists already");
    installed.succeeds(&["user", "passwd", "ada", "--password-file", file]);
    installed.fails(
        &["user", "passwd", "kim", "--password-file", file],
        "no user kim",
    );
    installed.fails(
        &["user", "add", "Kim", "--role", "viewer"],
        "is no account name",
    );
    installed.fails(
        &["user", "add", "kim", "--role", "root"],
        "there is no role \"root\"",
    );
    installed.fails(&["host", "revoke", "7"], "invalid value '7'");
    let nobody = "00000000-0000-7000-8000-000000000000";
    installed.fails(&["host", "revoke", nobody], "there is no host");
    installed.fails(&["token", "create", "--ttl", "1000h"], "at most 720 h");
    assert_eq!(installed.succeeds(&["host", "list", "--json"]), "[]\n");

    let (mut child, address) = installed.serve();
    installed.fails(&["serve"], "another holdpoint-approver already serves");
    let other = Installed::new(&address);
    other.fails(
        &["serve"],
        &format!("cannot listen on {address}; another program has the port"),
    );
    installed.succeeds(&["token", "create"]);

    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
    installed.succeeds(&["user", "remove", "ada"]);

    for (file, mode) in [
        ("", 0o700),
        ("ca.pem", 0o644),
        ("ca.key", 0o600),
        ("decision.key", 0o600),
        ("approver.db", 0o600),
    ] {
        let metadata = fs::metadata(installed.path().join("state").join(file)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{file}");
    }
}

#[test]
fn a_wrong_configuration_is_named_with_file_and_line() {
    let installed = Installed::new("127.0.0.1:0");
    let file = installed.path().join("approver.toml");
    fs::write(&file, "listen = \"127.0.0.1:0\"\nlimit = 3\n").unwrap();
    for part in [file.to_str().unwrap(), "line 2", "unknown field `limit`"] {
        installed.fails(&["serve"], part);
    }
    fs::remove_file(&file).unwrap();
    installed.fails(&["serve"], "cannot read the configuration");
}

#[tokio::test]
async fn a_state_directory_that_is_no_directory_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = holdpoint_approver::Config {
        state_dir: file.path().to_owned(),
        ..holdpoint_approver::Config::default()
    };
    let error = Server::bind(config).await.unwrap_err();
    assert!(matches!(error, StartError::StateDir(_)));
    assert!(
        error.to_string().contains(file.path().to_str().unwrap()),
        "{error}"
    );
}

#[tokio::test]
async fn open_streams_do_not_delay_the_end() {
    let mut approver = Approver::start().await;
    let host = approver.enrol().await;
    let (mut stream, mut bob) = tokio::join!(host.connect(), approver.login("bob"));
    stream.open(&request()).await.unwrap();
    let watch = holdpoint_proto::v1::WatchRequestsRequest {};
    let mut watch = bob.watch_requests(watch).await.unwrap().into_inner();
    within(watch.message()).await.unwrap();

    let start = Instant::now();
    approver.stop().await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(stream.end().await.code(), tonic::Code::Unavailable);
}
