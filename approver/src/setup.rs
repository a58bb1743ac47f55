//! The first steps of an approver: its configuration, its state and its first
//! administrator. Every step looks first whether it has been done, so that all
//! can be taken again. What is in the state directory is made by the service's
//! user and never by root.

mod account;
mod sample;

use std::{
    fs, io,
    io::Write as _,
    os::unix::{
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use account::ServiceAccount;

use crate::{
    Admin, AdminError, Config, ConfigError,
    config::Address,
    domain::account::{AccountName, Role},
    random::{self, RandomError},
};

/// The first administrator, unless another name is given.
pub const ADMINISTRATOR: &str = "admin";
/// How long the printed enrolment token lives.
pub const TOKEN_TTL: Duration = Duration::from_hours(1);
/// The hidden subcommand that does [`prepare`] as the service's user.
pub const PREPARE: &str = "prepare-state";
const TOKEN_LABEL: &str = "made by setup";

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is a configuration, and it says otherwise.
    #[error(
        "the configuration {} has the address {has}, not {wanted}; change `address` there, and \
         `listen` with it, or remove the file, and run setup again",
        path.display()
    )]
    Address {
        /// The configuration.
        path: PathBuf,
        /// What it says.
        has: Address,
        /// What was asked for.
        wanted: Address,
    },
    /// A file or folder could not be made.
    #[error("cannot make {}: {source}; setup of an installed approver runs as root", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration can't be read back.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state can't be made.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// No random bytes for a password.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// This program can't be run as the service's user.
    #[error("cannot run this program as the user {user}: {source}")]
    Run {
        /// The service's user.
        user: String,
        /// Why.
        source: io::Error,
    },
    /// As the service's user it failed.
    #[error("making the state as the user {user} failed: {}", reason.trim_end())]
    Prepare {
        /// The service's user.
        user: String,
        /// What it said.
        reason: String,
    },
}

/// What [`prepare`] found or made.
#[derive(Debug, Deserialize, Serialize)]
pub struct Prepared {
    /// The administrator and, if it was made just now, the password.
    pub administrator: String,
    /// Shown once and kept nowhere.
    pub password: Option<String>,
    /// What a host enrols with.
    pub token: String,
    /// The CA's certificate, PEM.
    pub ca: String,
}

/// Writes the configuration unless there is one, and reads it. Says whether it was
/// written.
pub fn configuration(path: &Path, address: Option<&Address>) -> Result<(Config, bool), SetupError> {
    if path.exists() {
        let config = Config::load(Some(path))?;
        return match address {
            Some(wanted) if *wanted != config.address => Err(SetupError::Address {
                path: path.to_owned(),
                has: config.address,
                wanted: wanted.clone(),
            }),
            _ => Ok((config, false)),
        };
    }
    let text = sample::configured(address);
    // Before it is written: a file that cannot be read would be kept for ever.
    let config = Config::parse(&text, path)?;
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .map_err(made(folder))?;
    }
    write(path, &text)?;
    Ok((config, true))
}

/// Makes the CA, the database and the first administrator, where they lack, and
/// an enrolment token.
pub async fn prepare(
    config: &Config,
    wanted: Option<&AccountName>,
) -> Result<Prepared, SetupError> {
    let admin = Admin::open(config).await?;
    let administrators: Vec<String> = admin
        .users()
        .await?
        .into_iter()
        .filter(|user| user.role == Role::Administrator.as_str())
        .map(|user| user.name)
        .collect();
    let known = match wanted {
        Some(wanted) => admin
            .has_user(wanted)
            .await?
            .then(|| wanted.as_str().to_owned()),
        None => administrators.into_iter().next(),
    };
    let (administrator, password) = match (known, wanted) {
        (Some(name), _) => (name, None),
        (None, wanted) => {
            let name = match wanted {
                Some(wanted) => wanted.clone(),
                None => ADMINISTRATOR.parse().map_err(AdminError::from)?,
            };
            let password = new_password()?;
            admin
                .add_user(&name, Role::Administrator, &password)
                .await?;
            (name.as_str().to_owned(), Some(password))
        }
    };
    let token = admin.create_token(TOKEN_TTL, TOKEN_LABEL).await?;
    admin.close().await;
    Ok(Prepared {
        administrator,
        password,
        ca: token.ca.clone(),
        token: token.encode(),
    })
}

/// [`prepare`], by this program run as the service's user.
pub fn prepare_as(
    account: &ServiceAccount,
    path: &Path,
    state_dir: &Path,
    wanted: Option<&AccountName>,
) -> Result<Prepared, SetupError> {
    account.give_folder(state_dir).map_err(made(state_dir))?;
    let user = || account.name.clone();
    let run = |source| SetupError::Run {
        user: user(),
        source,
    };
    let mut command = Command::new(std::env::current_exe().map_err(run)?);
    command
        .uid(account.uid)
        .gid(account.gid)
        .current_dir("/")
        .env("RUST_LOG", "warn")
        .arg("--config")
        .arg(path)
        .arg(PREPARE)
        .stdin(Stdio::null());
    if let Some(wanted) = wanted {
        command.args(["--admin", wanted.as_str()]);
    }
    let done = command.output().map_err(run)?;
    let failed = |reason: String| SetupError::Prepare {
        user: user(),
        reason,
    };
    if !done.status.success() {
        return Err(failed(String::from_utf8_lossy(&done.stderr).into_owned()));
    }
    serde_json::from_slice(&done.stdout).map_err(|error| failed(error.to_string()))
}

/// Puts the CA's certificate where people find it: the state directory is for the
/// service's eyes only.
pub fn publish_ca(path: &Path, ca: &str) -> Result<(), SetupError> {
    if fs::read_to_string(path).is_ok_and(|had| had == ca) {
        return Ok(());
    }
    write(path, ca)
}

/// Whole or not at all, and readable by all.
fn write(path: &Path, text: &str) -> Result<(), SetupError> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let written = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    written().map_err(made(path))
}

fn made(path: &Path) -> impl FnOnce(io::Error) -> SetupError {
    let path = path.to_owned();
    move |source| SetupError::Make { path, source }
}

/// 120 random bits in groups that can be read out and typed.
fn new_password() -> Result<String, SetupError> {
    let text = data_encoding::BASE32_NOPAD
        .encode(&random::bytes::<15>()?)
        .to_lowercase();
    let groups: Vec<&str> = (0..text.len())
        .step_by(6)
        .filter_map(|at| text.get(at..(at + 6).min(text.len())))
        .collect();
    Ok(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_configuration_that_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/approver.toml");
        let wanted = address("https://approver.example");
        let (first, written) = configuration(&path, Some(&wanted)).unwrap();
        assert!(written);
        assert_eq!(first.address, wanted);
        let text = fs::read_to_string(&path).unwrap();
        for again in [None, Some(&wanted)] {
            let (config, written) = configuration(&path, again).unwrap();
            assert!(!written);
            assert_eq!(config, first);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let other = configuration(&path, Some(&address("https://other.example")));
        let error = other.unwrap_err().to_string();
        assert!(
            error.contains("approver.example:7443, not https://other.example:7443"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_password_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            state_dir: folder.path().join("state"),
            ..Config::default()
        };
        let first = prepare(&config, None).await.unwrap();
        assert_eq!(first.administrator, ADMINISTRATOR);
        assert!(first.password.is_some_and(|password| password.len() >= 24));
        let again = prepare(&config, None).await.unwrap();
        assert_eq!(
            (again.administrator.as_str(), again.password),
            (ADMINISTRATOR, None)
        );
        assert_eq!(again.ca, first.ca);
        assert_ne!(again.token, first.token);
        let ada = "ada".parse().unwrap();
        assert!(
            prepare(&config, Some(&ada))
                .await
                .unwrap()
                .password
                .is_some()
        );
        assert!(
            prepare(&config, Some(&ada))
                .await
                .unwrap()
                .password
                .is_none()
        );
    }

    #[test]
    fn passwords_differ_and_can_be_typed() {
        let (one, two) = (new_password().unwrap(), new_password().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 27);
        assert!(
            one.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        );
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = configuration(&file.path().join("approver.toml"), None).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&file.path().display().to_string()),
            "{error}"
        );
    }
}
