//! Talking to `holdpointd` on this host. Blocking and on the calling thread: the
//! daemon labels the process that calls, which must then have no other thread.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use holdpoint_proto::control::{Answer, Call, MAX_LINE};

/// What the gate refuses with.
const EPERM: i32 = 1;

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the daemon gave no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error(
        "holdpointd isn't running on this host: nobody listens at {path}; start it with \
         `systemctl start holdpointd`, or name its socket with --socket",
        path = path.display()
    )]
    NotRunning { path: PathBuf },
    #[error("can't reach holdpointd at {path}: {source}", path = path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error(
        "this process runs in a session, from which nobody reaches holdpointd at {path}; sessions \
         do not nest, run the command as it is, or outside",
        path = path.display()
    )]
    InSession { path: PathBuf },
    #[error(
        "holdpointd at {path} gave no answer: {source}; its log says why", path = path.display())]
    NoAnswer { path: PathBuf, source: io::Error },
    #[error("{path} does not speak like a holdpointd of this version: {problem}",
        path = path.display())]
    BadAnswer { path: PathBuf, problem: String },
    #[error("holdpointd refused: {reason}")]
    Refused { reason: String },
}

/// Sends `call` to the daemon at `path` and waits for its answer. The connection
/// is closed when this returns.
pub(crate) fn call(path: &Path, call: &Call) -> Result<Answer, ControlError> {
    use io::ErrorKind::{ConnectionRefused, NotFound};

    // The standard library opens every socket close-on-exec.
    let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
        NotFound | ConnectionRefused => ControlError::NotRunning {
            path: path.to_owned(),
        },
        // What a file's permissions refuse is EACCES.
        _ if source.raw_os_error() == Some(EPERM) => ControlError::InSession {
            path: path.to_owned(),
        },
        _ => ControlError::Connect {
            path: path.to_owned(),
            source,
        },
    })?;
    let line = exchange(stream, call).map_err(|source| ControlError::NoAnswer {
        path: path.to_owned(),
        source,
    })?;
    let bad = |problem| ControlError::BadAnswer {
        path: path.to_owned(),
        problem,
    };
    if line.last() != Some(&b'\n') {
        return Err(bad("its answer was cut off or too long".to_owned()));
    }
    match serde_json::from_slice(&line).map_err(|error| bad(error.to_string()))? {
        Answer::Refused { reason } => Err(ControlError::Refused { reason }),
        answer => Ok(answer),
    }
}

/// What is wrong if the daemon answers another question than was asked.
pub(crate) fn unexpected(path: &Path) -> ControlError {
    ControlError::BadAnswer {
        path: path.to_owned(),
        problem: "it answered another question".to_owned(),
    }
}

fn exchange(mut stream: UnixStream, call: &Call) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(call)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(MAX_LINE as u64)).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it closed the connection",
        ));
    }
    Ok(answer)
}
