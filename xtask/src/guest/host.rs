//! The guest as a host with people on it: its name, name service and the
//! unprivileged user `agent`. All of it is written over this machine's files,
//! in the guest's memory only.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, chown},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::process::run;

/// The user whose sessions are watched.
pub(crate) const AGENT: &str = "agent";
const NAME: &str = "guest";

pub(crate) fn prepare() -> Result<()> {
    write("/proc/sys/kernel/hostname", NAME)?;
    append(
        "/etc/hosts",
        &format!("127.0.0.1 localhost\n127.0.1.1 {NAME}\n"),
    )?;
    // It may be a link into a folder that is empty here.
    if let Err(error) = fs::remove_file("/etc/resolv.conf")
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error).context("cannot replace /etc/resolv.conf");
    }
    write("/etc/resolv.conf", "nameserver 10.0.2.3\n")?;
    add_agent()
}

fn add_agent() -> Result<()> {
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    if user(&passwd, AGENT).is_some() {
        return Ok(());
    }
    let group = fs::read_to_string("/etc/group").context("cannot read /etc/group")?;
    let id = free_id(&passwd, &group);
    let home = format!("/home/{AGENT}");
    append(
        "/etc/passwd",
        &format!("{AGENT}:x:{id}:{id}:{AGENT}:{home}:/bin/sh\n"),
    )?;
    append("/etc/group", &format!("{AGENT}:x:{id}:\n"))?;
    // Without a password: nobody logs in as it, root becomes it.
    if Path::new("/etc/shadow").exists() {
        append("/etc/shadow", &format!("{AGENT}:*:19000:0:99999:7:::\n"))?;
    }
    if !Path::new(&home).exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&home)
            .with_context(|| format!("cannot make {home}"))?;
        // A filesystem of its own, as homes often have: on the guest's overlay the
        // numbers of files are not unique.
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "home", &home]))?;
        chown(&home, Some(id), Some(id)).with_context(|| format!("cannot give away {home}"))?;
    }
    Ok(())
}

/// The user's line in `/etc/passwd`.
fn user<'a>(passwd: &'a str, name: &str) -> Option<&'a str> {
    passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))
}

/// The first number from 1000 on that neither a user nor a group has.
fn free_id(passwd: &str, group: &str) -> u32 {
    let taken: HashSet<u32> = passwd
        .lines()
        .chain(group.lines())
        .filter_map(|line| line.split(':').nth(2)?.parse().ok())
        .collect();
    (1000..65_000)
        .find(|id| !taken.contains(id))
        .unwrap_or(65_000)
}

fn write(path: &str, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {path}"))
}

fn append(path: &str, content: &str) -> Result<()> {
    let failed = || format!("cannot add to {path}");
    let before = match fs::read(path) {
        Ok(before) => before,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(failed),
    };
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(failed)?;
    if !before.is_empty() && !before.ends_with(b"\n") {
        file.write_all(b"\n").with_context(failed)?;
    }
    file.write_all(content.as_bytes()).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n";

    #[test]
    fn numbers_of_users_and_groups_are_avoided() {
        assert_eq!(free_id(PASSWD, "root:x:0:\nwheel:x:1001:ada\n"), 1002);
        assert_eq!(free_id("", ""), 1000);
    }

    #[test]
    fn users_are_found_by_their_whole_name() {
        assert!(user(PASSWD, "ada").is_some());
        assert!(user(PASSWD, "ad").is_none());
    }
}
