//! What a package is made of, as `packaging/debian/NAME` says. It only reads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::layout::Layout;

/// Every package.
pub(crate) const PACKAGES: [&str; 3] = ["holdpoint-agent", "holdpoint-approver", "holdpoint-cli"];

/// The maintainer scripts a package may have.
const SCRIPTS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];

/// One package.
#[derive(Debug)]
pub(super) struct Recipe {
    pub(super) name: &'static str,
    /// The program that is the package.
    pub(super) program: &'static str,
    /// Where that program goes.
    pub(super) folder: &'static str,
    /// The `control` file, with `@…@` where something is put in.
    pub(super) control: String,
    /// Files besides the program: where each is and where it goes, absolute.
    pub(super) files: Vec<(PathBuf, String)>,
    /// Configuration files of which there is a man page: the file, in this
    /// repository, and the page's name.
    pub(super) pages: &'static [(&'static str, &'static str)],
    /// Names and contents.
    pub(super) scripts: Vec<(&'static str, String)>,
    /// The changelog and the licences, the same in all packages.
    pub(super) changelog: String,
    pub(super) copyright: String,
}

impl Recipe {
    pub(super) fn read(layout: &Layout, name: &'static str) -> Result<Self> {
        let debian = layout.root.join("packaging/debian");
        let own = debian.join(name);
        let read = |path: PathBuf| {
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (program, folder, pages): (_, _, &[_]) = match name {
            "holdpoint-agent" => (
                "holdpointd",
                "usr/sbin",
                &[("packaging/holdpointd.toml", "holdpointd.toml")],
            ),
            "holdpoint-approver" => (
                "holdpoint-approver",
                "usr/sbin",
                &[("packaging/approver.toml", "holdpoint-approver.toml")],
            ),
            "holdpoint-cli" => ("holdpoint", "usr/bin", &[]),
            other => bail!("there is no package {other}"),
        };
        let mut scripts = Vec::new();
        for script in SCRIPTS {
            let path = own.join(script);
            if path.exists() {
                scripts.push((script, read(path)?));
            }
        }
        Ok(Self {
            name,
            program,
            folder,
            control: read(own.join("control"))?,
            files: files(&read(own.join("files"))?, &layout.root)?,
            pages,
            scripts,
            changelog: read(debian.join("changelog"))?,
            copyright: read(debian.join("copyright"))?,
        })
    }
}

fn files(list: &str, root: &Path) -> Result<Vec<(PathBuf, String)>> {
    list.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some(from), Some(to), None) if to.starts_with('/') => {
                    Ok((root.join(from), to.to_owned()))
                }
                _ => bail!("{line:?} in a list of files is not a file and an absolute path"),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipes() -> Vec<Recipe> {
        let layout = Layout::discover().unwrap();
        PACKAGES
            .map(|name| Recipe::read(&layout, name).unwrap())
            .into()
    }

    #[test]
    fn the_changelog_begins_with_this_version() {
        let head = format!("holdpoint ({}) ", env!("CARGO_PKG_VERSION"));
        for recipe in recipes() {
            assert!(recipe.changelog.starts_with(&head), "{}", recipe.changelog);
        }
    }

    #[test]
    fn every_listed_file_is_there() {
        for recipe in recipes() {
            for (from, _) in &recipe.files {
                assert!(from.is_file(), "{}", from.display());
            }
            for (from, _) in recipe.pages {
                assert!(Layout::discover().unwrap().root.join(from).is_file());
            }
        }
    }

    #[test]
    fn control_files_leave_open_what_is_put_in() {
        for recipe in recipes() {
            assert!(
                recipe
                    .control
                    .starts_with(&format!("Package: {}\n", recipe.name))
            );
            for mark in ["@VERSION@", "@SIZE@", "@LIBRARIES@"] {
                assert!(recipe.control.contains(mark), "{mark}");
            }
        }
    }

    #[test]
    fn scripts_are_ones_a_shell_accepts() {
        for recipe in recipes() {
            for (name, script) in &recipe.scripts {
                assert!(script.starts_with("#!/bin/sh\nset -e\n"), "{name}");
                let checked = std::process::Command::new("sh")
                    .args(["-n", "-c", script])
                    .status()
                    .unwrap();
                assert!(checked.success(), "{} {name}", recipe.name);
            }
        }
    }

    #[test]
    fn lists_of_files_are_read_strictly() {
        let root = Path::new("/w");
        assert_eq!(
            files("# why\n\na/b  /etc/b\n", root).unwrap(),
            [(PathBuf::from("/w/a/b"), "/etc/b".to_owned())]
        );
        assert!(files("a", root).is_err());
        assert!(files("a etc/a", root).is_err());
        assert!(files("a /b c", root).is_err());
    }
}
