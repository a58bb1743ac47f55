//! Which files are kept from tracked tasks: those by which the daemon, or the
//! approver beside it, would become somebody else's, and startup files.
//!
//! By inode: a name can be had anew. What does not exist is left out, so this is
//! called again at each start.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use holdpoint_agent_common::{InodeKey, Protection};
use tracing::{debug, warn};

use super::{maps::Maps, startup};
use crate::{check::host, config::Config, kernel::GateError, process};

/// `OVERLAYFS_SUPER_MAGIC`.
const OVERLAYFS: u32 = 0x794c_7630;

/// What the packages install, and what there is of an approver on the same host.
const INSTALLED: [(&str, Protection); 9] = [
    ("/etc/holdpoint", Protection::Write),
    ("/etc/systemd/system/holdpointd.service", Protection::Write),
    (
        "/etc/systemd/system/holdpointd.service.d",
        Protection::Write,
    ),
    (
        "/usr/lib/systemd/system/holdpointd.service",
        Protection::Write,
    ),
    (
        "/usr/lib/systemd/system/holdpoint-approver.service",
        Protection::Write,
    ),
    ("/usr/bin/holdpoint", Protection::Write),
    ("/usr/bin/holdpointd", Protection::Write),
    ("/usr/bin/holdpoint-approver", Protection::Write),
    ("/var/lib/holdpoint-approver", Protection::All),
];

/// Files and folders, each with what is under it.
#[derive(Debug, Default)]
pub struct Protect(BTreeMap<PathBuf, Protection>);

impl Protect {
    /// What belongs to the daemon of the configuration `config`, which is at `path`.
    pub fn of(path: &Path, config: &Config) -> Self {
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let homes = startup::homes(&accounts)
            .into_iter()
            .map(|home| (home, Protection::Home));
        let mut all: BTreeMap<PathBuf, Protection> = startup::OF_THE_HOST
            .into_iter()
            .map(|path| (PathBuf::from(path), Protection::Startup))
            .chain(homes)
            .collect();
        let installed = INSTALLED
            .into_iter()
            .map(|(path, protection)| (PathBuf::from(path), protection));
        all.extend(installed);
        all.insert(path.to_owned(), Protection::Write);
        for profile in config.profiles.values() {
            all.insert(profile.policy.clone(), Protection::Write);
        }
        if let Ok(program) = std::env::current_exe() {
            all.insert(program, Protection::Write);
        }
        if let Some(folder) = config.control_socket.parent() {
            all.insert(folder.to_owned(), Protection::Write);
        }
        all.insert(config.state_dir.clone(), Protection::All);
        Self(all)
    }

    /// Tells the kernel.
    pub(super) fn apply(&self, maps: &Maps) -> Result<(), GateError> {
        let mut inodes = Vec::new();
        for (path, protection) in &self.0 {
            // Through symbolic links: what counts is the file that is used.
            let metadata = match std::fs::metadata(path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    debug!(path = %path.display(), "not there to be protected");
                    continue;
                }
                Err(error) => {
                    warn!(path = %path.display(), %error, "not kept from sessions");
                    continue;
                }
                Ok(metadata) => metadata,
            };
            let Some(device) = process::device_of(path) else {
                warn!(path = %path.display(), "not kept from sessions: its filesystem is unknown");
                continue;
            };
            let startup = matches!(protection, Protection::Startup | Protection::Home);
            if startup && host::magic_of(path) == Some(OVERLAYFS) {
                // Files of different layers may have the same number there, and
                // whoever is not the daemon's enemy must not be hit.
                debug!(path = %path.display(), "not kept: it is on overlayfs");
                continue;
            }
            let key = InodeKey {
                inode: metadata.ino(),
                device,
                padding: 0,
            };
            inodes.push((key, *protection));
        }
        maps.name_startup_files(startup::names())?;
        maps.protect(&inodes)
    }
}
