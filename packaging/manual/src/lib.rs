//! Man pages and shell completions from a program's own command line, so that
//! they can never say anything else than the program does. Each program writes
//! its own, by a hidden subcommand; packages carry what it wrote.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_complete::Shell;

/// The shells there are completions for, and the name each looks for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Fish, Shell::Zsh];

/// Why nothing, or not all, was written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; is there room, and may this user write there?", path.display())]
pub struct ManualError {
    path: PathBuf,
    source: io::Error,
}

/// Writes to `folder` the man pages of `command` and of each of its subcommands
/// (`man/NAME.SECTION`, `man/NAME-SUBCOMMAND.SECTION`) and its completions
/// (`completions/SHELL/FILE`). What is hidden is in neither.
pub fn write(command: &Command, section: &str, folder: &Path) -> Result<(), ManualError> {
    let mut command = command.clone();
    // Fills in what clap adds by itself, and each subcommand's full name.
    command.build();
    let pages = folder.join("man");
    make(&pages)?;
    write_pages(&command, section, &pages)?;
    for shell in SHELLS {
        let target = folder.join("completions").join(shell.to_string());
        make(&target)?;
        let name = command.get_name().to_owned();
        clap_complete::generate_to(shell, &mut command, name, &target).map_err(|source| {
            ManualError {
                path: target.clone(),
                source,
            }
        })?;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), ManualError> {
    fs::create_dir_all(folder).map_err(|source| ManualError {
        path: folder.to_owned(),
        source,
    })
}

fn write_pages(command: &Command, section: &str, folder: &Path) -> Result<(), ManualError> {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned();
    let path = folder.join(format!("{name}.{section}"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .section(section)
        .manual("Holdpoint")
        .render(&mut page)
        .and_then(|()| fs::write(&path, page))
        .map_err(|source| ManualError { path, source })?;
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        .try_for_each(|sub| write_pages(sub, section, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command::new("prog")
            .about("Does things")
            .version("1.2")
            .subcommand(
                Command::new("outer")
                    .about("Has others")
                    .subcommand(Command::new("inner").about("Is inside")),
            )
            .subcommand(Command::new("secret").hide(true))
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn there_is_a_page_for_everything_that_is_not_hidden() {
        let folder = tempfile::tempdir().unwrap();
        write(&command(), "8", folder.path()).unwrap();
        assert_eq!(
            names(&folder.path().join("man")),
            ["prog-outer-inner.8", "prog-outer.8", "prog.8"]
        );
        let page = fs::read_to_string(folder.path().join("man/prog-outer-inner.8")).unwrap();
        assert!(page.contains("Is inside"), "{page}");
        let page = fs::read_to_string(folder.path().join("man/prog.8")).unwrap();
        assert!(
            page.contains(".TH PROG 8") && !page.contains("secret"),
            "{page}"
        );
    }

    #[test]
    fn each_shell_finds_its_file() {
        let folder = tempfile::tempdir().unwrap();
        write(&command(), "1", folder.path()).unwrap();
        let completions = folder.path().join("completions");
        assert_eq!(names(&completions.join("bash")), ["prog.bash"]);
        assert_eq!(names(&completions.join("fish")), ["prog.fish"]);
        assert_eq!(names(&completions.join("zsh")), ["_prog"]);
    }

    #[test]
    fn a_place_one_cannot_write_to_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = write(&command(), "1", file.path()).unwrap_err().to_string();
        assert!(
            error.contains(&file.path().display().to_string()),
            "{error}"
        );
    }
}
