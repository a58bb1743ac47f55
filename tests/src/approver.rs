//! The real approver, served by the test process, or as its program.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    time::Duration,
};

use holdpoint_approver::{Admin, Config, Server, config::Web, domain::account::Role};
use tempfile::TempDir;
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle};

use crate::{
    patience::{until, within},
    programs::program,
    reviewer::Reviewer,
};

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";

/// Accounts every approver has. `owner` is accountable for the sessions.
pub const ACCOUNTS: [(&str, Role); 5] = [
    ("owner", Role::Reviewer),
    ("ada", Role::Reviewer),
    ("bob", Role::Reviewer),
    ("vera", Role::Viewer),
    ("carol", Role::Administrator),
];

/// An approver on a port of its own.
pub struct Approver {
    config: Config,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    directory: TempDir,
}

impl Approver {
    /// Starts one with all [`ACCOUNTS`].
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            web: Web {
                listen: "127.0.0.1:0".parse().unwrap(),
                ..Web::default()
            },
            state_dir: directory.path().join("state"),
            ..Config::default()
        };
        let mut approver = Self {
            config,
            running: None,
            directory,
        };
        approver.start_again().await;
        let admin = Admin::open(&approver.config).await.unwrap();
        for (name, role) in ACCOUNTS {
            let name = name.parse().unwrap();
            admin.add_user(&name, role, PASSWORD).await.unwrap();
        }
        admin.close().await;
        approver
    }

    /// Starts the server, on the port it had before if it had one.
    pub async fn start_again(&mut self) {
        let server = Server::bind(self.config.clone()).await.unwrap();
        self.config.listen = server.local_addr();
        self.config.web.listen = server.web_addr();
        self.config.address = self.config.address.clone().with_port(self.port());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server.serve(stopped).await.unwrap();
        });
        self.running = Some((stop, serving));
    }

    /// Ends the server as a signal would.
    pub async fn stop(&mut self) {
        let (stop, serving) = self.running.take().unwrap();
        stop.send(()).unwrap();
        within("the approver's end", serving).await.unwrap();
    }

    /// Its program, to serve the state on the ports of this one, which must not be
    /// serving.
    pub fn program(&self) -> Command {
        assert!(self.running.is_none(), "it serves already");
        let config = self.directory().join("approver.toml");
        let text = format!(
            "listen = \"{}\"\naddress = \"{}\"\nstate_dir = \"{}\"\n[web]\nlisten = \"{}\"\n",
            self.config.listen,
            self.config.address,
            self.config.state_dir.display(),
            self.config.web.listen
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(program("holdpoint-approver"));
        command
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .env_remove("RUST_LOG")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Starts its program, and waits until it can be reached.
    pub async fn spawn(&self) -> Process {
        let log = self.directory().join("approver.log");
        let stderr = File::create(&log).unwrap();
        let process = Process(self.program().stderr(stderr).spawn().unwrap());
        until("the approver's program", async || {
            let connected = TcpStream::connect(self.config.listen).await;
            connected.map_err(|error| (error, fs::read_to_string(&log)))
        })
        .await;
        process
    }

    /// Where its state is.
    pub fn state_dir(&self) -> &std::path::Path {
        &self.config.state_dir
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.config.listen.port()
    }

    /// Its address for people.
    pub fn address(&self) -> String {
        format!("https://localhost:{}", self.port())
    }

    /// Where its dashboard is.
    pub fn web_address(&self) -> String {
        format!("https://localhost:{}", self.config.web.listen.port())
    }

    /// Path of its CA certificate.
    pub fn ca(&self) -> std::path::PathBuf {
        self.config.state_dir.join("ca.pem")
    }

    /// Its folder, also for files of the test.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// An enrolment token.
    pub async fn token(&self) -> String {
        let admin = Admin::open(&self.config).await.unwrap();
        let ttl = Duration::from_mins(1);
        let token = admin.create_token(ttl, "test").await.unwrap();
        admin.close().await;
        token.encode()
    }

    /// Logs `name` in over gRPC.
    pub async fn reviewer(&self, name: &str) -> Reviewer {
        let ca = std::fs::read_to_string(self.ca()).unwrap();
        Reviewer::login(&self.address(), &ca, name, PASSWORD).await
    }
}

/// An approver in a process of its own, ended with the test.
pub struct Process(Child);

impl Process {
    /// Ends it as `kill -9` does.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
