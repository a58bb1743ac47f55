//! The packages a program's libraries are in, from the program itself: the
//! libraries it names, and the newest version of their symbols it uses.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::process::text;

/// Debian's C library and the libraries that belong to it.
const LIBC: [&str; 7] = [
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libresolv.so.2",
    "ld-linux-x86-64.so.2",
];

/// What the program depends on, as it stands in `Depends`.
pub(super) fn of(program: &Path) -> Result<String> {
    let headers = text(
        Command::new("objdump")
            .arg("--private-headers")
            .arg(program),
    )?;
    read(&headers).with_context(|| format!("cannot tell what {} needs", program.display()))
}

fn read(headers: &str) -> Result<String> {
    let mut libc = None;
    let mut depends = Vec::new();
    for library in headers.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("NEEDED")).then(|| words.next())?
    }) {
        match library {
            "libgcc_s.so.1" => depends.push("libgcc-s1 (>= 4.2)".to_owned()),
            library if LIBC.contains(&library) => libc = Some(newest_glibc(headers)?),
            other => bail!(
                "no Debian package is known for the library {other}; link it statically or name \
                 its package here"
            ),
        }
    }
    let [major, minor] = libc.context("it uses no C library")?;
    depends.insert(0, format!("libc6 (>= {major}.{minor})"));
    Ok(depends.join(", "))
}

/// The highest `GLIBC_X.Y` among the versions it refers to.
fn newest_glibc(headers: &str) -> Result<[u32; 2]> {
    headers
        .split_whitespace()
        .filter_map(|word| match word.strip_prefix("GLIBC_")? {
            // A marker without a number: relocations that glibc 2.36 brought.
            "ABI_DT_RELR" => Some([2, 36]),
            version => {
                let mut numbers = version.split('.').map_while(|part| part.parse().ok());
                Some([numbers.next()?, numbers.next()?])
            }
        })
        .max()
        .context("it names no version of the C library's symbols")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str = "
Dynamic Section:
  NEEDED               libgcc_s.so.1
  NEEDED               libc.so.6
  RUNPATH              /x

Version References:
  required from libgcc_s.so.1:
    0x0b792650 0x00 07 GCC_3.0
  required from libc.so.6:
    0x06969194 0x00 03 GLIBC_2.14
    0x069691b4 0x00 04 GLIBC_2.34
    0x09691a75 0x00 05 GLIBC_2.2.5
";

    #[test]
    fn the_newest_symbol_decides() {
        assert_eq!(
            read(HEADERS).unwrap(),
            "libc6 (>= 2.34), libgcc-s1 (>= 4.2)"
        );
        let relative = format!("{HEADERS}    0x00fd0e42 0x00 06 GLIBC_ABI_DT_RELR\n");
        assert!(read(&relative).unwrap().starts_with("libc6 (>= 2.36)"));
    }

    #[test]
    fn an_unknown_library_is_an_error() {
        let headers = HEADERS.replace("libgcc_s.so.1\n", "libssl.so.3\n");
        let error = format!("{:#}", read(&headers).unwrap_err());
        assert!(error.contains("libssl.so.3"), "{error}");
        assert!(read("").is_err());
    }

    #[test]
    fn this_very_program_can_be_read() {
        let depends = of(&std::env::current_exe().unwrap()).unwrap();
        assert!(depends.starts_with("libc6 (>= 2."), "{depends}");
    }
}
