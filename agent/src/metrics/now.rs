//! What is so at a moment, as text for Prometheus.
//!
//! Pure. A profile or policy that is gone is gone from the next page, too.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use crate::{events::spool::Fill, kernel::Losses};

/// Stands for the profile of sessions whose own is not configured any more. No
/// profile can be called so.
const GONE: &str = "(gone)";

/// What is so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    /// The last canary was refused.
    pub(crate) enforcing: bool,
    /// When a canary was last refused.
    pub(crate) proved: Option<SystemTime>,
    /// The stream to the approver is up.
    pub(crate) link_up: bool,
    /// Operations that wait in the kernel.
    pub(crate) holds: usize,
    /// Those that people are asked about.
    pub(crate) requests: usize,
    /// Grants that are honoured.
    pub(crate) grants: usize,
    /// Configured profiles.
    pub(crate) profiles: BTreeMap<String, Profile>,
    /// Sessions of profiles that are not configured any more.
    pub(crate) orphans: usize,
    /// How the spool is doing.
    pub(crate) spool: Fill,
    /// What the kernel could not tell, since the daemon started.
    pub(crate) untold: Losses,
}

/// A configured profile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile {
    /// Sessions that run under it.
    pub(crate) sessions: usize,
    /// SHA-256 of its policy.
    pub(crate) policy: [u8; 32],
}

impl Profile {
    /// Without sessions.
    pub(crate) fn under(policy: [u8; 32]) -> Self {
        Self {
            sessions: 0,
            policy,
        }
    }
}

impl Now {
    /// Appends it to `text`.
    pub(super) fn render(&self, text: &mut String) {
        self.gate(text);
        self.work(text);
        self.profiles(text);
        self.events(text);
    }

    fn gate(&self, text: &mut String) {
        family(
            text,
            "enforcing",
            GAUGE,
            "Whether the kernel refused the last canary.",
            [("", u64::from(self.enforcing))],
        );
        family(
            text,
            "canary_last_success_timestamp_seconds",
            GAUGE,
            "When the kernel last refused a canary, seconds since the epoch; 0 if it never did.",
            [("", self.proved.map_or(0, seconds))],
        );
        family(
            text,
            "link_up",
            GAUGE,
            "Whether the stream to the approver is up.",
            [("", u64::from(self.link_up))],
        );
    }

    fn work(&self, text: &mut String) {
        for (name, help, value) in [
            (
                "holds_waiting",
                "Operations that wait in the kernel.",
                self.holds,
            ),
            (
                "requests_open",
                "Holds that people are asked about.",
                self.requests,
            ),
            (
                "grants_active",
                "Grants that this host honours.",
                self.grants,
            ),
        ] {
            family(text, name, GAUGE, help, [("", value as u64)]);
        }
    }

    fn profiles(&self, text: &mut String) {
        let label = |name: &str| format!("{{profile=\"{name}\"}}");
        let sessions: Vec<(String, u64)> = self
            .profiles
            .iter()
            .map(|(name, profile)| (label(name), profile.sessions as u64))
            .chain([(label(GONE), self.orphans as u64)])
            .collect();
        family(
            text,
            "sessions",
            GAUGE,
            "Sessions, by profile; (gone) is for profiles that are not configured any more.",
            sessions.iter().map(|(label, value)| (&**label, *value)),
        );
        let policies: Vec<String> = self
            .profiles
            .iter()
            .map(|(name, profile)| {
                let digest = hexadecimal(&profile.policy);
                format!("{{profile=\"{name}\",sha256=\"{digest}\"}}")
            })
            .collect();
        family(
            text,
            "policy_info",
            GAUGE,
            "The policy in force for each profile, by its digest; always 1.",
            policies.iter().map(|labels| (&**labels, 1)),
        );
    }

    fn events(&self, text: &mut String) {
        let Fill {
            bytes,
            max_bytes,
            last,
            acknowledged,
            lost,
            ..
        } = self.spool;
        family(
            text,
            "events_written_total",
            COUNTER,
            "Events written to the spool, since it began.",
            [("", last)],
        );
        family(
            text,
            "events_acknowledged_total",
            COUNTER,
            "Events of the spool that the approver has stored.",
            [("", acknowledged)],
        );
        let Losses { holds, room, rate } = self.untold;
        family(
            text,
            "events_lost_total",
            COUNTER,
            "Events that could not be kept and were, or will be, declared by a gap, by cause.",
            [
                ("{cause=\"spool\"}", lost),
                ("{cause=\"ring-buffer\"}", holds.saturating_add(room)),
                ("{cause=\"rate\"}", rate),
            ],
        );
        family(
            text,
            "spool_bytes",
            GAUGE,
            "Bytes of events on disk.",
            [("", bytes)],
        );
        family(
            text,
            "spool_max_bytes",
            GAUGE,
            "Most bytes of events on disk.",
            [("", max_bytes)],
        );
    }
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

/// Appends samples of one name, each with its labels. Nothing at all without
/// samples.
fn family<'a>(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (&'a str, u64)>,
) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    // Writing to a text cannot fail.
    let _ = writeln!(
        text,
        "# HELP holdpointd_{name} {help}\n# TYPE holdpointd_{name} {kind}"
    );
    for (labels, value) in samples {
        let _ = writeln!(text, "holdpointd_{name}{labels} {value}");
    }
    text.push('\n');
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(now: &Now) -> String {
        let mut text = String::new();
        now.render(&mut text);
        text
    }

    #[test]
    fn all_that_is_so_is_told() {
        let profile = Profile {
            sessions: 2,
            policy: [0xab; 32],
        };
        let text = text(&Now {
            enforcing: true,
            proved: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_900)),
            link_up: true,
            holds: 3,
            requests: 1,
            grants: 4,
            profiles: BTreeMap::from([("coding".to_owned(), profile)]),
            orphans: 5,
            spool: Fill {
                bytes: 6,
                max_bytes: 7,
                last: 9,
                acknowledged: 8,
                lost: 10,
                ..Fill::default()
            },
            untold: Losses {
                holds: 1,
                room: 2,
                rate: 4,
            },
        });
        let digest = "ab".repeat(32);
        for line in [
            "enforcing 1",
            "canary_last_success_timestamp_seconds 1700000000",
            "link_up 1",
            "holds_waiting 3",
            "requests_open 1",
            "grants_active 4",
            "sessions{profile=\"coding\"} 2",
            "sessions{profile=\"(gone)\"} 5",
            &format!("policy_info{{profile=\"coding\",sha256=\"{digest}\"}} 1"),
            "events_written_total 9",
            "events_acknowledged_total 8",
            "events_lost_total{cause=\"spool\"} 10",
            "events_lost_total{cause=\"ring-buffer\"} 3",
            "events_lost_total{cause=\"rate\"} 4",
            "spool_bytes 6",
            "spool_max_bytes 7",
        ] {
            let line = format!("holdpointd_{line}");
            assert!(text.lines().any(|one| one == line), "{line} not in\n{text}");
        }
    }

    #[test]
    fn every_family_is_explained_once_and_before_its_samples() {
        let text = text(&Now::default());
        let mut family = "";
        let mut seen = std::collections::HashSet::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap();
                assert!(seen.insert(family), "{family} twice");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, family);
                let counts = name.ends_with("_total");
                assert_eq!(kind, if counts { "counter" } else { "gauge" }, "{name}");
            } else {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(name, family);
            }
        }
        // Without profiles there is no policy to tell of.
        assert_eq!(seen.len(), 12, "{seen:?}");
        assert!(text.contains("holdpointd_enforcing 0\n"));
    }
}
