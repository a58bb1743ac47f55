//! Everything about one request, for the person who decides. Nothing is cut.

use std::fmt::Write as _;

use holdpoint_proto::{
    digest,
    v1::{
        Connect, Exec, Grant, GrantScope, Outcome, Process, Request, RequestContext, RequestState,
        Risk, Rule, Verdict, operation::Kind,
    },
};
use jiff::Timestamp;

use super::{grants, json::hex, operation, state, time};
use crate::escape;

/// Deeper processes are not indented further.
const DEEPEST_INDENT: usize = 24;

/// The whole of `request`.
pub(crate) fn show(request: &Request, now: Timestamp) -> String {
    let mut page = Page(String::new());
    page.field("Request", &escape::name(&request.id));
    page.field("State", &standing(request, now));
    page.field(
        "Created",
        &format!(
            "{}, deadline {}",
            time::shown(request.created_at),
            time::shown(request.deadline)
        ),
    );
    page.field(
        "Host",
        &format!(
            "{} ({})",
            escape::name(&request.hostname),
            escape::name(&request.host_id)
        ),
    );
    match &request.context {
        Some(context) => page.context(context),
        None => page.field("Operation", "the approver sent none"),
    }
    page.field("Digest", &hex(&request.digest));
    if !digest_matches(request) {
        page.more("THIS IS NOT THE DIGEST OF WHAT IS SHOWN HERE: do not approve");
    }
    if !request.operation_digest.is_empty() {
        page.field("Operation", &hex(&request.operation_digest));
        page.more("the same whenever the same is attempted; not what you approve");
    }
    if let Some(decision) = &request.decision {
        let verb = match decision.verdict() {
            Verdict::Approve => "approved",
            Verdict::Deny => "denied",
            Verdict::Flag => "flagged",
            Verdict::Unspecified => "decided",
        };
        page.field(
            "Decision",
            &format!(
                "{verb} by {} {}",
                escape::name(&decision.reviewer),
                time::shown(decision.decided_at)
            ),
        );
        page.more(&format!("reason {}", marked(decision.reason.as_bytes())));
        if let Some(grant) = &decision.grant {
            page.grant(grant);
        }
    }
    if let Some(outcome) = outcome(request) {
        page.field("Outcome", outcome);
    }
    if !request.outcome_detail.is_empty() {
        page.more(&format!(
            "detail {}",
            marked(request.outcome_detail.as_bytes())
        ));
    }
    page.0
}

/// Whether the digest is that of the context, as this program sees it.
pub(crate) fn digest_matches(request: &Request) -> bool {
    let context = request.context.as_ref();
    context.is_some_and(|context| digest::of(context)[..] == request.digest)
}

/// Where the request stands, in a few words.
pub(crate) fn standing(request: &Request, now: Timestamp) -> String {
    match (request.state(), time::timestamp(request.deadline)) {
        (RequestState::Pending, Some(deadline)) => {
            format!("pending, {} left", time::span(time::seconds(now, deadline)))
        }
        (RequestState::Expired, _) => "expired: nobody answered in time".to_owned(),
        (RequestState::Flagged, _) => "flagged: refused until the flag is lifted".to_owned(),
        (RequestState::Withdrawn, _) => "withdrawn: the operation waits no longer".to_owned(),
        _ => state(request).to_owned(),
    }
}

fn outcome(request: &Request) -> Option<&'static str> {
    match request.outcome() {
        Outcome::Unspecified => None,
        Outcome::Released => Some("released: the operation went on"),
        Outcome::Refused => Some("refused: the operation never happened"),
        Outcome::Gone => Some("gone: the process was gone before the answer reached it"),
    }
}

/// `bytes` in quotes, with a warning where letters may be others than they seem.
fn marked(bytes: &[u8]) -> String {
    let quoted = escape::quoted(bytes);
    if escape::has_lookalikes(bytes) {
        format!("{quoted}  (not all of it is ASCII)")
    } else {
        quoted
    }
}

struct Page(String);

impl Page {
    const LABEL: usize = 11;

    fn field(&mut self, label: &str, value: &str) {
        self.line(&format!("{label:<width$}{value}", width = Self::LABEL));
    }

    fn more(&mut self, value: &str) {
        self.field("", value);
    }

    fn line(&mut self, line: &str) {
        self.0 += line.trim_end();
        self.0.push('\n');
    }

    fn context(&mut self, context: &RequestContext) {
        if let Some(session) = &context.session {
            self.field(
                "Session",
                &format!(
                    "{}, profile {}, owner {}, started by user {} (uid {})",
                    escape::name(&session.id),
                    escape::name(&session.profile),
                    escape::name(&session.owner),
                    escape::name(&session.user),
                    session.uid
                ),
            );
        }
        if let Some(rule) = &context.rule {
            self.field("Rule", &escape::name(&rule.name));
            if !rule.justification.is_empty() {
                self.more(&marked(rule.justification.as_bytes()));
            }
            self.rule(rule);
        }
        self.line("");
        match context
            .operation
            .as_ref()
            .and_then(|operation| operation.kind.as_ref())
        {
            Some(Kind::Exec(exec)) => self.exec(exec),
            Some(Kind::Connect(connect)) => self.connect(connect),
            None => self.field(
                "Operation",
                "of a kind this version does not know: do not approve",
            ),
        }
        self.line("");
        if let Some(process) = &context.process {
            self.process(process);
        }
        self.tree(context);
        self.line("");
    }

    /// How bad it may be, and what an approval may give.
    fn rule(&mut self, rule: &Rule) {
        let risk = match rule.risk() {
            Risk::Unspecified => None,
            Risk::Low => Some("low"),
            Risk::Medium => Some("medium"),
            Risk::High => Some("high"),
            Risk::Critical => Some("critical"),
        };
        if let Some(risk) = risk {
            self.more(&format!("risk {risk}"));
        }
        let mut scopes = vec!["once"];
        scopes.extend(rule.grants().filter_map(|scope| match scope {
            GrantScope::Process => Some("process"),
            GrantScope::Session => Some("session"),
            GrantScope::Once | GrantScope::Unspecified => None,
        }));
        let most = match &rule.max_ttl {
            Some(ttl) if scopes.len() > 1 => {
                let seconds = u64::try_from(ttl.seconds).unwrap_or(0);
                format!(", at most {}", time::span(seconds))
            }
            _ => String::new(),
        };
        self.more(&format!("may be approved for {}{most}", scopes.join(", ")));
        if !rule.policy_sha256.is_empty() {
            self.more(&format!("policy: SHA-256 {}", hex(&rule.policy_sha256)));
        }
    }

    /// What an approval gave beyond the operation.
    fn grant(&mut self, grant: &Grant) {
        let uses = match grant.max_uses {
            0 => "any number of times".to_owned(),
            most => format!("{most} times"),
        };
        self.more(&format!(
            "for {} until {}, {uses}: grant {}",
            grants::scope(grant),
            time::shown(grant.expires_at),
            escape::name(&grant.id)
        ));
    }

    fn exec(&mut self, exec: &Exec) {
        self.field("Exec", &marked(&exec.path));
        if !exec.path_is_hosts {
            self.more("NOT the host's file at that path: the path proves nothing");
        }
        if let Some(file) = &exec.file {
            let changed = Timestamp::from_nanosecond(file.ctime_ns.into())
                .map_or_else(|_| "at an unknown time".to_owned(), |at| at.to_string());
            self.more(&format!(
                "file: device {}, inode {}, generation {}, {} bytes, changed {changed}",
                operation::device(file),
                file.inode,
                file.generation,
                file.size
            ));
        }
        if exec.content_sha256.is_empty() {
            self.more("content: not read in time; the file is known by the line above alone");
        } else {
            self.more(&format!("content: SHA-256 {}", hex(&exec.content_sha256)));
        }
        self.argv(&exec.argv);
        for variable in &exec.environment {
            let value = if variable.redacted {
                "(redacted)".to_owned()
            } else {
                marked(&variable.value)
            };
            self.more(&format!(
                "environment {}={value}",
                escape::word(&variable.name)
            ));
        }
        self.more(&format!(
            "environment: SHA-256 {}",
            hex(&exec.environment_sha256)
        ));
    }

    fn connect(&mut self, connect: &Connect) {
        self.field("Connect", &operation::destination(connect));
        match &connect.local {
            Some(local) => {
                self.more(&format!(
                    "{}, made by uid {}, network namespace {}",
                    operation::socket_kind(local.socket_type),
                    local.uid,
                    connect.network_namespace
                ));
                if local.name.starts_with(b"/") && !local.name_is_hosts {
                    self.more("the path does not lead to this socket on the host");
                }
            }
            None => self.more(&format!(
                "IP protocol {}, network namespace {}",
                connect.protocol, connect.network_namespace
            )),
        }
        if connect.scope_id != 0 {
            self.more(&format!("through interface {}", connect.scope_id));
        }
        match &connect.listener {
            Some(listener) => {
                self.field("Listener", &marked(&listener.executable));
                self.more(&format!("pid {}, uid {}", listener.pid, listener.uid));
                if !listener.executable_is_hosts {
                    self.more("the path does not lead to this program on the host");
                }
            }
            None if connect.local.is_some() => self.field("Listener", "not known"),
            None => {}
        }
    }

    fn process(&mut self, process: &Process) {
        self.field("Process", &marked(&process.executable));
        self.more(&format!(
            "pid {}, tid {}, uid {}, gid {}, started {} ns after boot",
            process.pid, process.tid, process.uid, process.gid, process.start_time_ns
        ));
        self.more(&format!("cwd {}", marked(&process.cwd)));
        self.argv(&process.argv);
        if process.argv_cut {
            self.more("there were more arguments; the last one may be a part");
        }
    }

    fn argv(&mut self, argv: &[Vec<u8>]) {
        if argv.is_empty() {
            self.more("no arguments, not even a name");
        }
        for (index, argument) in argv.iter().enumerate() {
            self.more(&format!("argv[{index}] {}", marked(argument)));
        }
    }

    /// From the root of the session down to the calling process.
    fn tree(&mut self, context: &RequestContext) {
        if context.ancestry.is_empty() {
            self.field("Ancestry", "none: it is the root of its session");
            return;
        }
        self.field("Ancestry", "from the root of the session");
        let line_up = context.ancestry.iter().rev().chain(&context.process);
        for (depth, process) in line_up.enumerate() {
            let mut line = format!(
                "{:indent$}pid {} uid {} {}",
                "",
                process.pid,
                process.uid,
                marked(&process.executable),
                indent = 2 + 2 * depth.min(DEEPEST_INDENT)
            );
            for argument in &process.argv {
                // Writing to a String can't fail.
                let _ = write!(line, " {}", marked(argument));
            }
            if process.argv_cut {
                line.push_str(" (cut here)");
            }
            self.line(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::samples, *};

    #[test]
    fn golden() {
        let now = samples::now();
        samples::golden("show_exec.txt", &show(&samples::plain_exec(), now));
        samples::golden("show_hostile.txt", &show(&samples::hostile_exec(), now));
        samples::golden("show_connect.txt", &show(&samples::denied_connect(), now));
        samples::golden("show_granted.txt", &show(&samples::granted_exec(), now));
        samples::golden("show_empty.txt", &show(&Request::default(), now));
    }

    #[test]
    fn nothing_is_cut() {
        let mut request = samples::plain_exec();
        let long = vec![b'x'; 100_000];
        let Some(Kind::Exec(exec)) = request
            .context
            .as_mut()
            .and_then(|context| context.operation.as_mut())
            .and_then(|operation| operation.kind.as_mut())
        else {
            panic!("{request:?}")
        };
        exec.argv.push(long.clone());
        let text = show(&request, samples::now());
        assert!(text.contains(std::str::from_utf8(&long).unwrap()));
    }

    #[test]
    fn a_digest_of_something_else_is_said_aloud() {
        let mut request = samples::plain_exec();
        assert!(digest_matches(&request));
        request.digest[0] ^= 1;
        assert!(show(&request, samples::now()).contains("NOT THE DIGEST"));
    }
}
