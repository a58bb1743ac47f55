//! The files of a package, laid out as they will be installed, and its control
//! files beside them.

use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{depends, recipe::Recipe, sections, toml_page};
use crate::{
    layout::Layout,
    process::{output, run},
};

/// Lays the package out in `folder`, which `dpkg-deb` then takes as it is.
pub(super) fn stage(
    layout: &Layout,
    recipe: &Recipe,
    programs: &Path,
    folder: &Path,
) -> Result<PathBuf> {
    let root = folder.join("root");
    let program = root.join(recipe.folder).join(recipe.program);
    let built = programs.join(recipe.program);
    put(&program, 0o755, &read(&built)?)?;
    // Names of functions stay out: they would be most of the package.
    run(Command::new("strip")
        .args([
            "--strip-unneeded",
            "--remove-section=.comment",
            "--remove-section=.note",
        ])
        .arg(&program))?;
    for (from, to) in &recipe.files {
        put(&inside(&root, to), 0o644, &read(from)?)?;
    }
    manual(layout, recipe, &built, &root, &folder.join("manual"))?;
    let documents = root.join("usr/share/doc").join(recipe.name);
    put(
        &documents.join("copyright"),
        0o644,
        recipe.copyright.as_bytes(),
    )?;
    put(
        &documents.join("changelog.gz"),
        0o644,
        &gzip(recipe.changelog.as_bytes())?,
    )?;
    control(recipe, &program, &root)?;
    Ok(root)
}

/// Man pages and completions.
fn manual(
    layout: &Layout,
    recipe: &Recipe,
    program: &Path,
    root: &Path,
    written: &Path,
) -> Result<()> {
    run(Command::new(program).arg("manual").arg(written))?;
    for path in list(&written.join("man"))? {
        page(root, &file_name(&path)?, &read(&path)?)?;
    }
    for (sample, name) in recipe.pages {
        let text = read(&layout.root.join(sample))?;
        let text = String::from_utf8(text).with_context(|| format!("{sample} is not UTF-8"))?;
        let made = toml_page::render(name, recipe.program, &text);
        page(root, &format!("{name}.5"), made.as_bytes())?;
    }
    for (name, text) in sections::of(layout, recipe.name)? {
        page(root, &name, &text)?;
    }
    for (shell, name, target) in [
        (
            "bash",
            format!("{}.bash", recipe.program),
            format!("usr/share/bash-completion/completions/{}", recipe.program),
        ),
        (
            "fish",
            format!("{}.fish", recipe.program),
            format!(
                "usr/share/fish/vendor_completions.d/{}.fish",
                recipe.program
            ),
        ),
        (
            "zsh",
            format!("_{}", recipe.program),
            format!("usr/share/zsh/vendor-completions/_{}", recipe.program),
        ),
    ] {
        let completion = written.join("completions").join(shell).join(name);
        put(&root.join(target), 0o644, &read(&completion)?)?;
    }
    Ok(())
}

/// A man page; its section is what its name ends with.
fn page(root: &Path, name: &str, text: &[u8]) -> Result<()> {
    let (_, section) = name
        .rsplit_once('.')
        .with_context(|| format!("the man page {name} has no section"))?;
    let path = root.join(format!("usr/share/man/man{section}/{name}.gz"));
    put(&path, 0o644, &gzip(text)?)
}

fn control(recipe: &Recipe, program: &Path, root: &Path) -> Result<()> {
    let mut sums = String::new();
    let mut conffiles = String::new();
    let mut bytes = 0;
    for path in all_files(root)? {
        let relative = path.strip_prefix(root)?.display().to_string();
        let sum = output(Command::new("md5sum").arg("--binary").arg(&path))?;
        let sum = String::from_utf8_lossy(&sum);
        let sum = sum.split(' ').next().unwrap_or_default();
        let _ = writeln!(sums, "{sum}  {relative}");
        if relative.starts_with("etc/") {
            let _ = writeln!(conffiles, "/{relative}");
        }
        bytes += path.metadata()?.len();
    }
    let text = recipe
        .control
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@SIZE@", &bytes.div_ceil(1024).to_string())
        .replace("@LIBRARIES@", &depends::of(program)?);
    let debian = root.join("DEBIAN");
    put(&debian.join("control"), 0o644, text.as_bytes())?;
    put(&debian.join("md5sums"), 0o644, sums.as_bytes())?;
    if !conffiles.is_empty() {
        put(&debian.join("conffiles"), 0o644, conffiles.as_bytes())?;
    }
    for (name, script) in &recipe.scripts {
        put(&debian.join(name), 0o755, script.as_bytes())?;
    }
    Ok(())
}

/// Writes a file, whatever this process's umask is.
fn put(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let folder = path.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(failed)?;
    fs::write(path, content).with_context(failed)?;
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(failed)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.context("a file has a name")?.to_owned())
}

/// What is in the folder, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn all_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in list(folder)? {
        if path.is_dir() {
            files.extend(all_files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Without a name and a time in it, so that it is the same each time.
fn gzip(text: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    let mut gzip = Command::new("gzip")
        .args(["-9", "--no-name", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run gzip")?;
    let mut input = gzip.stdin.take().context("gzip has no stdin")?;
    // A man page is smaller than gzip's own buffers: it does not answer before it
    // has all of it.
    input.write_all(text)?;
    drop(input);
    let done = gzip.wait_with_output()?;
    anyhow::ensure!(done.status.success(), "gzip failed: {}", done.status);
    Ok(done.stdout)
}
