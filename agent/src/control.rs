//! The control socket: local callers begin sessions and ask how things are.
//!
//! The caller is who the kernel says it is (`SO_PEERCRED`). A tracked process can
//! ask for the status; it can never begin a session (invariant I10).

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use holdpoint_proto::control::{Answer, Call, MAX_LINE};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
};
use tracing::{debug, warn};

/// Longest wait for a caller to say what it wants, or to take its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Callers served at once; more wait in the socket's queue.
const MAX_CALLERS: usize = 64;

/// Who calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller {
    /// Process id.
    pub pid: u32,
    /// Effective user.
    pub uid: u32,
}

/// One call and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// Who.
    pub caller: Caller,
    /// What.
    pub call: Call,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on the control socket {}: {source}", path.display())]
pub struct ControlError {
    path: PathBuf,
    source: io::Error,
}

/// Opens the socket, replacing one that an earlier daemon left. The lock that
/// keeps two daemons apart is taken before.
pub fn listen(path: &Path) -> Result<UnixListener, ControlError> {
    let opened = || -> io::Result<UnixListener> {
        make_folder(path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        // Everybody may ask; who may what is decided for each call.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(listener)
    };
    opened().map_err(|source| ControlError {
        path: path.to_owned(),
        source,
    })
}

/// Makes the folder of the socket `path`, unless it is there.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(folder)
}

/// Serves callers until nobody takes their requests.
pub async fn serve(listener: UnixListener, requests: mpsc::Sender<Request>) {
    let places = std::sync::Arc::new(Semaphore::new(MAX_CALLERS));
    while !requests.is_closed() {
        let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let requests = requests.clone();
                tokio::spawn(async move {
                    if let Err(error) = attend(stream, requests).await {
                        debug!(%error, "a caller of the control socket went away");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "cannot accept a caller on the control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn attend(stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    let caller = credentials
        .pid()
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid != 0)
        .map(|pid| Caller {
            pid,
            uid: credentials.uid(),
        });
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading).take(MAX_LINE as u64);
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, reading.read_line(&mut line)).await??;
    let answer = match (caller, serde_json::from_str(&line)) {
        (None, _) => refused("the caller has no process id in this host's pid namespace"),
        (_, Err(error)) => refused(format!(
            "not understood: {error}; are holdpoint and holdpointd of the same version?"
        )),
        (Some(caller), Ok(call)) => {
            let (answer, answered) = oneshot::channel();
            let request = Request {
                caller,
                call,
                answer,
            };
            match requests.send(request).await {
                Ok(()) => answered
                    .await
                    .unwrap_or_else(|_| refused("holdpointd is stopping")),
                Err(_) => refused("holdpointd is stopping"),
            }
        }
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    tokio::time::timeout(PATIENCE, writing.write_all(&text)).await?
}

fn refused(reason: impl Into<String>) -> Answer {
    Answer::Refused {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(text: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control.sock");
        let listener = listen(&path).unwrap();
        let (sender, mut receiver) = mpsc::channel::<Request>(1);
        tokio::spawn(serve(listener, sender));
        tokio::spawn(async move {
            while let Some(request) = receiver.recv().await {
                let reason = format!("{:?} from {}", request.call, request.caller.pid);
                let _ = request.answer.send(refused(reason));
            }
        });
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_caller_is_who_the_kernel_says() {
        let answer = ask(b"\"status\"\n").await;
        assert!(
            answer.contains(&format!("Status from {}", std::process::id())),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn nonsense_is_answered_with_an_explanation() {
        for text in [
            &b"{\n"[..],
            b"{\"begin_session\":{\"profil\":null}}\n",
            b"\n",
        ] {
            let answer = ask(text).await;
            assert!(answer.contains("not understood"), "{answer}");
        }
    }
}
