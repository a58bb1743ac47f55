//! Man pages that are written by hand: `packaging/man/PACKAGE/NAME.SECTION`.

use std::fs;

use anyhow::{Context as _, Result};

use crate::layout::Layout;

/// Names and texts of the package's own pages.
pub(super) fn of(layout: &Layout, package: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = layout.root.join("packaging/man").join(package);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut pages = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        pages.push((name, fs::read(entry.path())?));
    }
    pages.sort();
    Ok(pages)
}
