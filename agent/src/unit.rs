//! Making the daemon a service of this machine: what one pasted command does
//! besides enrolling. It only asks the service manager and writes a configuration
//! where there is none; it never changes one.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::config::DEFAULT_PATH;

/// The commented sample, which says every default.
const SAMPLE: &str = include_str!("../../packaging/holdpointd.toml");
const UNIT: &str = "holdpointd.service";
const UNIT_FILES: [&str; 2] = ["/usr/lib/systemd/system", "/etc/systemd/system"];
/// There while systemd runs the machine.
const SYSTEMD: &str = "/run/systemd/system";

/// Writes the sample to the usual place if there is nothing. A configuration that
/// was named and is not there is the caller's mistake.
pub fn provide_configuration(path: &Path) -> anyhow::Result<()> {
    if path != Path::new(DEFAULT_PATH) {
        return Ok(());
    }
    write_sample(path).with_context(|| {
        format!(
            "cannot write the configuration {}; run this as root",
            path.display()
        )
    })
}

fn write_sample(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)?;
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path);
    match file {
        Ok(mut file) => file.write_all(SAMPLE.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Starts the service, now and at every boot, and waits until it enforces.
pub fn start(config: &Path) -> anyhow::Result<()> {
    if config != Path::new(DEFAULT_PATH) {
        bail!(
            "the service reads {DEFAULT_PATH} and not {}: put the configuration there, then run \
             `systemctl enable --now {UNIT}`",
            config.display()
        );
    }
    if !Path::new(SYSTEMD).is_dir() {
        bail!("systemd does not run this machine; start the daemon with `holdpointd run`");
    }
    if !UNIT_FILES
        .iter()
        .any(|folder| Path::new(folder).join(UNIT).exists())
    {
        bail!("{UNIT} is not installed; start the daemon with `holdpointd run`");
    }
    // A daemon that runs notices by itself that the host is enrolled now.
    let done = Command::new("systemctl")
        .args(["enable", "--now", "--quiet", UNIT])
        .output()
        .context("cannot run systemctl")?;
    if !done.status.success() {
        bail!(
            "this host is enrolled, but {UNIT} did not start: {}; `journalctl -u {UNIT}` says why",
            String::from_utf8_lossy(&done.stderr).trim_end()
        );
    }
    writeln!(io::stdout(), "{UNIT} is running")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_configuration_is_written_once_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/holdpointd.toml");
        write_sample(&path).unwrap();
        Config::load(&path).unwrap();
        fs::write(&path, "# mine\n").unwrap();
        write_sample(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n");
    }

    #[test]
    fn a_named_configuration_is_nobodys_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.toml");
        provide_configuration(&path).unwrap();
        assert!(!path.exists());
        let error = start(&path).unwrap_err().to_string();
        assert!(error.contains(DEFAULT_PATH), "{error}");
    }
}
