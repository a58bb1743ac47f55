//! Operations that the kernel settled alone, as events.

use holdpoint_proto::v1::{self, operation::Kind};

use crate::{
    kernel::{Cause, FileId, Observed, ObservedEnd, ObservedOperation, Route},
    ruling::context,
};

/// What is told of `observed`.
pub(super) fn event(observed: &Observed, session: Option<v1::Session>) -> v1::OperationEvent {
    let (action, basis, detail) = match observed.settled {
        ObservedEnd::Allowed => (v1::Action::Allowed, v1::Basis::Policy, ""),
        ObservedEnd::Refused(cause) => {
            let (basis, detail) = because(cause);
            (v1::Action::Denied, basis, detail)
        }
    };
    let (operation, argv_cut) = operation(&observed.operation);
    v1::OperationEvent {
        action: action.into(),
        basis: basis.into(),
        operation,
        process: Some(v1::Process {
            pid: observed.task.tgid,
            tid: observed.task.tid,
            start_time_ns: observed.task.start_ns,
            uid: observed.uid,
            gid: observed.gid,
            executable: observed.executable.clone(),
            ..v1::Process::default()
        }),
        ancestry: match observed.parent {
            (0, _) => Vec::new(),
            (pid, start_time_ns) => vec![v1::Process {
                pid,
                tid: pid,
                start_time_ns,
                ..v1::Process::default()
            }],
        },
        // Its number at least, if it is over already.
        session: Some(session.unwrap_or_else(|| v1::Session {
            id: observed.session.to_string(),
            ..v1::Session::default()
        })),
        detail: match observed.operation {
            ObservedOperation::Route { route, about } => tried(route, about),
            _ => detail.to_owned(),
        },
        route: match observed.operation {
            ObservedOperation::Route { route, .. } => route.name().to_owned(),
            _ => String::new(),
        },
        argv_cut,
        ..v1::OperationEvent::default()
    }
}

fn operation(operation: &ObservedOperation) -> (Option<v1::Operation>, bool) {
    let (kind, cut) = match operation {
        ObservedOperation::Exec {
            file,
            path,
            argv,
            argv_cut,
        } => {
            let exec = v1::Exec {
                path: path.clone(),
                file: Some(identity(file)),
                argv: argv.clone(),
                ..v1::Exec::default()
            };
            (Kind::Exec(exec), *argv_cut)
        }
        ObservedOperation::Connect(to) => (Kind::Connect(context::connect(to)), false),
        ObservedOperation::Local(peer) => (Kind::Connect(context::local(peer, b"", false)), false),
        ObservedOperation::Route { .. } | ObservedOperation::Unknown => return (None, false),
    };
    (Some(v1::Operation { kind: Some(kind) }), cut)
}

fn identity(file: &FileId) -> v1::FileIdentity {
    v1::FileIdentity {
        device: file.device,
        inode: file.inode,
        generation: file.generation,
        ctime_ns: file
            .ctime_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(file.ctime_nsec.into()),
        size: file.size,
    }
}

/// What is known of an attempt on `route`, in words.
fn tried(route: Route, about: [u64; 3]) -> String {
    let [first, second, third] = about;
    let barred = "barred: the profile does not permit it";
    match route {
        Route::Netlink if first == u64::MAX => {
            format!("ioctl {second:#x}, which changes the network; {barred}")
        }
        Route::Netlink if third == u64::MAX => {
            format!("option {second} of level {first}, which changes packet filters; {barred}")
        }
        // 16 is the family of netlink; of a message it is the protocol that stands there.
        Route::Netlink if first != 16 => format!("a message of type {second}; {barred}"),
        Route::RawSocket | Route::SocketKind | Route::Ping | Route::Netlink | Route::Vsock => {
            format!("a socket of family {first}, type {second}, protocol {third}; {barred}")
        }
        Route::Listen => format!("listening on an address that other hosts reach; {barred}"),
        Route::ForeignSocket => {
            format!("a socket of family {first} that no task of the session made; {barred}")
        }
        Route::SourceRoute => format!("packets with a path of the sender's choice; {barred}"),
        Route::Interface => {
            format!("choosing the interface or own address that packets leave by; {barred}")
        }
        Route::Multicast => format!("joining a multicast group; {barred}"),
        Route::IoUring => format!("a new ring; {barred}"),
        Route::Trace => format!("taking over process {first}, outside the session; {barred}"),
        Route::Daemon if third == 0 && second < 128 => {
            format!("touching holdpointd, process {first}; never permitted")
        }
        Route::Daemon => format!("a file of holdpointd, inode {first}; never permitted"),
        Route::StartupFile => {
            format!("changing a file that others run or read later, at inode {first}; {barred}")
        }
        Route::Device if first != u64::MAX => {
            format!("device {}:{}; {barred}", second, first & 0xf_ffff)
        }
        Route::TerminalInput => format!("typing into a terminal; {barred}"),
        _ => barred.to_owned(),
    }
}

fn because(cause: Cause) -> (v1::Basis, &'static str) {
    let gate = |detail| (v1::Basis::Gate, detail);
    match cause {
        Cause::Ticket | Cause::Cached => (v1::Basis::Policy, ""),
        Cause::Cut => gate("its session is cut: every operation of it is refused"),
        Cause::PendingFull => gate("too many operations are held on this host"),
        Cause::NotStoppable => gate("the task could not be stopped"),
        Cause::NotRestartable => gate("a call of this kind cannot be held"),
        Cause::Address => gate("the address is of a family that is not gated, or too short"),
        Cause::PathTooLong => gate("the path is longer than a reviewer could be shown"),
        Cause::Unreadable => gate("the kernel's record of it could not be read"),
        Cause::ArgumentsChanged => gate("the arguments that would run were not those judged"),
        Cause::NoLabel => gate("a child could not be tracked, and was not born"),
        Cause::Barred => gate("the route is barred to the session"),
        Cause::Unlinked => gate("the file has no name, so nobody could look at it again"),
        Cause::Fuse => gate("another process makes up the file's content as it is read"),
        Cause::Script => gate("a script of a script, or one whose path is too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_on_the_network_is_said_as_what_it_is() {
        for (about, words) in [
            ([16, 3, 12], "a socket of family 16, type 3, protocol 12;"),
            ([0, 24, 0], "a message of type 24;"),
            (
                [u64::MAX, 0x890b, 0],
                "ioctl 0x890b, which changes the network;",
            ),
            (
                [0, 64, u64::MAX],
                "option 64 of level 0, which changes packet filters;",
            ),
        ] {
            let said = tried(Route::Netlink, about);
            assert!(said.starts_with(words), "{said}");
        }
    }
}
