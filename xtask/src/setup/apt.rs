//! Packages of the Debian archive, fetched and unpacked into the cache with a
//! private apt configuration. Which mirror to use comes from the machine's own
//! configuration, and that must never be changed from here.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};

use super::programs;
use crate::process::{self, find, say, text};

/// Names the mirror where the machine's configuration has none.
const MIRROR: &str = "HOLDPOINT_DEBIAN_MIRROR";
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];
/// Everything below comes from these suites.
const SUITES: [&str; 3] = ["bookworm", "trixie", "trixie-backports"];
const LISTS_MAX_AGE: Duration = Duration::from_hours(24);

/// The Debian archive, as the cache sees it.
#[derive(Debug)]
pub(crate) struct Archive {
    folder: PathBuf,
}

/// Unpacked packages; the folder is gone when this value is.
#[derive(Debug)]
pub(crate) struct Unpacked(PathBuf);

impl Unpacked {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // The next setup clears what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Archive {
    /// Opens the archive, its lists fetched unless they are fresh.
    pub(crate) fn open(cache: &Path) -> Result<Self> {
        let folder = cache.join("apt");
        for name in ["lists/partial", "cache/archives/partial"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let archive = Self { folder };
        archive.write("status", "")?;
        archive.write("sources.list", &sources(&mirror()?, &keyring()?))?;
        if !archive.lists_are_fresh() {
            archive.update()?;
        }
        Ok(archive)
    }

    /// Fetches the lists of the suites.
    pub(crate) fn update(&self) -> Result<()> {
        say("fetching Debian's package lists");
        process::output(self.apt("apt-get").args(["update", "--quiet"]))
            .context("cannot fetch Debian's package lists")?;
        self.write("updated", "")
    }

    /// Every version of the package, newest first.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = text(self.apt("apt-cache").args(["madison", package]))?;
        Ok(table
            .lines()
            .filter_map(|line| Some(line.split('|').nth(1)?.trim().to_owned()))
            .collect())
    }

    /// The names of all packages that begin like this.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = text(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(ToOwned::to_owned).collect())
    }

    /// The package and what it depends on, as `NAME=VERSION`, only those whose
    /// names begin with `prefix`.
    pub(crate) fn closure(&self, suite: &str, package: &str, prefix: &str) -> Result<Vec<String>> {
        let listing = text(
            self.apt("apt-get")
                .args(["install", "--print-uris", "-qq", "--yes"])
                .args(["--no-install-recommends", "--target-release", suite])
                .arg(package),
        )?;
        Ok(listing
            .lines()
            .filter_map(package_of_uri_line)
            .filter(|spec| spec.starts_with(prefix))
            .collect())
    }

    /// Fetches packages, each `NAME=VERSION`, and unpacks them into one folder.
    pub(crate) fn unpack(&self, packages: &[String]) -> Result<Unpacked> {
        let unpacked = Unpacked(self.folder.join("unpacked"));
        // What an interrupted run left behind is of no use.
        if unpacked.0.exists() {
            fs::remove_dir_all(&unpacked.0)?;
        }
        let downloads = unpacked.0.join(".packages");
        fs::create_dir_all(&downloads)
            .with_context(|| format!("cannot make {}", downloads.display()))?;

        say(format!("fetching {}", packages.join(" ")));
        // apt checks each file against the signed lists.
        process::output(
            self.apt("apt-get")
                .args(["download", "--quiet"])
                .args(packages)
                .current_dir(&downloads),
        )?;
        for entry in fs::read_dir(&downloads)? {
            process::output(
                Command::new("dpkg-deb")
                    .arg("--extract")
                    .arg(entry?.path())
                    .arg(&unpacked.0),
            )?;
        }
        fs::remove_dir_all(&downloads)?;
        Ok(unpacked)
    }

    /// One suite, as a line of apt's sources.
    pub(crate) fn source(suite: &str) -> Result<String> {
        Ok(source(&mirror()?, &keyring()?, suite))
    }

    fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
    }

    fn lists_are_fresh(&self) -> bool {
        let stamp = self.folder.join("updated");
        fs::metadata(stamp)
            .and_then(|found| found.modified())
            .ok()
            .and_then(|updated| SystemTime::now().duration_since(updated).ok())
            .is_some_and(|age| age < LISTS_MAX_AGE)
    }

    /// An apt command that reads and writes only this archive's own folder.
    fn apt(&self, program: &str) -> Command {
        let inside = |name: &str| self.folder.join(name).display().to_string();
        let mut apt = Command::new(program);
        for option in [
            format!("Dir::Etc::sourcelist={}", inside("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            "Dir::Etc::preferences=/dev/null".to_owned(),
            "Dir::Etc::preferencesparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", inside("lists")),
            format!("Dir::State::status={}", inside("status")),
            format!("Dir::Cache={}", inside("cache")),
            "APT::Architecture=amd64".to_owned(),
            "Acquire::Languages=none".to_owned(),
            // Catalogues for graphical package managers, half of the bytes.
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false".to_owned(),
            // apt's own unprivileged user may not enter a home folder.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            apt.args(["-o", &option]);
        }
        apt.env("LC_ALL", "C");
        apt
    }
}

fn sources(mirror: &str, keyring: &str) -> String {
    SUITES
        .map(|suite| source(mirror, keyring, suite) + "\n")
        .concat()
}

fn source(mirror: &str, keyring: &str, suite: &str) -> String {
    format!("deb [arch=amd64 signed-by={keyring}] {mirror} {suite} main")
}

/// The Debian mirror this machine installs from.
fn mirror() -> Result<String> {
    if let Some(mirror) = env::var_os(MIRROR).filter(|value| !value.is_empty()) {
        return mirror
            .into_string()
            .map_err(|_| anyhow::anyhow!("{MIRROR} is not UTF-8"));
    }
    if find("apt-get").is_none() {
        bail!("guests run Debian's kernels, which are fetched with apt-get: install apt and dpkg");
    }
    if let Some(mirror) = configured_mirror()? {
        return Ok(mirror);
    }
    // Without lists apt cannot tell which of its sources is Debian.
    if !programs::package_lists_present() && nix::unistd::geteuid().is_root() {
        programs::update_lists()?;
        if let Some(mirror) = configured_mirror()? {
            return Ok(mirror);
        }
    }
    bail!(
        "guests run Debian's kernels, but this machine's apt knows no Debian mirror: on Debian \
         run `apt-get update` as root; elsewhere set {MIRROR} to the address of a mirror's \
         `debian` folder"
    )
}

fn configured_mirror() -> Result<Option<String>> {
    let targets = text(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN)|$(LABEL)|$(REPO_URI)",
        "Created-By: Packages",
    ]))?;
    Ok(targets
        .lines()
        .find_map(|line| line.strip_prefix("Debian|Debian|"))
        .map(ToOwned::to_owned))
}

/// The keys the archive is signed with.
fn keyring() -> Result<String> {
    let present = || KEYRINGS.iter().find(|path| Path::new(path).exists());
    if present().is_none() && nix::unistd::geteuid().is_root() {
        programs::install("debian-archive-keyring")?;
    }
    present().map(ToString::to_string).with_context(|| {
        format!(
            "{} is missing, without which Debian's packages cannot be checked: \
             sudo apt-get install debian-archive-keyring",
            KEYRINGS[0]
        )
    })
}

/// `NAME=VERSION` from a line such as
/// `'http://mirror/pool/…' linux-base_4.12.1%3a1_all.deb 25544 SHA256:…`.
fn package_of_uri_line(line: &str) -> Option<String> {
    let file = line.strip_prefix('\'')?.split(' ').nth(1)?;
    let mut parts = file.strip_suffix(".deb")?.split('_');
    let (name, version) = (parts.next()?, parts.next()?);
    Some(format!("{name}={}", version.replace("%3a", ":")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_what_apt_would_fetch() {
        assert_eq!(
            package_of_uri_line(
                "'http://mirror/pool/l/linux-base_4.12.1_all.deb' \
                 linux-base_4.12.1_all.deb 25544 SHA256:00"
            ),
            Some("linux-base=4.12.1".to_owned())
        );
        assert_eq!(
            package_of_uri_line("'http://mirror/x.deb' x_1%3a2.0-1_amd64.deb 1 "),
            Some("x=1:2.0-1".to_owned())
        );
        assert_eq!(package_of_uri_line("Reading package lists..."), None);
    }

    #[test]
    fn every_suite_is_checked_against_the_keyring() {
        let list = sources("http://mirror/debian", "/keys.gpg");
        assert_eq!(list.lines().count(), SUITES.len());
        assert!(
            list.lines()
                .all(|line| line.contains("signed-by=/keys.gpg"))
        );
    }
}
