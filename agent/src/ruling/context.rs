//! The words in which a host tells the approver what it saw: from what the gate
//! and /proc say to the messages of the contract.
//!
//! Pure. Must say the same of the same operation whenever it is asked: a decision
//! is bound to the digest of what stands here.

use std::time::Duration;

use holdpoint_proto::{
    digest,
    v1::{self, operation::Kind},
};

use crate::{
    kernel::{
        Attempted, Content, Destination, ExecFacts, Facts, Listener, LocalPeer, ProcessFacts,
        Session, Variable,
    },
    policy::{Judgement, Policy, Risk, Scope},
};

/// A session of local user `user`.
pub fn session(session: &Session, user: &str) -> v1::Session {
    v1::Session {
        id: session.id.to_string(),
        profile: session.profile.clone(),
        owner: session.owner.clone(),
        uid: session.uid,
        user: user.to_owned(),
    }
}

/// The rule that asks; none if it is the policy's default.
pub fn rule(policy: &Policy, judgement: &Judgement<'_>) -> Option<v1::Rule> {
    let terms = &judgement.terms;
    judgement.rule.map(|rule| v1::Rule {
        name: rule.name.clone(),
        justification: rule.justification.clone(),
        risk: match terms.risk {
            None => v1::Risk::Unspecified,
            Some(Risk::Low) => v1::Risk::Low,
            Some(Risk::Medium) => v1::Risk::Medium,
            Some(Risk::High) => v1::Risk::High,
            Some(Risk::Critical) => v1::Risk::Critical,
        }
        .into(),
        grants: terms
            .grants
            .iter()
            .map(|scope| i32::from(scope_of(*scope)))
            .collect(),
        max_ttl: (!terms.grants.is_empty()).then(|| prost_types::Duration {
            seconds: i64::try_from(terms.max_ttl.as_secs()).unwrap_or(i64::MAX),
            nanos: 0,
        }),
        policy_sha256: policy.sha256().to_vec(),
    })
}

fn scope_of(scope: Scope) -> v1::GrantScope {
    match scope {
        Scope::Process => v1::GrantScope::Process,
        Scope::Session => v1::GrantScope::Session,
    }
}

fn variable(variable: Variable) -> v1::EnvironmentVariable {
    v1::EnvironmentVariable {
        name: variable.name,
        redacted: variable.value.is_none(),
        value: variable.value.unwrap_or_default(),
    }
}

/// Whether `context` says what the file of its exec contains.
pub fn says_content(context: &v1::RequestContext) -> bool {
    matches!(
        context.operation.as_ref().and_then(|operation| operation.kind.as_ref()),
        Some(Kind::Exec(exec)) if !exec.content_sha256.is_empty()
    )
}

/// Puts what the file contains into the exec of `context`.
pub fn set_content(context: &mut v1::RequestContext, content: Content) {
    if let Some(Kind::Exec(exec)) = kind_of(context) {
        exec.content_sha256 = content.sha256();
    }
}

fn kind_of(context: &mut v1::RequestContext) -> Option<&mut Kind> {
    context.operation.as_mut()?.kind.as_mut()
}

/// The digest of `context` as it would be composed now: with the calling process,
/// the content and the listener of an internet connect that a second look found. The
/// arguments of an exec and a local socket need none: the kernel compares them.
pub fn digest_now(
    context: &v1::RequestContext,
    caller: &ProcessFacts,
    content: Content,
    heard: Option<&Listener>,
) -> [u8; 32] {
    let mut now = context.clone();
    now.process = Some(process(caller));
    if let Some(Kind::Connect(connect)) = kind_of(&mut now)
        && connect.local.is_none()
    {
        connect.listener = heard.map(listener);
    }
    if says_content(&now) {
        set_content(&mut now, content);
    }
    digest::of(&now)
}

/// The operation, its content not known yet.
pub fn operation(attempted: &Attempted, facts: &Facts, exec: ExecFacts) -> v1::Operation {
    let kind = match attempted {
        Attempted::Exec { file, path, .. } => v1::operation::Kind::Exec(v1::Exec {
            path: path.clone(),
            file: Some(v1::FileIdentity {
                device: file.device,
                inode: file.inode,
                generation: file.generation,
                ctime_ns: file
                    .ctime_sec
                    .saturating_mul(1_000_000_000)
                    .saturating_add(file.ctime_nsec.into()),
                size: file.size,
            }),
            argv: exec.argv,
            environment_sha256: exec.environment_sha256.to_vec(),
            path_is_hosts: exec.path_is_hosts,
            content_sha256: Vec::new(),
            environment: exec.environment.into_iter().map(variable).collect(),
        }),
        Attempted::Connect(to) => v1::operation::Kind::Connect(v1::Connect {
            listener: facts.listener.as_ref().map(listener),
            ..connect(to)
        }),
        Attempted::Local { peer, name } => v1::operation::Kind::Connect(v1::Connect {
            listener: facts.listener.as_ref().map(listener),
            ..local(peer, name, facts.name_is_hosts)
        }),
    };
    v1::Operation { kind: Some(kind) }
}

/// A connection to `to`.
pub(crate) fn connect(to: &Destination) -> v1::Connect {
    v1::Connect {
        address: match to.address {
            std::net::IpAddr::V4(address) => address.octets().to_vec(),
            std::net::IpAddr::V6(address) => address.octets().to_vec(),
        },
        port: to.port.into(),
        protocol: to.protocol.into(),
        network_namespace: to.netns,
        scope_id: to.scope_id,
        ..v1::Connect::default()
    }
}

/// A connection to the local socket `peer`, which is bound to `name`.
pub(crate) fn local(peer: &LocalPeer, name: &[u8], name_is_hosts: bool) -> v1::Connect {
    v1::Connect {
        network_namespace: peer.netns,
        local: Some(v1::LocalSocket {
            name: name.to_vec(),
            name_is_hosts,
            socket_type: peer.socket_type,
            uid: peer.uid,
        }),
        ..v1::Connect::default()
    }
}

fn listener(listener: &Listener) -> v1::Listener {
    v1::Listener {
        pid: listener.pid,
        uid: listener.uid,
        executable: listener.executable.clone(),
        executable_is_hosts: listener.executable_is_hosts,
    }
}

/// A process.
pub fn process(facts: &ProcessFacts) -> v1::Process {
    v1::Process {
        pid: facts.pid,
        tid: facts.tid,
        start_time_ns: facts.start_ns,
        uid: facts.uid,
        gid: facts.gid,
        executable: facts.executable.clone(),
        cwd: facts.cwd.clone(),
        argv: facts.argv.clone(),
        argv_cut: facts.argv_cut,
    }
}

/// A wall-clock time.
pub fn timestamp(since_epoch: Duration) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX),
        // Below a second, so it fits.
        nanos: since_epoch.subsec_nanos().cast_signed(),
    }
}
