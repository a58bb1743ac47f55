//! Startup files: what others run or read later, and so would run for a session
//! that changed them.
//!
//! Two lists: the host's own, by what is there, and those of each home, by name,
//! whether they are there or not. What a person or a program starts from other
//! places (hooks of a repository, a build's files) is not among them.

use std::path::{Path, PathBuf};

use holdpoint_agent_common::StartupName;

/// Of the host: schedules, units, what shells and logins read, what the loader and
/// the kernel's helpers read, who may become whom.
pub(super) const OF_THE_HOST: [&str; 43] = [
    "/boot",
    "/etc/at.allow",
    "/etc/bash.bashrc",
    "/etc/binfmt.d",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/cron.monthly",
    "/etc/cron.weekly",
    "/etc/crontab",
    "/etc/environment",
    "/etc/group",
    "/etc/init.d",
    "/etc/kernel",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/modprobe.d",
    "/etc/modules-load.d",
    "/etc/network",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/rc.local",
    "/etc/request-key.conf",
    "/etc/request-key.d",
    "/etc/security",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/sysctl.d",
    "/etc/systemd",
    "/etc/tmpfiles.d",
    "/etc/udev",
    "/etc/xdg/autostart",
    "/etc/zsh",
    "/usr/lib/systemd",
    "/usr/lib/udev",
    "/var/spool/at",
    "/var/spool/cron",
];

/// Of a home, from there.
const OF_A_HOME: [&str; 31] = [
    ".bash_aliases",
    ".bash_login",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".config/autostart",
    ".config/environment.d",
    ".config/fish",
    ".config/plasma-workspace",
    ".config/systemd",
    ".cshrc",
    ".forward",
    ".kshrc",
    ".local/share/dbus-1",
    ".local/share/systemd",
    ".login",
    ".pam_environment",
    ".profile",
    ".ssh/authorized_keys",
    ".ssh/authorized_keys2",
    ".ssh/config",
    ".ssh/environment",
    ".ssh/rc",
    ".tcshrc",
    ".xinitrc",
    ".xprofile",
    ".xsession",
    ".xsessionrc",
    ".zlogin",
    ".zprofile",
    ".zshenv",
];

/// Of a home, as the kernel compares them.
pub(super) fn names() -> impl Iterator<Item = StartupName> {
    OF_A_HOME
        .into_iter()
        .chain([".zshrc"])
        .filter_map(StartupName::new)
}

/// Homes of people and of root, by the local list of accounts. `/` and what is no
/// folder are none.
pub(super) fn homes(accounts: &str) -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> = accounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':').skip(2);
            let uid: u32 = fields.next()?.parse().ok()?;
            let home = Path::new(fields.nth(2)?);
            let person = uid == 0 || (1000..65_534).contains(&uid);
            (person && home.is_absolute() && home != Path::new("/")).then(|| home.to_owned())
        })
        .collect();
    homes.sort();
    homes.dedup();
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_fits() {
        assert_eq!(names().count(), OF_A_HOME.len() + 1);
    }

    #[test]
    fn people_and_root_have_homes() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n\
                        daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                        ada:x:1000:1000:,,,:/home/ada:/bin/bash\n\
                        odd:x:1001:1001::/:/bin/bash\n\
                        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
                        broken\n";
        let expected = [Path::new("/home/ada"), Path::new("/root")];
        assert_eq!(homes(accounts), expected);
    }
}
