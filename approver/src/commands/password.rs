//! Asks for a new password, or reads it from a file.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::{Context as _, bail};

use crate::domain::account::{AccountName, PASSWORD_MAX, check_password};

/// The new password of `name`: the first line of `file` (`-` is stdin), or asked
/// for twice on the terminal.
pub(super) fn new(file: Option<&Path>, name: &AccountName) -> anyhow::Result<String> {
    let password = match file {
        Some(path) if path == Path::new("-") => first_line(io::stdin().lock()),
        Some(path) => File::open(path).and_then(|file| first_line(BufReader::new(file))),
        None => return ask(name),
    };
    let path = file.unwrap_or(Path::new("-")).display();
    let password = password.with_context(|| format!("cannot read the password file {path}"))?;
    check_password(&password).with_context(|| format!("in the password file {path}"))?;
    Ok(password)
}

fn ask(name: &AccountName) -> anyhow::Result<String> {
    const NO_TERMINAL: &str = "cannot ask for a password here; use --password-file";
    let password =
        rpassword::prompt_password(format!("New password for {name}: ")).context(NO_TERMINAL)?;
    check_password(&password)?;
    let again = rpassword::prompt_password("The same again: ").context(NO_TERMINAL)?;
    if again != password {
        bail!("the two passwords differ; try again");
    }
    Ok(password)
}

/// The first line, without its end. Reads no more than a password can have.
fn first_line(reader: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(PASSWORD_MAX as u64 + 3).read_line(&mut line)?;
    let line = line.strip_suffix('\n').unwrap_or(&line);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        for text in [
            "pass word\n",
            "pass word",
            "pass word\r\n",
            "pass word\nsecond\n",
        ] {
            assert_eq!(first_line(text.as_bytes()).unwrap(), "pass word");
        }
        let endless = first_line("x".repeat(1 << 20).as_bytes()).unwrap();
        assert!(check_password(&endless).is_err());
    }

    #[test]
    fn a_bad_file_is_named() {
        let name = "ada".parse().unwrap();
        let error = new(Some(Path::new("/nonexistent/password")), &name).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/password"));
    }
}
