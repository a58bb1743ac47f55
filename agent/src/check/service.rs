//! What the daemon needs beside the machine: a configuration, policies, an
//! identity, an approver that answers. And whether it runs.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, SystemTime},
};

use holdpoint_proto::control::{Answer, Call, MAX_LINE, Status};

use super::Finding;
use crate::{
    config::{Config, ConfigError},
    identity::Identity,
    link,
};

/// Longest wait for the daemon or the approver.
const PATIENCE: Duration = Duration::from_secs(10);

/// A certificate that ends so soon is worth a word.
const SOON: Duration = Duration::from_hours(24 * 14);

/// Looks at everything that the configuration at `path` names.
pub(super) async fn look(path: &Path) -> Vec<Finding> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => return vec![unusable(&error)],
    };
    let mut findings = vec![Finding::good("configuration", path.display().to_string())];
    findings.push(profiles(&config));
    findings.extend(approver(&config.state_dir).await);
    let socket = config.control_socket.clone();
    let status = tokio::task::spawn_blocking(move || ask_daemon(&socket)).await;
    findings.push(daemon(
        status.unwrap_or_else(|error| Err(error.to_string())),
    ));
    findings
}

fn unusable(error: &ConfigError) -> Finding {
    let mend = match error {
        ConfigError::Read { .. } => {
            "install the package's /etc/holdpoint/holdpointd.toml, or name another with --config"
        }
        _ => "correct it, then: holdpointd config check",
    };
    Finding::lacking("configuration", link::causes(error), mend)
}

fn profiles(config: &Config) -> Finding {
    const NAME: &str = "profiles";
    match config.profiles() {
        Ok(profiles) if profiles.is_empty() => Finding::doubtful(
            NAME,
            "there are none, so nobody can begin a session",
            "add a [profiles.NAME] table to the configuration",
        ),
        Ok(profiles) => {
            let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
            Finding::good(NAME, names.join(", "))
        }
        Err(error) => Finding::lacking(
            NAME,
            link::causes(&error),
            "correct the policy, then: holdpointd policy check FILE",
        ),
    }
}

async fn approver(state_dir: &Path) -> Vec<Finding> {
    const NAME: &str = "approver";
    let identity = match Identity::load(state_dir) {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            return vec![Finding::lacking(
                NAME,
                "this host is not enrolled, so nobody could let anything go on",
                "holdpoint-approver token create (there), then: holdpointd enrol TOKEN (here)",
            )];
        }
        Err(error) => {
            return vec![Finding::lacking(
                NAME,
                link::causes(&error),
                "run this as root; if it is damaged: holdpointd enrol TOKEN",
            )];
        }
    };
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let certificate = match identity.certificate_lifetime() {
        Ok(lifetime) => certificate(lifetime, now),
        Err(error) => Finding::lacking(
            "certificate",
            error.to_string(),
            "enrol this host again: holdpointd enrol TOKEN",
        ),
    };
    let reached = tokio::time::timeout(PATIENCE, link::connect(&identity)).await;
    let reachable = match reached {
        Ok(Ok(_)) => Finding::good(NAME, format!("{} answers", identity.approver)),
        Ok(Err(error)) => unreachable(&identity.approver, &link::causes(&error)),
        Err(_) => unreachable(&identity.approver, "it does not answer"),
    };
    vec![certificate, reachable]
}

fn unreachable(address: &str, why: &str) -> Finding {
    Finding::lacking(
        "approver",
        format!("{address} cannot be used: {why}"),
        "see that it runs, that its name and port can be reached from here, and that both clocks \
         are right",
    )
}

/// From when to when a certificate is valid, seconds since the epoch.
fn certificate((from, until): (i64, i64), now: Duration) -> Finding {
    const NAME: &str = "certificate";
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let soon = i64::try_from(SOON.as_secs()).unwrap_or(i64::MAX);
    let days = (until - now) / 86_400;
    if now < from {
        Finding::lacking(
            NAME,
            "the certificate of this host is not valid yet",
            "set the clock: timedatectl set-ntp true",
        )
    } else if now >= until {
        Finding::lacking(
            NAME,
            "the certificate of this host is not valid any more",
            "enrol this host again: holdpointd enrol TOKEN",
        )
    } else if until - now < soon {
        Finding::doubtful(
            NAME,
            format!("the certificate of this host is valid for {days} more days"),
            "enrol this host again before: holdpointd enrol TOKEN",
        )
    } else {
        Finding::good(NAME, format!("valid for {days} more days"))
    }
}

fn ask_daemon(socket: &Path) -> Result<Status, String> {
    let said = || -> std::io::Result<Answer> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut call = serde_json::to_vec(&Call::Status)?;
        call.push(b'\n');
        stream.write_all(&call)?;
        let mut line = String::new();
        // A status with very many sessions is longer than a call may be.
        BufReader::new(stream.take(64 * MAX_LINE as u64)).read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    };
    match said() {
        Ok(Answer::Status(status)) => Ok(*status),
        Ok(other) => Err(format!("it answers something else: {other:?}")),
        Err(error) => Err(format!("{}: {error}", socket.display())),
    }
}

fn daemon(status: Result<Status, String>) -> Finding {
    const NAME: &str = "daemon";
    match status {
        Err(error) => Finding::doubtful(
            NAME,
            format!("it does not run ({error})"),
            "systemctl enable --now holdpointd",
        ),
        Ok(Status {
            enforcing: true,
            version,
            ..
        }) => Finding::good(NAME, format!("version {version} runs and enforces")),
        Ok(status) => Finding::lacking(
            NAME,
            format!(
                "it runs and does not enforce: {}",
                status.not_enforcing_because.unwrap_or_default()
            ),
            "mend what is lacking above; it tries again every minute",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    const DAY: i64 = 86_400;

    #[test]
    fn a_certificate_is_judged_by_the_clock() {
        let at = |day: i64| {
            let now = Duration::from_secs((day * DAY).unsigned_abs());
            certificate((10 * DAY, 100 * DAY), now).outcome
        };
        assert_eq!(at(9), Outcome::Lacking);
        assert_eq!(at(10), Outcome::Good);
        assert_eq!(at(86), Outcome::Good);
        assert_eq!(at(87), Outcome::Doubtful);
        assert_eq!(at(100), Outcome::Lacking);
    }

    #[tokio::test]
    async fn a_host_that_was_never_set_up_is_told_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("holdpointd.toml");
        let missing = look(&path).await;
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].outcome, Outcome::Lacking);

        let state = place.path().join("state");
        let socket = place.path().join("socket");
        let text = format!("state_dir = {state:?}\ncontrol_socket = {socket:?}\n");
        std::fs::write(&path, text).unwrap();
        let findings = look(&path).await;
        let outcomes: Vec<_> = findings
            .iter()
            .map(|finding| (finding.name, finding.outcome))
            .collect();
        assert_eq!(
            outcomes,
            [
                ("configuration", Outcome::Good),
                ("profiles", Outcome::Doubtful),
                ("approver", Outcome::Lacking),
                ("daemon", Outcome::Doubtful),
            ]
        );
        assert!(
            findings[2]
                .mend
                .as_deref()
                .unwrap()
                .contains("holdpointd enrol")
        );
    }

    #[test]
    fn a_daemon_that_does_not_enforce_is_a_lack() {
        let status = |enforcing| Status {
            version: "1".to_owned(),
            kernel_release: "6".to_owned(),
            enforcing,
            not_enforcing_because: (!enforcing).then(|| "the canary sang".to_owned()),
            approver: holdpoint_proto::control::ApproverStatus {
                address: None,
                connected: false,
                error: None,
            },
            sessions: Vec::new(),
            held: 0,
            events: None,
        };
        assert_eq!(daemon(Ok(status(true))).outcome, Outcome::Good);
        let finding = daemon(Ok(status(false)));
        assert_eq!(finding.outcome, Outcome::Lacking);
        assert!(finding.found.contains("the canary sang"));
    }
}
