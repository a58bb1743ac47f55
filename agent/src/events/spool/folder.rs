//! The folder of the spool: what is in it beside events, and which of its files
//! are the spool's.

use std::{
    collections::VecDeque,
    fs,
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use holdpoint_proto::v1;
use nix::fcntl::{Flock, FlockArg};
use prost::Message as _;
use tracing::warn;

use super::{SpoolError, file, segment::Segment};

/// Stands in the folder from enrolment to the first event.
pub(super) const UNUSED: &str = "unused";
/// Stands there after an end in order, with the number of the last event.
pub(super) const ENDED: &str = "ended";
const LOCK: &str = "lock";

fn sync(directory: &Path) -> Result<(), SpoolError> {
    fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(file("sync", directory))
}

/// Makes `directory` and all above it; gives whether it was not there. Each is
/// certain to be there once this is over.
pub(super) fn make(directory: &Path) -> Result<bool, SpoolError> {
    let above = directory
        .parent()
        .filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above
        && !above.is_dir()
    {
        make(above)?;
    }
    let made = match fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => true,
        Err(_) if directory.is_dir() => false,
        Err(error) => return Err(file("make the folder", directory)(error)),
    };
    // Of one that was there, too: whoever made it may have been stopped before this.
    sync(above.unwrap_or(Path::new(".")))?;
    Ok(made)
}

/// Makes the folder of a spool that has had no events yet. One that is there stays
/// as it is.
pub fn prepare(directory: &Path) -> Result<(), SpoolError> {
    if make(directory)? {
        let path = directory.join(UNUSED);
        fs::write(&path, b"no event yet\n").map_err(file("write", &path))?;
        sync(directory)?;
    }
    Ok(())
}

/// Removes a mark; one that is not there is removed already.
pub(super) fn remove(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Marks an end in order behind event number `last`.
pub(super) fn mark_ended(directory: &Path, last: u64) -> Result<(), SpoolError> {
    let path = directory.join(ENDED);
    fs::File::create(&path)
        .and_then(|mut mark| {
            writeln!(mark, "{last}")?;
            mark.sync_all()
        })
        .map_err(file("write", &path))?;
    sync(directory)
}

/// The number in the mark of an end in order; none if there is no such mark, or it
/// cannot be read.
pub(super) fn ended(directory: &Path) -> Option<u64> {
    let mark = fs::read_to_string(directory.join(ENDED)).ok()?;
    mark.trim_end().parse().ok()
}

/// Keeps every other daemon out.
pub(super) fn lock(directory: &Path) -> Result<Flock<fs::File>, SpoolError> {
    let path = directory.join(LOCK);
    let opened = fs::File::create(&path).map_err(file("open", &path))?;
    Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|_| SpoolError::InUse {
        path: directory.to_owned(),
    })
}

/// The files of events in `directory`, oldest first.
pub(super) fn segment_paths(directory: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(file("list", directory))? {
        let entry = entry.map_err(file("list", directory))?;
        if entry.file_name().to_str().is_some_and(Segment::is_named) {
            paths.push(entry.path());
        }
    }
    // Names are numbers of one length.
    paths.sort();
    Ok(paths)
}

/// The segments of the newest spool in `directory`, oldest first. What is no
/// segment, or of another spool, is removed: it was never finished, or its
/// numbers mean nothing any more.
pub(super) fn segments(directory: &Path) -> Result<VecDeque<Segment>, SpoolError> {
    let paths = segment_paths(directory)?;
    let mut segments: VecDeque<Segment> = VecDeque::new();
    for path in paths.iter().rev() {
        let opened = Segment::open(path).map_err(file("open", path))?;
        match opened {
            Some((segment, cut))
                if segments
                    .front()
                    .is_none_or(|newer| newer.id == segment.id && segment.end() <= newer.base) =>
            {
                if cut > 0 {
                    warn!(path = %path.display(), bytes = cut, "cut off what is no whole event");
                }
                segments.push_front(segment);
            }
            _ => {
                warn!(path = %path.display(), "removed what is no part of the spool");
                fs::remove_file(path).map_err(file("remove", path))?;
            }
        }
    }
    Ok(segments)
}

/// Time of the newest event, or of the last change.
pub(super) fn last_time(segments: &VecDeque<Segment>) -> Option<SystemTime> {
    let newest = segments.iter().rev().find_map(|segment| {
        let last = segment.end().checked_sub(1)?;
        let event = v1::Event::decode(&*segment.read(last).ok()??).ok()?;
        SystemTime::try_from(event.time?).ok()
    });
    newest.or_else(|| segments.back().and_then(Segment::modified))
}
