//! House rules that no compiler checks: every hand-written module says at its
//! top what it is for, and none grows past what one can read in one go.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{layout::Layout, process::text};

const MAX_LINES: usize = 700;

pub(crate) fn check(layout: &Layout) -> Result<()> {
    let mut complaints = Vec::new();
    for file in rust_files(&layout.root)? {
        let path = layout.root.join(&file);
        let code = match fs::read_to_string(&path) {
            Ok(code) => code,
            // Removed, but not committed yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        complaints.extend(complaint(&code).map(|what| format!("{file}: {what}")));
    }
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    Ok(())
}

/// The hand-written Rust files that git knows or would add.
fn rust_files(root: &Path) -> Result<Vec<String>> {
    let listing = text(Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
        "--",
        "*.rs",
    ]))?;
    Ok(listing
        .split('\0')
        .filter(|file| !file.is_empty() && !is_generated(file))
        .map(ToOwned::to_owned)
        .collect())
}

fn is_generated(file: &str) -> bool {
    file.split('/').any(|part| part == "gen")
}

fn complaint(code: &str) -> Option<String> {
    if !code.starts_with("//! ") {
        return Some("begin it with `//!`, what it owns and what it must never do".to_owned());
    }
    let lines = code.lines().count();
    (lines > MAX_LINES).then(|| format!("{lines} lines: split it, {MAX_LINES} is the limit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_is_for() {
        assert!(complaint("//! Owns this.\n").is_none());
        assert!(complaint("// A comment.\n").is_some());
        assert!(complaint("").is_some());
    }

    #[test]
    fn a_module_is_not_endless() {
        let of = |lines: usize| format!("//! Long.\n{}", "//\n".repeat(lines - 1));
        assert!(complaint(&of(MAX_LINES)).is_none());
        assert!(complaint(&of(MAX_LINES + 1)).is_some());
    }

    #[test]
    fn generated_code_is_left_alone() {
        assert!(is_generated("proto/src/gen/holdpoint.v1.rs"));
        assert!(!is_generated("agent/src/generation.rs"));
    }
}
