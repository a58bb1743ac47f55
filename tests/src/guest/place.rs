//! A test's own folder, with programs in it that the policy knows by folder.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use super::stack::Stack;
use crate::programs::program;

/// Where all of them are; the policy says so, too.
pub(super) const PLACES: &str = "/run/holdpoint-tests";

/// A folder that belongs to the user of the sessions.
pub struct Place(PathBuf);

impl Place {
    /// A new one; `name` is the test's own.
    pub fn new(name: &str) -> Self {
        let place = Self(Path::new(PLACES).join(name));
        make_folder(&place.0);
        place
    }

    /// The path of `name` in this folder.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().unwrap()
    }

    /// A copy of the program `attack-payload` in `folder`, which decides what the
    /// policy says about it.
    pub fn payload(&self, folder: &str) -> String {
        self.copy("attack-payload", &format!("{folder}/payload"))
    }

    /// A copy of the program `name` at `to`.
    pub fn copy(&self, name: &str, to: &str) -> String {
        let path = self.0.join(to);
        make_folder(path.parent().unwrap());
        fs::copy(program(name), &path).unwrap();
        give_away(&path);
        self.path(to)
    }

    /// A program with this content at `to`.
    pub fn script(&self, to: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(to);
        make_folder(path.parent().unwrap());
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        give_away(&path);
        self.path(to)
    }

    /// Makes `path` a program of root's that runs as root for everybody.
    pub fn set_uid_root(&self, path: &str) {
        assert!(Path::new(path).starts_with(&self.0), "{path}");
        chown(path, Some(0), Some(0)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o4755)).unwrap();
    }

    /// What the payload wrote to `name`, nothing if it never ran.
    pub fn witness(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.0.join(name)).ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It takes memory of the guest; a failure harms no test.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn make_folder(path: &Path) {
    if !path.exists() {
        fs::create_dir(path).unwrap();
        give_away(path);
    }
}

fn give_away(path: &Path) {
    let agent = Stack::agent();
    chown(path, Some(agent.uid.as_raw()), Some(agent.gid.as_raw())).unwrap();
}
