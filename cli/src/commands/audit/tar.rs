//! Archives of exports: POSIX ustar, with regular files and nothing else.
//!
//! Reading trusts no header: a name is looked up, never made into a path, and a
//! length is bounded by the archive's own.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{AuditError, offline::read};

const BLOCK: usize = 512;

/// Names longer than this have no place in the header's first field, and no file
/// of a log has one.
const NAME_MAX: usize = 100;

/// An archive that can be read from.
pub(super) struct Archive {
    path: PathBuf,
    file: File,
    /// Where each file is, and how long.
    places: HashMap<String, (u64, u64)>,
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self, AuditError> {
        let mut file = File::open(path).map_err(|source| read(path, source))?;
        let end = file.metadata().map_err(|source| read(path, source))?.len();
        let mut archive = Self {
            path: path.to_owned(),
            places: HashMap::new(),
            file: file.try_clone().map_err(|source| read(path, source))?,
        };
        let mut at = 0;
        let mut header = [0; BLOCK];
        while at + BLOCK as u64 <= end {
            file.seek(SeekFrom::Start(at))
                .and_then(|_| file.read_exact(&mut header))
                .map_err(|source| read(path, source))?;
            if header.iter().all(|byte| *byte == 0) {
                break;
            }
            let entry = Entry::parse(&header)
                .ok_or_else(|| archive.bad(format!("there is no tar header at byte {at}")))?;
            let start = at + BLOCK as u64;
            let past = start.saturating_add(entry.length);
            if past > end {
                return Err(archive.bad(format!("{:?} is cut", entry.name)));
            }
            if entry.regular {
                let name = entry.name.strip_prefix("./").unwrap_or(&entry.name);
                let place = (start, entry.length);
                if archive.places.insert(name.to_owned(), place).is_some() {
                    return Err(archive.bad(format!("{name:?} is in it twice")));
                }
            }
            at = past.next_multiple_of(BLOCK as u64);
        }
        Ok(archive)
    }

    /// The bytes of a file, none if it is not there.
    pub(super) fn file(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>, AuditError> {
        let Some((start, length)) = self.places.get(name).copied() else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let file = &mut self.file;
        file.seek(SeekFrom::Start(start))
            .and_then(|_| {
                file.take(length.min(most.saturating_add(1)))
                    .read_to_end(&mut bytes)
            })
            .map_err(|source| read(&self.path, source))?;
        Ok(Some(bytes))
    }

    fn bad(&self, message: String) -> AuditError {
        AuditError::NoExport {
            path: self.path.clone(),
            message,
        }
    }
}

/// What a header says.
struct Entry {
    name: String,
    length: u64,
    regular: bool,
}

impl Entry {
    fn parse(header: &[u8; BLOCK]) -> Option<Self> {
        if octal(&header[148..156])? != checksum(header) {
            return None;
        }
        let name = until_zero(&header[..NAME_MAX])?;
        let prefix = if &header[257..262] == b"ustar" {
            until_zero(&header[345..500])?
        } else {
            ""
        };
        Some(Self {
            name: if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            },
            length: octal(&header[124..136])?,
            regular: matches!(header[156], b'0' | 0),
        })
    }
}

fn until_zero(field: &[u8]) -> Option<&str> {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).ok()
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = until_zero(field)?.trim();
    u64::from_str_radix(text, 8)
        .ok()
        .filter(|_| !text.starts_with('+'))
}

/// The sum of the header's bytes, its own field taken as spaces.
fn checksum(header: &[u8; BLOCK]) -> u64 {
    let own = 148..156;
    let byte = |(at, byte): (usize, &u8)| {
        if own.contains(&at) {
            u64::from(b' ')
        } else {
            u64::from(*byte)
        }
    };
    header.iter().enumerate().map(byte).sum()
}

/// Appends a file.
pub(super) fn append(to: &mut impl Write, name: &str, bytes: &[u8], time: u64) -> io::Result<()> {
    let mut header = [0; BLOCK];
    if name.len() > NAME_MAX {
        return Err(io::Error::other(format!("{name} is too long a name")));
    }
    header[..name.len()].copy_from_slice(name.as_bytes());
    let mut field = |at: usize, text: &str| {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    field(100, "0000644\0");
    field(108, "0000000\0");
    field(116, "0000000\0");
    field(124, &format!("{:011o}\0", bytes.len()));
    field(136, &format!("{time:011o}\0"));
    field(156, "0");
    field(257, "ustar\x0000");
    let sum = checksum(&header);
    let sum = format!("{sum:06o}\0 ");
    header[148..156].copy_from_slice(sum.as_bytes());
    to.write_all(&header)?;
    to.write_all(bytes)?;
    let padding = bytes.len().next_multiple_of(BLOCK) - bytes.len();
    to.write_all(&[0; BLOCK][..padding])
}

/// Ends an archive.
pub(super) fn finish(to: &mut impl Write) -> io::Result<()> {
    to.write_all(&[0; 2 * BLOCK])
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for (name, bytes) in files {
            append(&mut file, name, bytes, 1_800_000_000).unwrap();
        }
        finish(&mut file).unwrap();
        file
    }

    #[test]
    fn what_is_written_is_read_back_here_and_by_tar() {
        let long = vec![7; 1025];
        let file = archive(&[
            ("checkpoint", b"c"),
            ("tile/0/x001/000", &long),
            ("empty", b""),
        ]);
        let mut read = Archive::open(file.path()).unwrap();
        assert_eq!(
            read.file("checkpoint", 10).unwrap().as_deref(),
            Some(&b"c"[..])
        );
        assert_eq!(read.file("tile/0/x001/000", 9_999).unwrap(), Some(long));
        assert_eq!(read.file("tile/0/x001/000", 9).unwrap().unwrap().len(), 10);
        assert_eq!(read.file("empty", 10).unwrap().as_deref(), Some(&b""[..]));
        assert_eq!(read.file("nothing", 10).unwrap(), None);
        let listed = Command::new("tar")
            .arg("-tf")
            .arg(file.path())
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8(listed.stdout).unwrap(),
            "checkpoint\ntile/0/x001/000\nempty\n"
        );
    }

    #[test]
    fn what_tar_makes_is_read() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("tile/0")).unwrap();
        std::fs::write(directory.path().join("tile/0/000"), "x").unwrap();
        let path = directory.path().join("out.tar");
        let made = Command::new("tar")
            .args(["--format=ustar", "-C"])
            .arg(directory.path())
            .arg("-cf")
            .arg(&path)
            .arg("./tile")
            .status();
        assert!(made.unwrap().success());
        let mut read = Archive::open(&path).unwrap();
        assert_eq!(
            read.file("tile/0/000", 9).unwrap().as_deref(),
            Some(&b"x"[..])
        );
    }

    #[test]
    fn bad_archives_are_refused() {
        let twice = archive(&[("a", b"1"), ("./a", b"2")]);
        let error = Archive::open(twice.path()).err().unwrap().to_string();
        assert!(error.contains("\"a\" is in it twice"), "{error}");
        let good = std::fs::read(archive(&[("a", &[1; 2000])]).path()).unwrap();
        let open = |bytes: &[u8]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            Archive::open(file.path())
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(open(&good), None);
        assert!(open(&good[..1024]).unwrap().contains("\"a\" is cut"));
        let mut changed = good.clone();
        changed[124] ^= 1;
        assert!(open(&changed).unwrap().contains("no tar header at byte 0"));
        assert!(
            open(&[b'x'; 600])
                .unwrap()
                .contains("no tar header at byte 0")
        );
    }
}
