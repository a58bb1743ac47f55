//! Brings an event down to a size that fits the spool and a batch, whatever the
//! processes in it say of themselves.
//!
//! Pure. An event that is too large would be lost, and whoever wants one lost
//! would only have to make it large: so it is cut, and says what was.

use holdpoint_proto::v1::{self, operation::Kind};
use prost::Message as _;

/// Bytes of an exec's arguments that an event carries.
pub(super) const ARGUMENTS: usize = 64 * 1024;
/// Bytes of the variables of its environment, and most of these.
const ENVIRONMENT: usize = 64 * 1024;
const VARIABLES: usize = 64;
/// Bytes that ancestors get beside what names them, and most of these.
const ANCESTRY: usize = 64 * 1024;
const ANCESTORS: usize = 64;
/// Bytes of a detail.
const DETAIL: usize = 4 * 1024;

/// `event`, cut where it is too large. What was cut but its arguments, which
/// `argv_cut` is for, is named in its detail.
pub(super) fn bounded(mut event: v1::OperationEvent) -> v1::OperationEvent {
    let mut left_out = Vec::new();
    if let Some(Kind::Exec(exec)) = event
        .operation
        .as_mut()
        .and_then(|operation| operation.kind.as_mut())
    {
        event.argv_cut |= cut_arguments(&mut exec.argv);
        if cut_environment(&mut exec.environment) {
            left_out.push("variables of the environment");
        }
    }
    if cut_ancestry(&mut event.ancestry) {
        left_out.push("arguments and folders of ancestors");
    }
    let note = match left_out.as_slice() {
        [] => String::new(),
        parts => format!("left out for their size: {}", parts.join(", ")),
    };
    event.detail = detail(event.detail, &note);
    event
}

/// `words` at a size that people read, and then `note`.
pub(super) fn detail(mut words: String, note: &str) -> String {
    let mut end = DETAIL.min(words.len());
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.truncate(end);
    match (words.is_empty(), note.is_empty()) {
        (_, true) => words,
        (true, false) => note.to_owned(),
        (false, false) => format!("{words}; {note}"),
    }
}

fn cut_arguments(argv: &mut Vec<Vec<u8>>) -> bool {
    let mut room = ARGUMENTS;
    for (index, argument) in argv.iter_mut().enumerate() {
        // An empty one takes room too.
        if argument.len() + 1 > room {
            argument.truncate(room);
            argv.truncate(index + 1);
            return true;
        }
        room -= argument.len() + 1;
    }
    false
}

fn cut_environment(environment: &mut Vec<v1::EnvironmentVariable>) -> bool {
    let mut room = ENVIRONMENT;
    let fit = environment
        .iter()
        .take(VARIABLES)
        .take_while(|variable| {
            let size = variable.encoded_len();
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        })
        .count();
    let cut = fit < environment.len();
    environment.truncate(fit);
    cut
}

/// Of ancestors that do not fit, who they are and what they run is told all the
/// same: what the nearer ones say of themselves must not hide the farther ones.
fn cut_ancestry(ancestry: &mut Vec<v1::Process>) -> bool {
    let mut cut = ancestry.len() > ANCESTORS;
    ancestry.truncate(ANCESTORS);
    let mut room = ANCESTRY;
    for process in ancestry {
        let size = process.encoded_len();
        if size <= room {
            room -= size;
        } else {
            process.argv_cut |= !process.argv.is_empty();
            process.argv = Vec::new();
            process.cwd = Vec::new();
            cut = true;
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::spool::{MIN_BYTES, Spool};

    /// As much of everything as a process can have the host say.
    fn largest(argument: &[u8]) -> v1::OperationEvent {
        // Of a command line that is shown, all in empty arguments.
        let process = v1::Process {
            pid: u32::MAX,
            tid: u32::MAX,
            start_time_ns: u64::MAX,
            uid: u32::MAX,
            gid: u32::MAX,
            executable: vec![b'e'; 4096],
            cwd: vec![b'c'; 4096],
            argv: vec![Vec::new(); 4096],
            argv_cut: true,
        };
        let variable = v1::EnvironmentVariable {
            name: vec![b'n'; 1024],
            value: vec![b'v'; 1024],
            redacted: false,
        };
        // 2 MiB of them.
        let argv = vec![argument.to_vec(); 2 * 1024 * 1024 / (argument.len() + 1)];
        v1::OperationEvent {
            operation: Some(v1::Operation {
                kind: Some(Kind::Exec(v1::Exec {
                    path: vec![b'p'; 4096],
                    argv,
                    environment: vec![variable; 1000],
                    ..v1::Exec::default()
                })),
            }),
            ancestry: vec![process.clone(); 32],
            process: Some(process),
            detail: "\u{fffd}".repeat(100_000),
            ..v1::OperationEvent::default()
        }
    }

    #[test]
    fn the_largest_event_there_can_be_is_kept_and_says_what_it_lacks() {
        let directory = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(directory.path(), MIN_BYTES).unwrap();
        for length in [0, 1, 128 * 1024] {
            let event = bounded(largest(&vec![b'a'; length]));
            assert!(event.argv_cut);
            assert!(
                event.detail.ends_with(
                    "; left out for their size: variables of the environment, arguments and \
                     folders of ancestors"
                ),
                "{}",
                event.detail
            );
            assert_eq!(event.ancestry.len(), 32, "each of them");
            for ancestor in &event.ancestry {
                assert_eq!((ancestor.pid, ancestor.executable.len()), (u32::MAX, 4096));
            }
            let body = v1::event::Body::Operation(event);
            spool
                .append(v1::Event {
                    sequence: 0,
                    time: None,
                    body: Some(body),
                })
                .unwrap();
        }
        assert_eq!(spool.fill().undeclared, 0);
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let process = v1::Process {
            cwd: b"/srv".to_vec(),
            argv: vec![b"sh".to_vec()],
            ..v1::Process::default()
        };
        let event = v1::OperationEvent {
            ancestry: vec![process; 32],
            detail: "why".to_owned(),
            ..v1::OperationEvent::default()
        };
        assert_eq!(bounded(event.clone()), event);
    }
}
