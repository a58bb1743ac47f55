//! Which files are kept from tracked tasks: those by which the daemon, or the
//! approver beside it, would become somebody else's, and startup files.
//!
//! By inode: a name can be had anew. What does not exist is left out, so this is
//! called again at each start.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
};

use holdpoint_agent_common::{InodeKey, LEADS_TO_DAEMON, LEADS_TO_STARTUP, Protection};
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
        all.insert(PathBuf::from("/etc"), Protection::Etc);
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
        let mut inodes: HashMap<InodeKey, u32> = HashMap::new();
        let mut leading: BTreeMap<PathBuf, u32> = BTreeMap::new();
        for (path, protection) in &self.0 {
            if *protection == Protection::Startup && host::magic_of(path) == Some(OVERLAYFS) {
                // Files of different layers may have the same number there, and
                // whoever is not the daemon's enemy must not be hit.
                debug!(path = %path.display(), "not kept: it is on overlayfs");
                continue;
            }
            // Through symbolic links: what counts is the file that is used.
            match process::inode_of(path, true) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    debug!(path = %path.display(), "not there to be protected");
                    continue;
                }
                Err(error) => {
                    warn!(path = %path.display(), %error, "not kept from sessions");
                    continue;
                }
                Ok(key) => {
                    inodes.insert(key, *protection as u32);
                }
            }
            let leads = if is_startup(*protection) {
                LEADS_TO_STARTUP
            } else {
                LEADS_TO_DAEMON
            };
            for above in leading_to(path) {
                *leading.entry(above).or_default() |= leads;
            }
        }
        for (path, leads) in leading {
            match process::inode_of(&path, false) {
                Ok(key) => *inodes.entry(key).or_default() |= leads,
                Err(error) => warn!(path = %path.display(), %error, "its place is not kept"),
            }
        }
        maps.name_startup_files(&startup::names().collect::<Vec<_>>())?;
        maps.protect(&inodes)
    }
}

const fn is_startup(protection: Protection) -> bool {
    matches!(
        protection,
        Protection::Startup | Protection::Home | Protection::Etc
    )
}

/// All that leads to `path`: folders and symbolic links, as it is written and as it
/// is resolved.
fn leading_to(path: &Path) -> BTreeSet<PathBuf> {
    let resolved = path.canonicalize().ok();
    let link = path.is_symlink().then(|| path.to_owned());
    path.ancestors()
        .skip(1)
        .chain(resolved.iter().flat_map(|path| path.ancestors().skip(1)))
        .map(Path::to_owned)
        .chain(link)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_links_lead_to_a_file() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(place.join("real/deep")).unwrap();
        std::fs::write(place.join("real/deep/file"), "").unwrap();
        std::os::unix::fs::symlink("real", place.join("alias")).unwrap();
        let leading = leading_to(&place.join("alias/deep/file"));
        for expected in ["", "alias", "alias/deep", "real", "real/deep"] {
            let expected = place.join(expected);
            let expected = expected.components().as_path();
            assert!(leading.contains(expected), "{}", expected.display());
        }
        assert!(!leading.contains(&place.join("real/deep/file")));
    }
}
