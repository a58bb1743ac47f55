//! One file of the spool: a header that says whose and from which number on,
//! then events, appended.
//!
//! Never rewrites what it has written. Whatever does not end in a whole event is
//! cut off when it is opened again.

use std::{
    fs, io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::frame::{self, Found};

const MAGIC: [u8; 8] = *b"hpspool1";
/// Magic, spool id, first number, checksum.
pub(super) const HEADER: u64 = 8 + 16 + 8 + 4;
const SUFFIX: &str = ".events";

/// A file of the spool. Holds no event in memory, only where each ends.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: [u8; 16],
    /// Number of its first event, whether it has one or not.
    pub(super) base: u64,
    pub(super) file: Arc<fs::File>,
    path: PathBuf,
    /// Where each event ends, in bytes from the file's beginning.
    ends: Vec<u32>,
    /// A failed write left something behind the last event.
    littered: bool,
    /// A failed sync may have lost some of it, and no later one would say so.
    pub(super) doubtful: bool,
}

/// Where one event is.
#[derive(Debug)]
pub(super) struct Place {
    file: Arc<fs::File>,
    start: u32,
    end: u32,
}

impl Place {
    /// Bytes of its frame.
    pub(super) fn len(&self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Reads event `sequence`, which should be here; `None` if it is damaged.
    pub(super) fn read(&self, sequence: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; self.len()];
        match self.file.read_exact_at(&mut bytes, self.start.into()) {
            // The file was cut.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        match frame::read(sequence, &bytes) {
            Found::Event(event) => Ok(Some(event.to_vec())),
            Found::End | Found::Torn => Ok(None),
        }
    }
}

fn header(id: [u8; 16], base: u64) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&id);
    header.extend_from_slice(&base.to_le_bytes());
    let checksum = crc32fast::hash(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    header
}

/// Whose the segment `bytes` is, and its first number; `None` if it is none.
fn identity(bytes: &[u8]) -> Option<([u8; 16], u64)> {
    let head = bytes.get(..HEADER as usize)?;
    let id = head.get(8..24)?.try_into().ok()?;
    let base = u64::from_le_bytes(head.get(24..32)?.try_into().ok()?);
    (head == header(id, base)).then_some((id, base))
}

/// The whole events of a segment.
fn events(base: u64, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes.get(HEADER as usize..).unwrap_or_default();
    let mut sequence = base;
    std::iter::from_fn(move || {
        let Found::Event(event) = frame::read(sequence, rest) else {
            return None;
        };
        rest = rest.get(frame::OVERHEAD + event.len()..)?;
        sequence += 1;
        Some(event)
    })
}

impl Segment {
    /// Where the segment that begins with number `base` is.
    pub(super) fn path(directory: &Path, base: u64) -> PathBuf {
        directory.join(format!("{base:020}{SUFFIX}"))
    }

    /// Whether `name` is a segment's.
    pub(super) fn is_named(name: &str) -> bool {
        name.strip_suffix(SUFFIX)
            .is_some_and(|number| number.len() == 20 && number.parse::<u64>().is_ok())
    }

    /// A new, empty one, in the place of a file that has its name. Leaves everything
    /// as it was if it fails.
    pub(super) fn create(directory: &Path, id: [u8; 16], base: u64) -> io::Result<Self> {
        let path = Self::path(directory, base);
        let fresh = path.with_extension("new");
        let created = || {
            let file = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all_at(&header(id, base), 0)?;
            fs::rename(&fresh, &path)?;
            Ok(file)
        };
        let file = created().inspect_err(|_: &io::Error| {
            // It would only be in the way of people who look.
            let _ = fs::remove_file(&fresh);
        })?;
        Ok(Self {
            id,
            base,
            file: Arc::new(file),
            path,
            ends: Vec::new(),
            littered: false,
            doubtful: false,
        })
    }

    /// Reads a segment and cuts off what is no whole event; also gives how many
    /// bytes that were. `None` if the file is no segment.
    pub(super) fn open(path: &Path) -> io::Result<Option<(Self, u64)>> {
        let bytes = fs::read(path)?;
        let Some((id, base)) = identity(&bytes) else {
            return Ok(None);
        };
        let mut ends = Vec::new();
        let mut at = HEADER;
        for event in events(base, &bytes) {
            at += (frame::OVERHEAD + event.len()) as u64;
            let Ok(end) = u32::try_from(at) else {
                break;
            };
            ends.push(end);
        }
        let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
        let cut = bytes.len() as u64 - at;
        if cut > 0 {
            file.set_len(at)?;
        }
        let segment = Self {
            id,
            base,
            file: Arc::new(file),
            path: path.to_owned(),
            ends,
            littered: false,
            doubtful: false,
        };
        Ok(Some((segment, cut)))
    }

    /// The events of the segment at `path`, which stays as it is.
    pub(super) fn look(path: &Path) -> io::Result<Vec<Vec<u8>>> {
        let bytes = fs::read(path)?;
        Ok(match identity(&bytes) {
            Some((_, base)) => events(base, &bytes).map(<[u8]>::to_vec).collect(),
            None => Vec::new(),
        })
    }

    /// Number behind its last event.
    pub(super) fn end(&self) -> u64 {
        self.base + self.ends.len() as u64
    }

    /// Bytes it takes.
    pub(super) fn len(&self) -> u64 {
        self.ends.last().map_or(HEADER, |end| u64::from(*end))
    }

    /// Appends the frame of the event number [`end`](Self::end), whole or not at
    /// all.
    pub(super) fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        let at = self.len();
        if self.littered {
            // What a write that failed left could look like events.
            self.file.set_len(at)?;
            self.littered = false;
        }
        let end = u32::try_from(at + frame.len() as u64).map_err(io::Error::other)?;
        if let Err(error) = self.file.write_all_at(frame, at) {
            self.littered = self.file.set_len(at).is_err();
            return Err(error);
        }
        self.ends.push(end);
        Ok(())
    }

    /// Whether it has no event yet.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Where event `sequence` is; `None` if it is not here.
    pub(super) fn place(&self, sequence: u64) -> Option<Place> {
        let index = usize::try_from(sequence.checked_sub(self.base)?).ok()?;
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => HEADER as u32,
        };
        Some(Place {
            file: Arc::clone(&self.file),
            start,
            end,
        })
    }

    /// The bytes of event `sequence`; `None` if it is not here or damaged.
    pub(super) fn read(&self, sequence: u64) -> io::Result<Option<Vec<u8>>> {
        match self.place(sequence) {
            Some(place) => place.read(sequence),
            None => Ok(None),
        }
    }

    /// When it was last written to.
    pub(super) fn modified(&self) -> Option<std::time::SystemTime> {
        self.file.metadata().and_then(|found| found.modified()).ok()
    }

    /// Removes the file.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
