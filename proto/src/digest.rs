//! The canonical digest of a request: what a person approved, as 32 bytes. And
//! the digest of its operation, which is the same whenever the same is attempted.
//!
//! Must never depend on the wire encoding, on display text, or on anything that
//! differs between two looks at the same stopped operation. Every field is
//! written with its length, so no two different contexts share an encoding.

use sha2::{Digest as _, Sha256};

use crate::v1::{
    EnvironmentVariable, FileIdentity, Listener, LocalSocket, Operation, Process, RequestContext,
    operation::Kind,
};

/// Domain separation and version of the encoding.
const DOMAIN: &[u8] = b"holdpoint/request/v3";

/// Domain separation and version of the encoding of [`operation`].
const OPERATION_DOMAIN: &[u8] = b"holdpoint/operation/v1";

/// SHA-256 over the canonical encoding of `context`.
///
/// Covered: the operation with all its fields, the calling process, its session
/// and the rule that asked. Not covered: the ancestry, which can change while
/// the operation waits (a parent may exit).
pub fn of(context: &RequestContext) -> [u8; 32] {
    let mut encoder = Encoder(Sha256::new());
    encoder.bytes(DOMAIN);
    encoder.operation(context.operation.as_ref());
    encoder.process(context.process.as_ref());
    match &context.session {
        None => encoder.number(0),
        Some(session) => {
            encoder.number(1);
            encoder.bytes(session.id.as_bytes());
            encoder.bytes(session.profile.as_bytes());
            encoder.bytes(session.owner.as_bytes());
            encoder.number(session.uid.into());
            encoder.bytes(session.user.as_bytes());
        }
    }
    match &context.rule {
        None => encoder.number(0),
        Some(rule) => {
            encoder.number(1);
            encoder.bytes(rule.name.as_bytes());
            encoder.bytes(rule.justification.as_bytes());
            encoder.number(rule.risk.cast_unsigned().into());
            encoder.number(rule.grants.len() as u64);
            for scope in &rule.grants {
                encoder.number(scope.cast_unsigned().into());
            }
            let max_ttl = rule.max_ttl.unwrap_or_default();
            encoder.number(max_ttl.seconds.cast_unsigned());
            encoder.number(max_ttl.nanos.cast_unsigned().into());
            encoder.bytes(&rule.policy_sha256);
        }
    }
    encoder.0.finalize().into()
}

/// SHA-256 over what makes two attempts the same operation, on any host and in
/// any session: what earlier decisions, flags and grants are found by. None if
/// the context names no operation or process.
///
/// Covered, for an exec: path, content (its file's identity where the content
/// could not be read), all arguments, the variables that are shown, the working
/// directory and the user. For a connect: the destination, the program that listens
/// there where that is known, the program that connects and the user.
pub fn operation(context: &RequestContext) -> Option<[u8; 32]> {
    let kind = context.operation.as_ref()?.kind.as_ref()?;
    let process = context.process.as_ref()?;
    let mut encoder = Encoder(Sha256::new());
    encoder.bytes(OPERATION_DOMAIN);
    encoder.number(process.uid.into());
    match kind {
        Kind::Exec(exec) => {
            encoder.number(1);
            encoder.bytes(&exec.path);
            encoder.bytes(&exec.content_sha256);
            if exec.content_sha256.is_empty() {
                encoder.file(&exec.file.unwrap_or_default());
            }
            encoder.list(&exec.argv);
            encoder.environment(&exec.environment);
            encoder.bytes(&process.cwd);
        }
        Kind::Connect(connect) => {
            encoder.number(2);
            encoder.bytes(&connect.address);
            encoder.number(connect.port.into());
            encoder.number(connect.protocol.into());
            encoder.number(connect.scope_id.into());
            encoder.local(connect.local.as_ref());
            encoder.listener(connect.listener.as_ref());
            encoder.bytes(&process.executable);
        }
    }
    Some(encoder.0.finalize().into())
}

struct Encoder(Sha256);

impl Encoder {
    fn number(&mut self, value: u64) {
        self.0.update(value.to_be_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.0.update(value);
    }

    fn list(&mut self, values: &[Vec<u8>]) {
        self.number(values.len() as u64);
        for value in values {
            self.bytes(value);
        }
    }

    fn file(&mut self, file: &FileIdentity) {
        self.number(file.device.into());
        self.number(file.inode);
        self.number(file.generation.into());
        self.number(file.ctime_ns.cast_unsigned());
        self.number(file.size);
    }

    fn environment(&mut self, environment: &[EnvironmentVariable]) {
        self.number(environment.len() as u64);
        for variable in environment {
            self.bytes(&variable.name);
            self.bytes(&variable.value);
            self.number(variable.redacted.into());
        }
    }

    fn operation(&mut self, operation: Option<&Operation>) {
        match operation.and_then(|operation| operation.kind.as_ref()) {
            None => self.number(0),
            Some(Kind::Exec(exec)) => {
                self.number(1);
                self.bytes(&exec.path);
                self.number(exec.path_is_hosts.into());
                self.file(&exec.file.unwrap_or_default());
                self.list(&exec.argv);
                self.bytes(&exec.environment_sha256);
                self.bytes(&exec.content_sha256);
                self.environment(&exec.environment);
            }
            Some(Kind::Connect(connect)) => {
                self.number(2);
                self.bytes(&connect.address);
                self.number(connect.port.into());
                self.number(connect.protocol.into());
                self.number(connect.network_namespace.into());
                self.number(connect.scope_id.into());
                self.local(connect.local.as_ref());
                self.listener(connect.listener.as_ref());
                if let Some(listener) = &connect.listener {
                    self.number(listener.pid.into());
                }
            }
        }
    }

    fn local(&mut self, local: Option<&LocalSocket>) {
        self.number(local.is_some().into());
        if let Some(local) = local {
            self.bytes(&local.name);
            self.number(local.name_is_hosts.into());
            self.number(local.socket_type.into());
            self.number(local.uid.into());
        }
    }

    /// Without the process id: the same program again is the same listener.
    fn listener(&mut self, listener: Option<&Listener>) {
        self.number(listener.is_some().into());
        if let Some(listener) = listener {
            self.number(listener.uid.into());
            self.bytes(&listener.executable);
            self.number(listener.executable_is_hosts.into());
        }
    }

    fn process(&mut self, process: Option<&Process>) {
        match process {
            None => self.number(0),
            Some(process) => {
                self.number(1);
                self.number(process.pid.into());
                self.number(process.tid.into());
                self.number(process.start_time_ns);
                self.number(process.uid.into());
                self.number(process.gid.into());
                self.bytes(&process.executable);
                self.bytes(&process.cwd);
                self.list(&process.argv);
                self.number(process.argv_cut.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::v1::{Connect, Exec, Rule, Session};

    fn exec(argv: Vec<Vec<u8>>) -> RequestContext {
        RequestContext {
            operation: Some(Operation {
                kind: Some(Kind::Exec(Exec {
                    path: b"/usr/bin/curl".to_vec(),
                    argv,
                    ..Exec::default()
                })),
            }),
            session: Some(Session::default()),
            rule: Some(Rule::default()),
            ..RequestContext::default()
        }
    }

    #[test]
    fn moving_a_boundary_between_arguments_changes_the_digest() {
        let joined = exec(vec![b"ab".to_vec(), b"c".to_vec()]);
        let split = exec(vec![b"a".to_vec(), b"bc".to_vec()]);
        assert_ne!(of(&joined), of(&split));
    }

    #[test]
    fn the_ancestry_takes_no_part() {
        let mut with = exec(vec![b"curl".to_vec()]);
        let without = with.clone();
        with.ancestry.push(Process::default());
        assert_eq!(of(&with), of(&without));
    }

    #[test]
    fn the_encoding_is_stable() {
        // Stored decisions are bound to this encoding: a new one needs a new DOMAIN.
        let digest = of(&exec(vec![b"curl".to_vec()]));
        assert_eq!(digest[..4], [220, 74, 198, 218]);
        let connect = RequestContext {
            operation: Some(Operation {
                kind: Some(Kind::Connect(Connect {
                    address: vec![192, 0, 2, 1],
                    port: 443,
                    protocol: 6,
                    ..Connect::default()
                })),
            }),
            ..RequestContext::default()
        };
        assert_ne!(of(&connect), digest);
    }

    fn file(context: &mut RequestContext) -> &mut Exec {
        match context.operation.as_mut().unwrap().kind.as_mut().unwrap() {
            Kind::Exec(exec) => exec,
            Kind::Connect(_) => panic!("an exec"),
        }
    }

    fn process(context: &mut RequestContext) -> &mut Process {
        context.process.as_mut().unwrap()
    }

    #[test]
    fn the_same_operation_is_known_wherever_it_is_attempted() {
        let attempt = |change: fn(&mut RequestContext)| {
            let mut context = exec(vec![b"curl".to_vec()]);
            context.process = Some(Process::default());
            change(&mut context);
            operation(&context).unwrap()
        };
        let one = attempt(|_| ());
        let same: [fn(&mut RequestContext); 4] = [
            |c| process(c).pid = 7,
            |c| c.session = None,
            |c| c.rule = None,
            |c| file(c).environment_sha256 = vec![7; 32],
        ];
        for change in same {
            assert_eq!(attempt(change), one);
        }
        let other: [fn(&mut RequestContext); 8] = [
            |c| process(c).uid = 7,
            |c| process(c).cwd = b"/".to_vec(),
            |c| file(c).path.push(b'x'),
            |c| file(c).argv.push(Vec::new()),
            |c| file(c).content_sha256 = vec![7; 32],
            |c| {
                file(c).file = Some(FileIdentity {
                    inode: 7,
                    ..FileIdentity::default()
                });
            },
            |c| file(c).environment.push(EnvironmentVariable::default()),
            |c| {
                file(c).content_sha256 = vec![7; 32];
                file(c).argv.push(Vec::new());
            },
        ];
        for change in other {
            assert_ne!(attempt(change), one);
        }
        // Content that was read says more than where it is kept.
        let content = |inode| {
            let mut context = exec(Vec::new());
            context.process = Some(Process::default());
            file(&mut context).content_sha256 = vec![7; 32];
            file(&mut context).file = Some(FileIdentity {
                inode,
                ..FileIdentity::default()
            });
            operation(&context)
        };
        assert_eq!(content(1), content(2));
        assert_eq!(operation(&RequestContext::default()), None);
    }

    proptest! {
        #[test]
        fn different_arguments_never_share_a_digest(
            left in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..5),
            right in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..5),
        ) {
            prop_assert_eq!(left == right, of(&exec(left)) == of(&exec(right)));
        }
    }
}
