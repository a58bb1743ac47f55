//! Operations, and the processes that attempt them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use holdpoint_proto::v1::{self, operation::Kind};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ProcessBytes, hex, hex_or_null};

/// One attempted operation: one of the two keys is there.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OperationView {
    Exec(ExecView),
    Connect(ConnectView),
}

/// An execve that was stopped.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ExecView {
    path: ProcessBytes,
    /// Whether `path` is the same file for the host.
    path_is_hosts: bool,
    #[schema(required)]
    file: Option<FileView>,
    /// All arguments, none shortened.
    argv: Vec<ProcessBytes>,
    environment_sha256: String,
    /// Null if the content could not be read in time.
    #[schema(required)]
    content_sha256: Option<String>,
    environment: Vec<VariableView>,
}

/// Which file, whatever its name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FileView {
    /// `major:minor`.
    device: String,
    inode: String,
    generation: u32,
    #[schema(required)]
    changed_at: Option<String>,
    size: String,
}

/// A variable of the environment that matters.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VariableView {
    name: ProcessBytes,
    value: ProcessBytes,
    /// Whether the value was left out because the name is one secrets have.
    redacted: bool,
}

/// A connect that was stopped.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConnectView {
    #[schema(required)]
    address: Option<String>,
    port: u32,
    protocol: u32,
    #[schema(required)]
    protocol_name: Option<&'static str>,
    network_namespace: u32,
    scope_id: u32,
    /// Set if it goes to a local (unix) socket: the address is then null.
    #[schema(required)]
    local: Option<LocalSocketView>,
    /// Who answers, of a connection within the host; null if that is not known.
    #[schema(required)]
    listener: Option<ListenerView>,
}

/// A local (unix) socket.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LocalSocketView {
    /// What it is bound to: a path, or with a NUL before it a name of the abstract kind.
    name: ProcessBytes,
    /// Whether that is a path that leads to this socket on the host.
    name_is_hosts: bool,
    socket_type: u32,
    uid: u32,
}

/// The process that answers a connection within the host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ListenerView {
    pid: u32,
    uid: u32,
    executable: ProcessBytes,
    executable_is_hosts: bool,
}

/// A process, as the kernel named it when the operation stopped.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ProcessView {
    pid: u32,
    tid: u32,
    start_time_ns: String,
    uid: u32,
    gid: u32,
    executable: ProcessBytes,
    cwd: ProcessBytes,
    /// As the process shows itself: it can change that.
    argv: Vec<ProcessBytes>,
    /// There were more: the last of these may be a part of one.
    argv_cut: bool,
}

impl OperationView {
    pub(crate) fn new(operation: v1::Operation) -> Option<Self> {
        Some(match operation.kind? {
            Kind::Exec(exec) => Self::Exec(exec.into()),
            Kind::Connect(connect) => Self::Connect(connect.into()),
        })
    }
}

impl From<v1::Exec> for ExecView {
    fn from(exec: v1::Exec) -> Self {
        Self {
            path: exec.path.into(),
            path_is_hosts: exec.path_is_hosts,
            file: exec.file.map(FileView::from),
            argv: list(exec.argv),
            environment_sha256: hex(&exec.environment_sha256),
            content_sha256: hex_or_null(&exec.content_sha256),
            environment: exec
                .environment
                .into_iter()
                .map(|variable| VariableView {
                    name: variable.name.into(),
                    value: variable.value.into(),
                    redacted: variable.redacted,
                })
                .collect(),
        }
    }
}

impl From<v1::FileIdentity> for FileView {
    fn from(file: v1::FileIdentity) -> Self {
        Self {
            device: format!("{}:{}", file.device >> 20, file.device & 0xf_ffff),
            inode: file.inode.to_string(),
            generation: file.generation,
            changed_at: jiff::Timestamp::from_nanosecond(file.ctime_ns.into())
                .map(|at| at.to_string())
                .ok(),
            size: file.size.to_string(),
        }
    }
}

impl From<v1::Connect> for ConnectView {
    fn from(connect: v1::Connect) -> Self {
        Self {
            address: address(&connect.address).map(|address| address.to_string()),
            port: connect.port,
            protocol: connect.protocol,
            protocol_name: protocol_name(connect.protocol),
            network_namespace: connect.network_namespace,
            scope_id: connect.scope_id,
            local: connect.local.map(|local| LocalSocketView {
                name: local.name.into(),
                name_is_hosts: local.name_is_hosts,
                socket_type: local.socket_type,
                uid: local.uid,
            }),
            listener: connect.listener.map(|listener| ListenerView {
                pid: listener.pid,
                uid: listener.uid,
                executable: listener.executable.into(),
                executable_is_hosts: listener.executable_is_hosts,
            }),
        }
    }
}

impl From<v1::Process> for ProcessView {
    fn from(process: v1::Process) -> Self {
        Self {
            pid: process.pid,
            tid: process.tid,
            start_time_ns: process.start_time_ns.to_string(),
            uid: process.uid,
            gid: process.gid,
            executable: process.executable.into(),
            cwd: process.cwd.into(),
            argv: list(process.argv),
            argv_cut: process.argv_cut,
        }
    }
}

pub(crate) fn list(items: Vec<Vec<u8>>) -> Vec<ProcessBytes> {
    items.into_iter().map(ProcessBytes::from).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(sixteen).into())
}

fn protocol_name(number: u32) -> Option<&'static str> {
    Some(match number {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        58 => "icmpv6",
        132 => "sctp",
        136 => "udplite",
        255 => "raw",
        262 => "mptcp",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let text = |bytes: &[u8]| address(bytes).map(|address| address.to_string());
        assert_eq!(text(&[192, 0, 2, 1]).as_deref(), Some("192.0.2.1"));
        let mut six = [0; 16];
        six[15] = 1;
        assert_eq!(text(&six).as_deref(), Some("::1"));
        assert_eq!(text(&[1, 2, 3]), None);
    }
}
