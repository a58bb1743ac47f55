//! The directory that holds the CA, the keys and the database.
//!
//! Whoever can write here can decide for everybody, so it must belong to the
//! service alone: it is made with mode 0700, one that others can write to or that
//! another user owns is refused, and no secret is ever in a file with a wider mode, not even for the
//! moment of its making. Several commands may come first at once; they take
//! turns by a lock on the directory.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

/// Mode of files only the service may read.
pub(crate) const PRIVATE: u32 = 0o600;
/// Mode of files everybody may read.
pub(crate) const PUBLIC: u32 = 0o644;

const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The state directory, known to exist and to be safe.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
}

/// Why the state directory or a file in it can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// It can't be made, read or written.
    #[error(
        "cannot {action} {}; check `state_dir` and that this user may write there", path.display()
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others may write to it.
    #[error(
        "the state directory {} can be written by others (mode {mode:04o}); \
         run: chmod 700 {}", path.display(), path.display()
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is another user's.
    #[error(
        "the state directory {} belongs to the user with uid {owner}, and this process has uid \
         {user}; run it as that user, or run: chown -R {user} {}", path.display(), path.display()
    )]
    Owner {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// A second `serve`.
    #[error("another holdpoint-approver already serves from {}; stop it first", .0.display())]
    Served(PathBuf),
}

/// The right to serve from a state directory, given back when dropped. Closing the
/// file alone would not do: a child that is being started by another thread holds
/// a copy of it for a moment, and with it the lock.
#[derive(Debug)]
pub(crate) struct Claim(File);

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "cannot give the state directory back");
        }
    }
}

impl StateDir {
    /// Opens `path`, making it if it doesn't exist.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let io = |action| {
            move |source| StateDirError::Io {
                action,
                path: path.to_owned(),
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(io("make the state directory"))?;
        let metadata = fs::metadata(path).map_err(io("read the state directory"))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & WRITABLE_BY_OTHERS != 0 {
            return Err(StateDirError::Open {
                path: path.to_owned(),
                mode,
            });
        }
        let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
        if !may_use(owner, user) {
            return Err(StateDirError::Owner {
                path: path.to_owned(),
                owner,
                user,
            });
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// The path of `name` in the directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Waits until no other process makes files here; until the guard is gone
    /// none will. Blocks its thread.
    pub(crate) fn lock(&self) -> Result<File, StateDirError> {
        let lock = || {
            let directory = File::open(&self.path)?;
            directory.lock()?;
            Ok(directory)
        };
        lock().map_err(|source| self.io("lock", "", source))
    }

    /// Makes this process the only one that serves from here.
    pub(crate) fn claim(&self) -> Result<Claim, StateDirError> {
        const NAME: &str = "serve.lock";
        self.ensure_private(NAME)?;
        let open = || OpenOptions::new().write(true).open(self.file(NAME));
        let file = open().map_err(|source| self.io("open", NAME, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Claim(file)),
            Err(TryLockError::WouldBlock) => Err(StateDirError::Served(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(self.io("lock", NAME, source)),
        }
    }

    /// The content of `name`, none if there is no such file.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, StateDirError> {
        match fs::read_to_string(self.file(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io("read", name, source)),
        }
    }

    /// Writes `name` whole or not at all, durably. Call it under [`lock`](Self::lock).
    pub(crate) fn write(&self, name: &str, mode: u32, text: &str) -> Result<(), StateDirError> {
        let temporary = self.file(&format!(".{name}.new"));
        let write = || {
            // What a crash left behind would keep its old mode.
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(PRIVATE)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.set_permissions(Permissions::from_mode(mode))?;
            self.give_to_owner(&file)?;
            file.sync_all()?;
            fs::rename(&temporary, self.file(name))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| self.io("write", name, source))
    }

    /// Makes `name` an empty private file unless it exists.
    pub(crate) fn ensure_private(&self, name: &str) -> Result<(), StateDirError> {
        let path = self.file(name);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(path)
        {
            Ok(file) => self.give_to_owner(&file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
        .map_err(|source| self.io("make", name, source))
    }

    /// Files made by root in the directory of the service's user belong to that
    /// user, or the service could not read them.
    fn give_to_owner(&self, file: &File) -> io::Result<()> {
        let (made, directory) = (file.metadata()?, fs::metadata(&self.path)?);
        if made.uid() != 0 || directory.uid() == 0 {
            return Ok(());
        }
        std::os::unix::fs::fchown(file, Some(directory.uid()), Some(directory.gid()))
    }

    fn io(&self, action: &'static str, name: &str, source: io::Error) -> StateDirError {
        StateDirError::Io {
            action,
            path: self.file(name),
            source,
        }
    }
}

/// Whether a process of `user` may keep secrets in a directory of `owner`, who can
/// replace what is in it. Root can read everything anyway, and acts for the
/// service's user.
fn may_use(owner: u32, user: u32) -> bool {
    owner == user || user == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn everything_is_made_tight() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/b");
        let directory = StateDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        directory.write("key", PRIVATE, "secret").unwrap();
        directory.write("cert", PUBLIC, "public").unwrap();
        directory.ensure_private("db").unwrap();
        assert_eq!(mode(&directory.file("key")), 0o600);
        assert_eq!(mode(&directory.file("cert")), 0o644);
        assert_eq!(mode(&directory.file("db")), 0o600);
        assert_eq!(directory.read("key").unwrap().as_deref(), Some("secret"));
        assert_eq!(directory.read("nothing").unwrap(), None);
    }

    #[test]
    fn a_directory_others_can_write_to_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        fs::set_permissions(outer.path(), Permissions::from_mode(0o777)).unwrap();
        let error = StateDir::open(outer.path()).unwrap_err();
        assert!(
            error.to_string().contains("(mode 0777); run: chmod 700"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        assert!(may_use(1000, 1000) && may_use(1000, 0));
        assert!(!may_use(1000, 1001) && !may_use(0, 1000));
        let user = rustix::process::geteuid().as_raw();
        // Root's, and written to by nobody else.
        let opened = StateDir::open(Path::new("/usr"));
        match opened {
            Ok(_) => assert_eq!(user, 0),
            Err(error) => assert!(
                matches!(error, StateDirError::Owner { owner: 0, .. }),
                "{error}"
            ),
        }
    }

    #[test]
    fn a_path_that_cannot_be_a_directory_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = StateDir::open(&file.path().join("x")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("cannot make the state directory"),
            "{error}"
        );
    }

    #[test]
    fn only_one_can_serve() {
        let outer = tempfile::tempdir().unwrap();
        let directory = StateDir::open(outer.path()).unwrap();
        let first = directory.claim().unwrap();
        assert!(matches!(directory.claim(), Err(StateDirError::Served(_))));
        drop(first);
        directory.claim().unwrap();
    }
}
