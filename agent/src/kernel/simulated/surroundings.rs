//! What surrounds a played attempt: everything that is not the operation itself
//! and still makes a difference to whoever decides about it.

use holdpoint_agent_common::TaskKey;
use sha2::{Digest as _, Sha256};

use crate::kernel::{ExecFacts, Facts, ProcessFacts, Variable};

/// Where and as what a played process attempts something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Surroundings {
    /// Working directory.
    pub cwd: Vec<u8>,
    /// `NAME=value` texts; all are shown, none is a secret.
    pub environment: Vec<Vec<u8>>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            cwd: b"/home/agent".to_vec(),
            environment: Vec::new(),
        }
    }
}

impl Surroundings {
    /// What the daemon reads of `task`.
    pub(super) fn facts(&self, task: TaskKey, exec: Option<ExecFacts>) -> Facts {
        Facts {
            caller: ProcessFacts {
                pid: task.tgid,
                tid: task.tid,
                start_ns: task.start_ns,
                uid: 1000,
                gid: 1000,
                executable: b"/usr/bin/sh".to_vec(),
                executable_is_hosts: true,
                cwd: self.cwd.clone(),
                argv: vec![b"sh".to_vec()],
                argv_cut: false,
            },
            process_start_ns: task.start_ns,
            ancestry: Vec::new(),
            listener: None,
            name_is_hosts: false,
            exec: exec.map(|exec| ExecFacts {
                environment_sha256: self.digest(),
                environment: self.environment.iter().map(|text| variable(text)).collect(),
                ..exec
            }),
        }
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for text in &self.environment {
            digest.update(text);
            digest.update([0]);
        }
        digest.finalize().into()
    }
}

fn variable(text: &[u8]) -> Variable {
    let mut halves = text.splitn(2, |byte| *byte == b'=');
    Variable {
        name: halves.next().unwrap_or_default().to_vec(),
        value: Some(halves.next().unwrap_or_default().to_vec()),
    }
}
