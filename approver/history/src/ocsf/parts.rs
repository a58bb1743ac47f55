//! What many records have in common: a device, a process, an operation, a
//! session, a rule.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use holdpoint_proto::v1::{
    Connect, Exec, GrantScope, Listener, LocalSocket, Operation, Process, Risk, Rule, Session,
    operation::Kind,
};

use super::{
    draft::{Draft, Observable},
    json::{Json, Object},
    text::{Texts, base_name, command_line},
};
use crate::audit::HostRef;

/// The machine.
pub(super) fn device(texts: &mut Texts, host: &HostRef) -> Object {
    Object::new()
        .with("uid", texts.text(&host.id))
        .text("hostname", texts.text(&host.hostname))
        .with("type_id", 0)
        .with("type", "Unknown")
}

/// Names the machine in `draft`.
pub(super) fn on_host(draft: &mut Draft, texts: &mut Texts, host: &HostRef) {
    draft.body = std::mem::take(&mut draft.body).with("device", device(texts, host));
    let hostname = texts.text(&host.hostname);
    draft.observe("device.hostname", Observable::Hostname, &hostname);
}

/// A process that runs.
pub(super) fn process(texts: &mut Texts, place: &'static str, process: &Process) -> Object {
    let path = texts.bytes(place, &process.executable);
    let name = texts.shown(base_name(&process.executable));
    let room = texts.limits.text;
    Object::new()
        .with("pid", process.pid)
        .with("tid", process.tid)
        .with("uid", identity(process))
        .text("name", name.clone())
        .text("path", path.clone())
        .text("cmd_line", command_line(&process.argv, room))
        .text(
            "working_directory",
            texts.bytes("actor.process.working_directory", &process.cwd),
        )
        .maybe(
            "file",
            (!path.is_empty()).then(|| file(&name, &path).into()),
        )
        .with("user", Object::new().with("uid", process.uid.to_string()))
}

/// Pid and start: one process for as long as its machine runs.
fn identity(process: &Process) -> String {
    format!("{}.{}", process.pid, process.start_time_ns)
}

fn file(name: &str, path: &str) -> Object {
    Object::new()
        .text("name", name)
        .with("path", path)
        .with("type_id", 1)
        .with("type", "Regular File")
}

/// `caller` with those above it.
fn caller(texts: &mut Texts, caller: &Process, ancestry: &[Process]) -> Object {
    let most = texts.limits.ancestors;
    if ancestry.len() > most {
        texts.cut();
    }
    let mut above: Vec<Json> = Vec::new();
    for one in ancestry.iter().take(most) {
        above.push(
            Object::new()
                .with("pid", one.pid)
                .with("uid", identity(one))
                .text("name", texts.shown(base_name(&one.executable)))
                .text(
                    "path",
                    texts.bytes("actor.process.ancestry.path", &one.executable),
                )
                .text("cmd_line", command_line(&one.argv, texts.limits.text / 4))
                .into(),
        );
    }
    process(texts, "actor.process.path", caller).maybe("ancestry", Json::from(above))
}

/// What was tried, by whom, in which session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) operation: Option<&'a Operation>,
    pub(super) process: Option<&'a Process>,
    pub(super) ancestry: &'a [Process],
    pub(super) session: Option<&'a Session>,
}

impl Attempt<'_> {
    fn kind(&self) -> Option<&Kind> {
        self.operation.and_then(|operation| operation.kind.as_ref())
    }

    /// `exec` or `connect`.
    pub(super) fn word(&self) -> &'static str {
        match self.kind() {
            Some(Kind::Exec(_)) => "exec",
            Some(Kind::Connect(_)) => "connect",
            None => "unknown",
        }
    }

    /// The operation in a few words, for a message.
    pub(super) fn in_words(&self, texts: &mut Texts) -> String {
        match self.kind() {
            Some(Kind::Exec(exec)) => format!("exec of {}", texts.shown(&exec.path)),
            Some(Kind::Connect(connect)) => format!("connect to {}", destination(connect, texts)),
            None => "an operation".to_owned(),
        }
    }

    /// The class's attributes: who tries, and what.
    pub(super) fn onto(&self, draft: &mut Draft, texts: &mut Texts) {
        let mut actor = Object::new();
        let mut caller_path = String::new();
        if let Some(process) = self.process {
            actor = actor.with("process", caller(texts, process, self.ancestry));
            caller_path = texts.bytes("actor.process.path", &process.executable);
        }
        if let Some(session) = self.session {
            let user = Object::new()
                .text("name", texts.text(&session.user))
                .with("uid", session.uid.to_string());
            actor = actor.with("user", user).with(
                "session",
                Object::new().with("uid", texts.text(&session.id)),
            );
        }
        if self.process.is_none() && self.session.is_none() {
            actor = actor.with("app_name", "holdpointd");
        }
        let mut body = std::mem::take(&mut draft.body).with("actor", actor);
        match self.kind() {
            Some(Kind::Exec(exec)) => body = body.and(launched(texts, exec, self.process)),
            Some(Kind::Connect(connect)) => body = body.and(opened(connect, texts)),
            None => {}
        }
        draft.body = body;
        draft.observe("actor.process.path", Observable::Process, &caller_path);
        match self.kind() {
            Some(Kind::Exec(exec)) => {
                let path = texts.bytes("process.file.path", &exec.path);
                draft.observe("process.file.path", Observable::Path, &path);
                draft.observe(
                    "process.file.hashes",
                    Observable::Hash,
                    &HEXLOWER.encode(&exec.content_sha256),
                );
            }
            Some(Kind::Connect(connect)) => {
                if let Some(local) = &connect.local {
                    let name = socket_name(local, texts);
                    draft.observe("dst_endpoint.name", Observable::Path, &name);
                    return;
                }
                if let Some(address) = address(connect) {
                    draft.observe("dst_endpoint.ip", Observable::Ip, &address.to_string());
                }
                draft.observe(
                    "dst_endpoint.port",
                    Observable::Port,
                    &connect.port.to_string(),
                );
            }
            None => {}
        }
    }

    /// What OCSF has no place for.
    pub(super) fn unmapped(&self, texts: &mut Texts) -> Object {
        let mut object = Object::new().maybe(
            "session",
            self.session
                .map(|session| self::session(texts, session).into()),
        );
        match self.kind() {
            Some(Kind::Exec(exec)) => {
                let room = texts.limits.argv;
                let bytes: usize = exec.argv.iter().map(|one| one.len() + 1).sum();
                object = object
                    .with("argv", texts.argv(&exec.argv, room))
                    .with("argv_count", count(exec.argv.len()))
                    .with("argv_bytes", count(bytes))
                    .text(
                        "environment_sha256",
                        HEXLOWER.encode(&exec.environment_sha256),
                    )
                    .maybe("environment", Json::from(environment(texts, exec)))
                    .with("path_is_hosts", exec.path_is_hosts);
            }
            Some(Kind::Connect(connect)) => {
                object = object
                    .with("network_namespace", connect.network_namespace)
                    .with("scope_id", connect.scope_id)
                    .maybe("local", connect.local.as_ref().map(local))
                    .maybe(
                        "listener",
                        connect.listener.as_ref().map(|one| listener(one, texts)),
                    );
            }
            None => {}
        }
        object
    }
}

fn environment(texts: &mut Texts, exec: &Exec) -> Vec<Json> {
    let mut list: Vec<Json> = Vec::new();
    for variable in exec.environment.iter().take(texts.limits.ancestors) {
        let object = Object::new()
            .with("name", texts.bytes("environment.name", &variable.name))
            .with("redacted", variable.redacted);
        list.push(if variable.redacted {
            object.into()
        } else {
            object
                .with("value", texts.bytes("environment.value", &variable.value))
                .into()
        });
    }
    if list.len() < exec.environment.len() {
        texts.cut();
    }
    list
}

/// A length as JSON.
pub(super) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// The process an exec would make of its caller.
fn launched(texts: &mut Texts, exec: &Exec, caller: Option<&Process>) -> Object {
    let path = texts.bytes("process.file.path", &exec.path);
    let name = texts.shown(base_name(&exec.path));
    let mut file = file(&name, &path);
    if let Some(identity) = &exec.file {
        file = file
            .with("size", i64::try_from(identity.size).unwrap_or(i64::MAX))
            .with("uid", format!("{}:{}", identity.device, identity.inode));
    }
    if !exec.content_sha256.is_empty() {
        let hash = Object::new()
            .with("algorithm_id", 3)
            .with("algorithm", "SHA-256")
            .with("value", HEXLOWER.encode(&exec.content_sha256));
        file = file.with("hashes", vec![Json::from(hash)]);
    }
    let mut process = Object::new();
    if let Some(caller) = caller {
        process = process
            .with("pid", caller.pid)
            .with("tid", caller.tid)
            .with("uid", identity(caller));
    }
    let process = process
        .text("name", name.clone())
        .text("path", path.clone())
        .text("cmd_line", command_line(&exec.argv, texts.limits.text))
        .with("file", file);
    Object::new()
        .with("process", process)
        .with("launch_type_id", 3)
        .with("launch_type", "Exec")
}

fn opened(connect: &Connect, texts: &mut Texts) -> Object {
    let info = Object::new()
        .with("direction_id", 2)
        .with("direction", "Outbound");
    if let Some(local) = &connect.local {
        return Object::new()
            .with(
                "dst_endpoint",
                Object::new().text("name", socket_name(local, texts)),
            )
            .with("connection_info", info.text("protocol_name", "unix"));
    }
    let address = address(connect);
    let endpoint = Object::new()
        .maybe("ip", address.map(|address| address.to_string().into()))
        .with("port", connect.port);
    let version = address.map(|address| if address.is_ipv4() { 4 } else { 6 });
    let info = info
        .text("protocol_name", protocol_name(connect.protocol))
        .with("protocol_num", connect.protocol)
        .maybe("protocol_ver_id", version.map(Json::from));
    Object::new()
        .with("dst_endpoint", endpoint)
        .with("connection_info", info)
}

/// A path, or `@` and a name of the abstract kind.
fn socket_name(local: &LocalSocket, texts: &mut Texts) -> String {
    match local.name.strip_prefix(b"\0") {
        Some(name) => texts.bytes("dst_endpoint.name", &[b"@", name].concat()),
        None => texts.bytes("dst_endpoint.name", &local.name),
    }
}

fn local(local: &LocalSocket) -> Json {
    Object::new()
        .with("name_is_hosts", local.name_is_hosts)
        .with("socket_type", local.socket_type)
        .with("uid", local.uid)
        .into()
}

fn listener(listener: &Listener, texts: &mut Texts) -> Json {
    Object::new()
        .with("pid", listener.pid)
        .with("uid", listener.uid)
        .text(
            "executable",
            texts.bytes("listener.executable", &listener.executable),
        )
        .with("executable_is_hosts", listener.executable_is_hosts)
        .into()
}

fn address(connect: &Connect) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(connect.address.as_slice()) {
        return Some(four.into());
    }
    let sixteen = <[u8; 16]>::try_from(connect.address.as_slice()).ok()?;
    Some(sixteen.into())
}

fn destination(connect: &Connect, texts: &mut Texts) -> String {
    if let Some(local) = &connect.local {
        return match local.name.as_slice() {
            b"" => "a local socket without a name".to_owned(),
            _ => socket_name(local, texts),
        };
    }
    match address(connect) {
        Some(IpAddr::V6(six)) => format!("[{six}]:{}", connect.port),
        Some(IpAddr::V4(four)) => format!("{four}:{}", connect.port),
        None => format!("an unknown address, port {}", connect.port),
    }
}

fn protocol_name(protocol: u32) -> &'static str {
    match protocol {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        58 => "ipv6-icmp",
        132 => "sctp",
        136 => "udplite",
        262 => "mptcp",
        _ => "",
    }
}

/// A session.
pub(super) fn session(texts: &mut Texts, session: &Session) -> Object {
    Object::new()
        .with("id", texts.text(&session.id))
        .with("profile", texts.text(&session.profile))
        .with("owner", texts.text(&session.owner))
        .with("user", texts.text(&session.user))
        .with("uid", session.uid)
}

/// The rule that asked, as OCSF's policy.
pub(super) fn policy(texts: &mut Texts, rule: &Rule) -> Object {
    Object::new()
        .with("name", texts.text(&rule.name))
        .text("desc", texts.text(&rule.justification))
        .text("uid", HEXLOWER.encode(&rule.policy_sha256))
        .with("is_applied", true)
}

/// OCSF's number and caption for a risk, and our word.
pub(super) fn risk(risk: Risk) -> Option<(i64, &'static str, &'static str)> {
    match risk {
        Risk::Unspecified => None,
        Risk::Low => Some((1, "Low", "low")),
        Risk::Medium => Some((2, "Medium", "medium")),
        Risk::High => Some((3, "High", "high")),
        Risk::Critical => Some((4, "Critical", "critical")),
    }
}

/// The word for a scope.
pub(super) fn scope(scope: GrantScope) -> &'static str {
    match scope {
        GrantScope::Unspecified | GrantScope::Once => "once",
        GrantScope::Process => "process",
        GrantScope::Session => "session",
    }
}
