//! The scenes with a held operation: what the agent does, how one sees that it
//! has not happened yet, and what must be seen afterwards. Pure.

use super::super::link::Look;

/// Where a reviewer decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Browser,
    Terminal,
}

/// What the demo's reviewers do when nobody else decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Approve {
        who: &'static str,
        edge: Edge,
        reason: &'static str,
    },
    Deny {
        who: &'static str,
        edge: Edge,
        reason: &'static str,
    },
    Silence,
}

impl Answer {
    /// The state it leaves the request in.
    pub(super) fn state(self) -> &'static str {
        match self {
            Self::Approve { .. } => "approved",
            Self::Deny { .. } => "denied",
            Self::Silence => "expired",
        }
    }
}

/// How the agent's task ended.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) status: i32,
    pub(super) said: Vec<String>,
}

impl End {
    /// The kernel's answer reached the program, or the shell that wanted it.
    pub(super) fn is_eperm(&self) -> bool {
        self.status != 0 && self.says("Operation not permitted")
    }

    fn says(&self, text: &str) -> bool {
        self.said.iter().any(|line| line.contains(text))
    }
}

/// One held operation.
pub(super) struct Scene {
    /// The task the agent is given.
    pub(super) task: &'static str,
    pub(super) title: &'static str,
    pub(super) rule: &'static str,
    /// As [`Request::operation`](super::super::people::Request::operation) has it.
    pub(super) operation: &'static str,
    pub(super) answer: Answer,
    /// The owner tries to approve first.
    pub(super) owner_tries: bool,
    /// Nothing of it has happened, and how one sees that.
    pub(super) untouched: fn(&Look) -> bool,
    pub(super) untouched_means: &'static str,
    /// All of it has happened.
    pub(super) happened: fn(&Look, &End) -> bool,
    pub(super) happened_means: &'static str,
}

pub(super) static SCENES: [Scene; 3] = [
    Scene {
        task: "upload",
        title: "A program is held before it starts",
        rule: "downloads",
        operation: "exec /usr/bin/curl",
        answer: Answer::Approve {
            who: "reviewer1",
            edge: Edge::Browser,
            reason: "the report is public",
        },
        owner_tries: true,
        untouched: |look| {
            look.uploads.connections == 0 && look.receipt.is_none() && look.archive.is_some()
        },
        untouched_means: "no receipt.txt, and nobody has connected to the server",
        happened: |look, end| {
            end.status == 0
                && look.uploads.requests == 1
                && look.archive == Some(look.uploads.bytes)
                && end.says(&format!("received {} bytes", look.uploads.bytes))
        },
        happened_means: "curl ran, the server has the whole archive, and its receipt is here",
    },
    Scene {
        task: "staging",
        title: "A connection is held before a packet leaves",
        rule: "staging-service",
        operation: "connect 127.0.0.1:9000",
        answer: Answer::Deny {
            who: "reviewer2",
            edge: Edge::Terminal,
            reason: "not without a ticket",
        },
        owner_tries: false,
        untouched: |look| look.staging.connections == 0,
        untouched_means: "nobody has connected to the server on port 9000",
        happened: |look, end| {
            end.status == 0 && look.staging.requests == 1 && end.says("received 0 bytes")
        },
        happened_means: "bash connected, and the server on port 9000 answered",
    },
    Scene {
        task: "account",
        title: "A hold that nobody answers expires",
        rule: "accounts",
        operation: "exec /usr/sbin/useradd",
        answer: Answer::Silence,
        owner_tries: false,
        untouched: |look| !look.account,
        untouched_means: "there is no account `backdoor`",
        // It has no rights to do what it is for, and says so itself.
        happened: |look, end| !look.account && !end.is_eperm() && end.says("useradd:"),
        happened_means: "useradd ran, and failed by itself: the agent is not root",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::link::Traffic;

    fn look() -> Look {
        Look {
            uploads: Traffic::default(),
            staging: Traffic::default(),
            archive: Some(9),
            receipt: None,
            account: false,
            kernel: String::new(),
        }
    }

    fn end(status: i32, said: &str) -> End {
        End {
            status,
            said: vec![said.to_owned()],
        }
    }

    #[test]
    fn nothing_counts_as_both_held_and_done() {
        let ends = [
            end(0, "received 9 bytes"),
            end(126, "curl: Operation not permitted"),
            end(1, "useradd: Permission denied."),
        ];
        let mut busy = look();
        busy.uploads = Traffic {
            connections: 1,
            requests: 1,
            bytes: 9,
        };
        busy.staging.connections = 1;
        for scene in &SCENES {
            assert!((scene.untouched)(&look()), "{}", scene.task);
            assert!(!(scene.happened)(&look(), &ends[1]), "{}", scene.task);
        }
        let [upload, staging, account] = &SCENES;
        assert!(!(upload.untouched)(&busy) && !(staging.untouched)(&busy));
        assert!((upload.happened)(&busy, &ends[0]));
        assert!((account.happened)(&look(), &ends[2]));
    }

    #[test]
    fn part_of_an_upload_is_not_the_upload() {
        let mut part = look();
        part.uploads = Traffic {
            connections: 1,
            requests: 1,
            bytes: 8,
        };
        assert!(!(SCENES[0].happened)(&part, &end(0, "received 8 bytes")));
    }

    #[test]
    fn eperm_is_a_failure_that_says_so() {
        assert!(end(126, "x: Operation not permitted").is_eperm());
        assert!(!end(0, "x: Operation not permitted").is_eperm());
        assert!(!end(1, "x: Permission denied").is_eperm());
    }
}
