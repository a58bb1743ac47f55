//! Scripts for the simulated kernel: a session and what it attempts, when.
//!
//! ```toml
//! profile = "demo"
//! owner = "owner"
//!
//! [[operations]]
//! after = 1.5                        # seconds after the one before
//! exec = ["/usr/bin/curl", "-T", "notes.txt"]
//!
//! [[operations]]
//! connect = "192.0.2.1:443"          # tcp
//! ```

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use serde::Deserialize;
use tracing::info;

use super::{Attempt, SimulatedGate};
use crate::kernel::{Gate as _, Permits};

/// `IPPROTO_TCP`.
const TCP: u16 = 6;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    profile: String,
    owner: String,
    operations: Vec<Operation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    #[serde(default)]
    after: f64,
    exec: Option<Vec<String>>,
    connect: Option<SocketAddr>,
}

/// Why a script cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file could not be read.
    #[error("cannot read the script: {0}")]
    Read(#[from] io::Error),
    /// It is no valid script.
    #[error("{0}")]
    Parse(#[from] Box<toml::de::Error>),
    /// An operation is neither or both, or waits a nonsensical time.
    #[error(
        "operation {0} needs exactly one of `exec` (not empty) and `connect`, and `after` between 0 and 86400"
    )]
    Operation(usize),
    /// The session could not begin.
    #[error(transparent)]
    Gate(#[from] crate::kernel::GateError),
}

/// Begins the session of `script` and plays it in the background. Must run
/// inside a tokio runtime.
pub fn play(gate: &Arc<SimulatedGate>, script: &Path) -> Result<(), ScriptError> {
    let script = parse(&fs::read_to_string(script)?)?;
    let session = gate.begin_session(1, &script.profile, &script.owner, 1000, Permits::NONE)?;
    let gate = Arc::clone(gate);
    tokio::spawn(async move {
        for (after, attempt) in script.attempts {
            tokio::time::sleep(after).await;
            let (task, fate) = gate.attempt(session.id, &attempt);
            info!(pid = task.tgid, ?attempt, "attempted");
            tokio::spawn(async move {
                if let Ok(fate) = fate.await {
                    info!(pid = task.tgid, ?fate, "over");
                }
            });
        }
    });
    Ok(())
}

#[derive(Debug)]
struct Parsed {
    profile: String,
    owner: String,
    attempts: Vec<(Duration, Attempt)>,
}

fn parse(text: &str) -> Result<Parsed, ScriptError> {
    let script: Script = toml::from_str(text).map_err(Box::new)?;
    let attempts = script
        .operations
        .into_iter()
        .enumerate()
        .map(|(index, operation)| {
            let attempt = match (operation.exec, operation.connect) {
                (Some(argv), None) if !argv.is_empty() => {
                    Attempt::Exec(argv.into_iter().map(String::into_bytes).collect())
                }
                (None, Some(address)) => Attempt::Connect {
                    address: address.ip(),
                    port: address.port(),
                    protocol: TCP,
                },
                _ => return Err(ScriptError::Operation(index + 1)),
            };
            if !(0.0..=86_400.0).contains(&operation.after) {
                return Err(ScriptError::Operation(index + 1));
            }
            Ok((Duration::from_secs_f64(operation.after), attempt))
        })
        .collect::<Result<_, _>>()?;
    Ok(Parsed {
        profile: script.profile,
        owner: script.owner,
        attempts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_in_order() {
        let parsed = parse(
            "profile='p'\nowner='o'\n[[operations]]\nafter=0.5\nexec=['/bin/true']\n\
             [[operations]]\nconnect='192.0.2.1:443'",
        )
        .unwrap();
        assert_eq!(parsed.attempts[0].0, Duration::from_millis(500));
        assert!(matches!(
            parsed.attempts[1].1,
            Attempt::Connect { port: 443, .. }
        ));
    }

    #[test]
    fn an_operation_that_is_neither_is_named_by_its_number() {
        for bad in [
            "after=1",
            "exec=[]",
            "exec=['/x']\nconnect='1.2.3.4:5'",
            "after=-1\nexec=['/x']",
        ] {
            let text = format!("profile='p'\nowner='o'\n[[operations]]\n{bad}");
            assert!(
                matches!(parse(&text), Err(ScriptError::Operation(1))),
                "{bad}"
            );
        }
    }
}
