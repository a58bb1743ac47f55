//! Local sockets that every program may ask without a rule: the log, and who is who.
//! None of them does anything for the caller but to write a line or to look something
//! up.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use super::Attempt;

/// Paths of the sockets.
const PATHS: [&str; 8] = [
    "/dev/log",
    "/run/nscd/socket",
    "/run/systemd/journal/{dev-log,socket,stdout,syslog}",
    // Users that no file lists.
    "/run/systemd/userdb/*",
    "/var/run/nscd/socket",
    // Accounts, and the check of a password.
    "/var/lib/sss/pipes/nss",
    "/var/lib/sss/pipes/pam",
    "/var/lib/sss/pipes/private/pam",
];

/// Whether `attempt` goes to one of them, as the host has it.
pub(super) fn is(attempt: &Attempt<'_>) -> bool {
    match attempt {
        Attempt::Unix {
            name,
            name_is_hosts: true,
            ..
        } => paths().is_some_and(|paths| paths.is_match_candidate(&Candidate::from_bytes(name))),
        _ => false,
    }
}

/// None if a pattern above is wrong, which a test would tell.
fn paths() -> Option<&'static GlobSet> {
    static PATTERNS: std::sync::OnceLock<Option<GlobSet>> = std::sync::OnceLock::new();
    let build = || {
        let mut set = GlobSetBuilder::new();
        for path in PATHS {
            set.add(
                GlobBuilder::new(path)
                    .literal_separator(true)
                    .build()
                    .ok()?,
            );
        }
        set.build().ok()
    };
    PATTERNS.get_or_init(build).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(name: &[u8], name_is_hosts: bool) -> Attempt<'_> {
        Attempt::Unix {
            name,
            name_is_hosts,
            exe: b"/usr/bin/logger",
            exe_is_hosts: true,
            listener: None,
        }
    }

    #[test]
    fn logs_and_lookups_are_ordinary_and_brokers_are_not() {
        assert!(paths().is_some());
        for name in [
            "/dev/log",
            "/run/systemd/journal/stdout",
            "/run/nscd/socket",
        ] {
            assert!(is(&to(name.as_bytes(), true)), "{name}");
            assert!(!is(&to(name.as_bytes(), false)), "{name} of somebody else");
        }
        for name in [
            "/run/docker.sock",
            "/run/dbus/system_bus_socket",
            "/run/systemd/private",
            "/run/systemd/journal/io.systemd.journal",
        ] {
            assert!(!is(&to(name.as_bytes(), true)), "{name}");
        }
    }
}
