//! The file of contexts: private to its owner, replaced as a whole.

use std::{
    env,
    fs::{self, DirBuilder, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{Contexts, ContextsError};

const FILE: &str = "contexts.toml";
const LOCK: &str = "contexts.lock";

/// Bits of a mode that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Where contexts are kept.
pub(crate) struct Store {
    directory: PathBuf,
}

impl Store {
    /// In the directory that the environment says.
    pub(crate) fn from_environment() -> Result<Self, ContextsError> {
        let set = |name: &str| {
            let path = PathBuf::from(env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let directory = match env::var_os("HOLDPOINT_CONFIG_DIR") {
            // Named by the person: also a relative path is meant.
            Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
            _ => set("XDG_CONFIG_HOME")
                .or_else(|| set("HOME").map(|home| home.join(".config")))
                .map(|config| config.join("holdpoint")),
        };
        directory
            .map(|directory| Self { directory })
            .ok_or(ContextsError::NoDirectory)
    }

    /// All contexts; none if there is no file yet.
    pub(crate) fn load(&self) -> Result<Contexts, ContextsError> {
        let path = self.directory.join(FILE);
        let read = |source| ContextsError::Read {
            path: path.clone(),
            source,
        };
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Contexts::default());
            }
            other => other.map_err(read)?,
        };
        let mode = file.metadata().map_err(read)?.mode() & 0o7777;
        if mode & OTHERS != 0 {
            return Err(ContextsError::Exposed { path, mode });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(read)?;
        toml::from_str(&text).map_err(|error| ContextsError::Damaged {
            // Not the whole error: it would quote the line, which may hold a token.
            message: error.message().to_owned(),
            path,
        })
    }

    /// Reads, changes and writes in one step: two logins at the same time both
    /// stay.
    pub(crate) fn update<T>(
        &self,
        change: impl FnOnce(&mut Contexts) -> T,
    ) -> Result<T, ContextsError> {
        let write = |path: &Path, source| ContextsError::Write {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(|error| write(&self.directory, error))?;
        let lock = self.directory.join(LOCK);
        let _lock = File::options()
            .create(true)
            .append(true)
            .open(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| write(&lock, error))?;
        let mut contexts = self.load()?;
        let result = change(&mut contexts);
        let path = self.directory.join(FILE);
        self.replace(&path, &contexts)
            .map_err(|error| write(&path, error))?;
        Ok(result)
    }

    fn replace(&self, path: &Path, contexts: &Contexts) -> io::Result<()> {
        let text = toml::to_string(contexts).map_err(io::Error::other)?;
        // Made with mode 0600, and removed again if anything fails.
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // The rename itself must survive a power cut too.
        fs::File::open(&self.directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::{super::*, *};

    fn store(directory: &tempfile::TempDir) -> Store {
        Store {
            directory: directory.path().join("a/b"),
        }
    }

    fn context() -> Context {
        Context {
            approver: "https://localhost:7443".into(),
            username: "ada".into(),
            login: Some(Login {
                token: "secret-token".into(),
                expires_at: Some(Timestamp::UNIX_EPOCH),
            }),
            ca: "-----BEGIN\n\"x\"\n".into(),
        }
    }

    #[test]
    fn what_is_written_is_private_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        assert!(store.load().unwrap().contexts.is_empty());
        for name in ["one", "a.b"] {
            let insert = |all: &mut Contexts| all.contexts.insert(name.into(), context());
            assert!(store.update(insert).unwrap().is_none());
        }
        let loaded = store.load().unwrap();
        assert_eq!(loaded.contexts.len(), 2);
        let login = loaded.get("a.b").unwrap().login.clone().unwrap();
        assert_eq!(login.token, "secret-token");
        assert!(login.expired(Timestamp::now()));
        assert_eq!(loaded.get("a.b").unwrap().ca, context().ca);
        let mode = |name| fs::metadata(store.directory.join(name)).unwrap().mode() & 0o777;
        assert_eq!(mode(FILE), 0o600);
        assert_eq!(mode(""), 0o700);
    }

    #[test]
    fn an_exposed_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        store.update(|_| ()).unwrap();
        let path = store.directory.join(FILE);
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = store.load().unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
            store.update(|_| ()).unwrap_err();
        }
    }

    #[test]
    fn errors_quote_no_token() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(&directory);
        store.update(|_| ()).unwrap();
        let text = "[contexts.x]\napprover = \"a\"\ntoken = \"secret-token\"\n";
        fs::write(store.directory.join(FILE), text).unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        assert!(!error.contains("secret-token"), "{error}");
        assert!(!format!("{:?}", context()).contains("secret-token"));
    }

    #[test]
    fn an_unknown_context_is_named_with_the_known_ones() {
        let mut contexts = Contexts::default();
        let error = contexts.get("x").unwrap_err().to_string();
        assert!(error.contains("there are none yet"), "{error}");
        contexts.contexts.insert("a".into(), context());
        let error = contexts.get("x").unwrap_err().to_string();
        assert!(error.contains("the contexts are a;"), "{error}");
        assert!(error.contains("holdpoint --context x login"), "{error}");
    }
}
