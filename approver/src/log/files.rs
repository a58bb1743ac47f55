//! The log's files: each written whole, durably, once.

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use holdpoint_evidence::Resource;

use crate::state_dir::{PRIVATE, StateDir};

/// The log's directory in the state directory.
const DIRECTORY: &str = "log";
const CHECKPOINT: &str = "checkpoint";
/// What is being written. There is one writer.
const TEMPORARY: &str = ".new";

/// The directory of the log.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// Directories whose names are on disk, as this process knows: whether a
    /// crash before it let one reach the disk nobody does.
    durable: Arc<Mutex<HashSet<PathBuf>>>,
}

/// Why a file of the log can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It can't be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A final file is there, with other content than it must have.
    #[error(
        "{} is not what the records make it: the log's files or the database were changed; \
         restore the state directory from a backup", .0.display()
    )]
    Differs(PathBuf),
}

impl Files {
    /// The log's files in `directory`; the directory is made if there is none.
    pub(super) fn open(directory: &StateDir) -> Result<Self, FilesError> {
        let files = Self {
            root: directory.file(DIRECTORY),
            durable: Arc::default(),
        };
        let made = make_directory(&files.root);
        made.map_err(|source| io("make", &files.root, source))?;
        Ok(files)
    }

    /// The path of `resource`.
    pub(super) fn path(&self, resource: Resource) -> PathBuf {
        // Its text names nothing outside: see `Resource`.
        self.root.join(resource.to_string())
    }

    /// The bytes of `resource`, none if it is not there.
    pub(super) fn read(&self, resource: Resource) -> Result<Option<Vec<u8>>, FilesError> {
        read_path(&self.path(resource))
    }

    /// The newest checkpoint, none before the first.
    pub(super) fn checkpoint(&self) -> Result<Option<Vec<u8>>, FilesError> {
        read_path(&self.root.join(CHECKPOINT))
    }

    /// Replaces the checkpoint.
    pub(super) fn set_checkpoint(&self, checkpoint: &str) -> Result<(), FilesError> {
        let path = self.root.join(CHECKPOINT);
        let written = self.replace(&path, checkpoint.as_bytes());
        written.map_err(|source| io("write", &path, source))
    }

    /// Writes `resource`, which is final. A file that is there already must be
    /// the same: a crash may have come between it and its checkpoint.
    pub(super) fn write_once(&self, resource: Resource, bytes: &[u8]) -> Result<(), FilesError> {
        let path = self.path(resource);
        match read_path(&path)? {
            Some(found) if found == bytes => Ok(()),
            Some(_) => Err(FilesError::Differs(path)),
            None => {
                let written = path
                    .parent()
                    .map_or(Ok(()), |directory| self.make_durable(directory))
                    .and_then(|()| self.replace(&path, bytes));
                written.map_err(|source| io("write", &path, source))
            }
        }
    }

    /// Makes a directory under the root and those between, and brings all their
    /// names to disk.
    fn make_durable(&self, directory: &Path) -> io::Result<()> {
        if directory == self.root || self.durable().contains(directory) {
            return Ok(());
        }
        if let Some(parent) = directory.parent() {
            self.make_durable(parent)?;
        }
        make_directory(directory)?;
        self.durable().insert(directory.to_owned());
        Ok(())
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        // A set is whole whatever happened elsewhere.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.root.join(TEMPORARY);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(PRIVATE)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), sync)
    }
}

fn read_path(path: &Path) -> Result<Option<Vec<u8>>, FilesError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io("read", path, source)),
    }
}

/// Makes a directory, if it is not there, and brings its name to disk.
fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => path.parent().map_or(Ok(()), sync),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn io(action: &'static str, path: &Path, source: io::Error) -> FilesError {
    FilesError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_final_file_is_written_once_and_private() {
        let outer = tempfile::tempdir().unwrap();
        let files = Files::open(&StateDir::open(outer.path()).unwrap()).unwrap();
        let resource: Resource = "tile/0/x001/067".parse().unwrap();
        assert_eq!(files.read(resource).unwrap(), None);
        files.write_once(resource, b"a").unwrap();
        files.write_once(resource, b"a").unwrap();
        let error = files.write_once(resource, b"b").unwrap_err();
        assert!(matches!(error, FilesError::Differs(_)), "{error}");
        assert_eq!(files.read(resource).unwrap().as_deref(), Some(&b"a"[..]));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let path = files.path(resource);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&files.root), 0o700);

        files.set_checkpoint("one").unwrap();
        files.set_checkpoint("two").unwrap();
        assert_eq!(files.checkpoint().unwrap().as_deref(), Some(&b"two"[..]));
        assert!(!files.root.join(TEMPORARY).exists());
    }

    #[test]
    fn a_directory_is_brought_to_disk_also_if_it_was_there() {
        let outer = tempfile::tempdir().unwrap();
        let files = Files::open(&StateDir::open(outer.path()).unwrap()).unwrap();
        // Made by a process that was killed before it could sync.
        let there = files.root.join("tile/0");
        fs::create_dir_all(&there).unwrap();
        assert!(files.durable().is_empty());
        files
            .write_once("tile/0/x001/067".parse().unwrap(), b"a")
            .unwrap();
        for made in ["tile", "tile/0", "tile/0/x001"] {
            assert!(files.durable().contains(&files.root.join(made)), "{made}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let outer = tempfile::tempdir().unwrap();
        let files = Files::open(&StateDir::open(outer.path()).unwrap()).unwrap();
        fs::write(files.root.join("tile"), "").unwrap();
        let error = files.write_once("tile/0/000".parse().unwrap(), b"a");
        let error = error.unwrap_err().to_string();
        assert!(error.contains("log/tile/0/000"), "{error}");
    }
}
