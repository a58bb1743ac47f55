//! The canonical digest of a request: what a person approved, as 32 bytes.
//!
//! Must never depend on the wire encoding, on display text, or on anything that
//! differs between two looks at the same stopped operation. Every field is
//! written with its length, so no two different contexts share an encoding.

use sha2::{Digest as _, Sha256};

use crate::v1::{Operation, Process, RequestContext, operation::Kind};

/// Domain separation and version of the encoding.
const DOMAIN: &[u8] = b"holdpoint/request/v1";

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
        }
    }
    encoder.0.finalize().into()
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

    fn operation(&mut self, operation: Option<&Operation>) {
        match operation.and_then(|operation| operation.kind.as_ref()) {
            None => self.number(0),
            Some(Kind::Exec(exec)) => {
                self.number(1);
                self.bytes(&exec.path);
                self.number(exec.path_is_hosts.into());
                let file = exec.file.unwrap_or_default();
                self.number(file.device.into());
                self.number(file.inode);
                self.number(file.generation.into());
                self.number(file.ctime_ns.cast_unsigned());
                self.number(file.size);
                self.list(&exec.argv);
                self.bytes(&exec.environment_sha256);
            }
            Some(Kind::Connect(connect)) => {
                self.number(2);
                self.bytes(&connect.address);
                self.number(connect.port.into());
                self.number(connect.protocol.into());
                self.number(connect.network_namespace.into());
                self.number(connect.scope_id.into());
            }
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
        assert_eq!(
            digest[..4],
            of(&exec(vec![b"curl".to_vec()]))[..4],
            "equal input, equal digest"
        );
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
