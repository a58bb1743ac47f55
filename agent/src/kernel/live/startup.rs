//! Startup files: what others run or read later, and so would run for a session
//! that changed them.
//!
//! Those in /etc and in each home are known by name, whether they are there or not;
//! others of the host by what is there. What a person or a program starts from other
//! places (hooks of a repository, a build's files) is not among them.

use std::path::{Path, PathBuf};

use holdpoint_agent_common::{Protection, StartupKind, StartupName};

/// Of the host outside of /etc: what boots it, units, schedules.
pub(super) const OF_THE_HOST: [&str; 8] = [
    "/boot",
    "/boot/efi",
    "/boot/firmware",
    "/efi",
    "/usr/lib/systemd",
    "/usr/lib/udev",
    "/var/spool/at",
    "/var/spool/cron",
];

/// Of /etc: schedules, units, what shells and logins read, what the loader, the boot
/// loader and the kernel's helpers read, who may become whom.
const OF_ETC: [&str; 48] = [
    "at.allow",
    "at.deny",
    "bash.bashrc",
    "binfmt.d",
    "cron.allow",
    "cron.d",
    "cron.daily",
    "cron.deny",
    "cron.hourly",
    "cron.monthly",
    "cron.weekly",
    "crontab",
    "default/grub",
    "default/grub.d",
    "environment",
    "group",
    "grub.d",
    "init.d",
    "kernel",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld.so.preload",
    "modprobe.d",
    "modules-load.d",
    "network",
    "pam.conf",
    "pam.d",
    "passwd",
    "profile",
    "profile.d",
    "rc.local",
    "request-key.conf",
    "request-key.d",
    "security",
    "shadow",
    "ssh",
    "sudo.conf",
    "sudoers",
    "sudoers.d",
    "sysctl.conf",
    "sysctl.d",
    "systemd",
    "tmpfiles.d",
    "udev",
    "xdg/autostart",
    "xdg/systemd",
    "zsh",
];

/// Of a home, from there.
const OF_A_HOME: [&str; 32] = [
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
    ".zshrc",
];

/// All that are known by name, as the kernel compares them, and what leads to them.
pub(super) fn names() -> impl Iterator<Item = (StartupName, StartupKind)> {
    let home = OF_A_HOME.map(|path| (Protection::Home, path));
    let etc = OF_ETC.map(|path| (Protection::Etc, path));
    home.into_iter().chain(etc).flat_map(|(place, path)| {
        let above = Path::new(path)
            .ancestors()
            .skip(1)
            .filter_map(Path::to_str)
            .filter(|above| !above.is_empty())
            .map(|above| (above, StartupKind::Above));
        std::iter::once((path, StartupKind::Itself))
            .chain(above)
            .filter_map(move |(path, kind)| Some((StartupName::new(place, path)?, kind)))
            .collect::<Vec<_>>()
    })
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
    use holdpoint_agent_common::STARTUP_CAPACITY;

    use super::*;

    #[test]
    fn every_name_fits() {
        let themselves = names().filter(|(_, kind)| *kind == StartupKind::Itself);
        assert_eq!(themselves.count(), OF_A_HOME.len() + OF_ETC.len());
        assert!(names().count() < STARTUP_CAPACITY);
    }

    #[test]
    fn nothing_that_leads_to_a_startup_file_is_one_itself() {
        let all: Vec<_> = names().collect();
        for (name, kind) in &all {
            assert!(
                all.iter()
                    .all(|(other, as_what)| other != name || as_what == kind),
                "{name:?}"
            );
        }
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
