//! Events on disk until the approver has them: numbered from 1, in files that
//! are only appended to and removed whole.
//!
//! What it promises. An event that was appended survives the end of the daemon,
//! however it comes. One that was synced survives a power failure too, and only
//! such are given out to be sent, so no number is ever used for two events that
//! somebody saw. What found no room is counted and declared by a gap as soon as
//! there is room. What was acknowledged does not come back. It never waits for
//! room, and never writes over an event.

mod frame;
mod marks;
mod segment;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use holdpoint_proto::v1;
use nix::fcntl::{Flock, FlockArg};
use prost::Message as _;
use tracing::warn;

use self::{marks::Marks, segment::Segment};

/// Most events the approver takes at once.
const BATCH_EVENTS: usize = 1_000;
/// Most bytes of them.
const BATCH_BYTES: usize = 1024 * 1024;
/// Tag and length of one event in a batch.
const BATCH_OVERHEAD: usize = 8;

// One event always fits, so none is ever in the way of those behind it.
const _: () = assert!(frame::MAX_EVENT + BATCH_OVERHEAD <= BATCH_BYTES);

/// Smallest spool that is of any use.
pub const MIN_BYTES: u64 = 2 * 1024 * 1024;

/// Stands in the folder from enrolment to the first event.
const UNUSED: &str = "unused";
const ENDED: &str = "ended";
const LOCK: &str = "lock";

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// A file of it failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Two daemons would write into each other.
    #[error("another holdpointd uses the spool {}; stop it first", path.display())]
    InUse {
        /// Which spool.
        path: PathBuf,
    },
    /// The approver says it has what was never sent.
    #[error(
        "the approver has {acknowledged} events of this host's spool, which has given out {sent}: \
         the state directory is older than what the approver knows. Remove {} and restart \
         holdpointd: it then begins a new spool", path.display()
    )]
    Ahead {
        /// What it says.
        acknowledged: u64,
        /// What it can have.
        sent: u64,
        /// The spool.
        path: PathBuf,
    },
}

/// Why an event was not kept. It is counted, and declared later.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// There is no room.
    #[error("the spool is full")]
    Full,
    /// It is larger than any event may be.
    #[error("the event is too large")]
    TooLarge,
    /// The disk is full, or worse.
    #[error("cannot write to the spool: {0}")]
    Disk(#[from] io::Error),
}

/// How the daemon before ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Before {
    /// The spool is new.
    New {
        /// Nothing says that there was none before it.
        replaces: bool,
    },
    /// It said that it stops.
    Ended,
    /// It was killed, or the machine was.
    Killed {
        /// When it last wrote something.
        last: Option<SystemTime>,
    },
}

/// Events that were not kept.
#[derive(Clone, Debug)]
struct Lost {
    count: u64,
    since: Option<prost_types::Timestamp>,
    why: String,
    /// It was for want of room, so it takes some to go on.
    full: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    max_bytes: u64,
    /// Never empty.
    segments: VecDeque<Segment>,
    id: [u8; 16],
    acknowledged: u64,
    marks: Marks,
    synced: u64,
    /// How often a file was added, and how often of these it is on disk.
    added: u64,
    added_synced: u64,
    lost: Option<Lost>,
    lost_ever: u64,
    gaps: u64,
    ended: bool,
    _lock: Flock<fs::File>,
}

/// What must reach the disk; carried out without keeping the spool.
#[derive(Debug)]
pub struct Unsynced {
    files: Vec<Arc<fs::File>>,
    directory: Option<PathBuf>,
    added: u64,
    upto: u64,
}

impl Unsynced {
    /// Waits until it is on disk.
    pub fn sync(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        match &self.directory {
            Some(directory) => fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// How full the spool is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fill {
    /// Bytes on disk.
    pub bytes: u64,
    /// Most there may be.
    pub max_bytes: u64,
    /// Number of the newest event, 0 if there was none yet.
    pub last: u64,
    /// Number up to which the approver has them.
    pub acknowledged: u64,
    /// Events that were lost since the last gap, and are not declared yet.
    pub undeclared: u64,
    /// Events that were lost since the daemon started, declared or not.
    pub lost: u64,
    /// Gaps written since the daemon started.
    pub gaps: u64,
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::File {
        action,
        path,
        source,
    }
}

/// Makes the folder of a spool that has had no events yet. One that is there stays
/// as it is.
pub fn prepare(directory: &Path) -> Result<(), SpoolError> {
    let make = |recursive, path: &Path| {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(recursive).mode(0o700).create(path)
    };
    let prepared = || -> io::Result<()> {
        if let Some(above) = directory.parent() {
            make(true, above)?;
        }
        make(false, directory)?;
        fs::write(directory.join(UNUSED), b"no event yet\n")?;
        fs::File::open(directory)?.sync_all()
    };
    match prepared() {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(file("make the spool", directory)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a mark; one that is not there is removed already.
fn remove(path: &Path) -> Result<(), SpoolError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        _ => Ok(()),
    }
}

impl Spool {
    /// Opens the spool in `directory`, or makes it.
    pub fn open(directory: &Path, max_bytes: u64) -> Result<(Self, Before), SpoolError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(file("make the spool", directory))?;
        let lock = lock(directory)?;
        let mut segments = segments(directory)?;
        let (ended, unused) = (directory.join(ENDED), directory.join(UNUSED));
        let before = if segments.is_empty() {
            Before::New {
                replaces: !unused.exists(),
            }
        } else if ended.exists() {
            Before::Ended
        } else {
            Before::Killed {
                last: last_time(&segments),
            }
        };
        remove(&ended)?;
        if segments.is_empty() {
            let mut id = [0; 16];
            getrandom::fill(&mut id)
                .map_err(|error| file("number the spool", directory)(error.into()))?;
            let first = Segment::create(directory, id, 1)
                .map_err(file("begin the spool", &Segment::path(directory, 1)))?;
            segments.push_back(first);
        }
        let (id, next) = segments
            .back()
            .map_or(([0; 16], 1), |active| (active.id, active.end()));
        let (marks, acknowledged) =
            Marks::open(directory, id).map_err(file("open the marks in", directory))?;
        let mut spool = Self {
            directory: directory.to_owned(),
            max_bytes: max_bytes.max(MIN_BYTES),
            segments,
            id,
            acknowledged: acknowledged.min(next - 1),
            marks,
            synced: 0,
            added: 1,
            added_synced: 0,
            lost: None,
            lost_ever: 0,
            gaps: 0,
            ended: false,
            _lock: lock,
        };
        // What an earlier daemon wrote and never synced counts from now on.
        if let Some(unsynced) = spool.unsynced() {
            unsynced.sync().map_err(file("sync", directory))?;
            spool.synced(&unsynced);
        }
        // Only now is the spool there for certain.
        remove(&unused)?;
        Ok((spool, before))
    }

    /// Names the spool: its numbers mean nothing under another name.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Number of the oldest event that is still here, or would be.
    pub fn first(&self) -> u64 {
        let oldest = self.segments.front().map_or(1, |segment| segment.base);
        oldest.max(self.acknowledged + 1)
    }

    /// Number the next event gets.
    fn next(&self) -> u64 {
        self.segments.back().map_or(1, Segment::end)
    }

    /// Number of the newest event that survives a power failure: the last that
    /// may be sent.
    pub fn last_synced(&self) -> u64 {
        self.synced
    }

    /// How full it is.
    pub fn fill(&self) -> Fill {
        Fill {
            bytes: self.bytes(),
            max_bytes: self.max_bytes,
            last: self.next() - 1,
            acknowledged: self.acknowledged,
            undeclared: self.lost.as_ref().map_or(0, |lost| lost.count),
            lost: self.lost_ever,
            gaps: self.gaps,
        }
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::len).sum()
    }

    /// Bytes after which a new file begins.
    fn segment_bytes(&self) -> u64 {
        (self.max_bytes / 16).min(4 * 1024 * 1024)
    }

    /// Appends `event` and gives it its number. If it cannot be kept it is counted,
    /// and a gap in its place says so once there is room.
    pub fn append(&mut self, event: v1::Event) -> Result<u64, NotKept> {
        if self.ended {
            return Err(NotKept::Disk(io::Error::other("the spool was ended")));
        }
        let time = event.time;
        let appended = self.declare_lost(time).and_then(|()| self.write(event));
        if let Err(error) = &appended {
            let lost = self.lost.get_or_insert_with(|| {
                warn!(%error, "events are lost from now on; a gap will say so");
                Lost {
                    count: 0,
                    since: time,
                    why: error.to_string(),
                    full: matches!(error, NotKept::Full),
                }
            });
            lost.count = lost.count.saturating_add(1);
            self.lost_ever = self.lost_ever.saturating_add(1);
        }
        appended
    }

    /// Writes the gap of what was lost before, if anything was.
    fn declare_lost(&mut self, now: Option<prost_types::Timestamp>) -> Result<(), NotKept> {
        let Some(lost) = &self.lost else {
            return Ok(());
        };
        if lost.full && self.bytes() + self.segment_bytes() > self.max_bytes {
            return Err(NotKept::Full);
        }
        let gap = v1::Gap {
            cause: v1::GapCause::Spool.into(),
            lost: lost.count,
            since: lost.since,
            detail: lost.why.clone(),
        };
        self.write(v1::Event {
            sequence: 0,
            time: now,
            body: Some(v1::event::Body::Gap(gap)),
        })?;
        self.lost = None;
        Ok(())
    }

    fn write(&mut self, mut event: v1::Event) -> Result<u64, NotKept> {
        let sequence = self.next();
        event.sequence = sequence;
        let is_gap = matches!(event.body, Some(v1::event::Body::Gap(_)));
        let frame = frame::write(sequence, &event.encode_to_vec()).ok_or(NotKept::TooLarge)?;
        self.begin_segment_if_due()?;
        if self.bytes() + frame.len() as u64 > self.max_bytes {
            return Err(NotKept::Full);
        }
        if let Some(active) = self.segments.back_mut() {
            active.append(&frame)?;
        }
        self.gaps += u64::from(is_gap);
        Ok(sequence)
    }

    fn begin_segment_if_due(&mut self) -> io::Result<()> {
        let due = self
            .segments
            .back()
            .is_some_and(|active| active.len() >= self.segment_bytes());
        if due {
            let fresh = Segment::create(&self.directory, self.id, self.next())?;
            self.segments.push_back(fresh);
            self.added += 1;
        }
        Ok(())
    }

    /// What is not on disk for certain yet; none if all is.
    pub fn unsynced(&self) -> Option<Unsynced> {
        let upto = self.next() - 1;
        let added = self.added != self.added_synced;
        if upto == self.synced && !added {
            return None;
        }
        Some(Unsynced {
            files: self
                .segments
                .iter()
                .filter(|segment| segment.end() - 1 > self.synced || segment.end() == segment.base)
                .map(|segment| Arc::clone(&segment.file))
                .collect(),
            directory: added.then(|| self.directory.clone()),
            added: self.added,
            upto,
        })
    }

    /// `unsynced` is on disk.
    pub fn synced(&mut self, unsynced: &Unsynced) {
        self.synced = self.synced.max(unsynced.upto);
        self.added_synced = self.added_synced.max(unsynced.added);
        self.remove_acknowledged();
    }

    /// The synced events behind number `after`, as many as the approver takes at
    /// once, with consecutive numbers: one that the disk has damaged is replaced by
    /// a gap.
    pub fn batch(&self, after: u64) -> Result<Vec<v1::Event>, SpoolError> {
        let mut events: Vec<v1::Event> = Vec::new();
        let mut bytes = 0;
        for sequence in self.first().max(after.saturating_add(1))..=self.synced {
            let event = self.event(sequence)?.unwrap_or_else(|| damaged(sequence));
            bytes += event.encoded_len() + BATCH_OVERHEAD;
            if !events.is_empty() && (bytes > BATCH_BYTES || events.len() == BATCH_EVENTS) {
                break;
            }
            events.push(event);
        }
        Ok(events)
    }

    fn event(&self, sequence: u64) -> Result<Option<v1::Event>, SpoolError> {
        let behind = self
            .segments
            .partition_point(|segment| segment.base <= sequence);
        let Some(segment) = behind.checked_sub(1).and_then(|at| self.segments.get(at)) else {
            return Ok(None);
        };
        let found = segment
            .read(sequence)
            .map_err(file("read an event in", &self.directory))?;
        Ok(found.and_then(|found| v1::Event::decode(&*found).ok()))
    }

    /// The approver has everything up to `sequence`: it is removed.
    pub fn acknowledge(&mut self, sequence: u64) -> Result<(), SpoolError> {
        if sequence > self.synced {
            return Err(SpoolError::Ahead {
                acknowledged: sequence,
                sent: self.synced,
                path: self.directory.clone(),
            });
        }
        if sequence > self.acknowledged {
            self.acknowledged = sequence;
            if let Err(error) = self.marks.write(self.id, sequence) {
                // They would be sent again, and acknowledged again.
                warn!(%error, "cannot note what the approver has");
            }
            self.remove_acknowledged();
        }
        Ok(())
    }

    /// The last file stays: the numbers go on from it. So does the one before until
    /// the last is on disk: without both, a power failure would leave no trace.
    fn remove_acknowledged(&mut self) {
        if self.added != self.added_synced {
            return;
        }
        while let (Some(oldest), Some(next)) = (self.segments.front(), self.segments.get(1))
            // Not where the oldest ends: what a power failure took from its end has
            // numbers, too, and is declared under them.
            && next.base <= self.acknowledged + 1
        {
            if let Err(error) = oldest.remove() {
                warn!(%error, "cannot remove events that the approver has");
                return;
            }
            self.segments.pop_front();
        }
    }

    /// Marks an end in order; nothing is appended after. An end with losses that
    /// could not be declared is none.
    pub fn end(&mut self) -> Result<(), SpoolError> {
        let path = self.directory.join(ENDED);
        if self.declare_lost(None).is_err() {
            return Ok(());
        }
        self.ended = true;
        if let Some(unsynced) = self.unsynced() {
            unsynced.sync().map_err(file("sync", &self.directory))?;
            self.synced(&unsynced);
        }
        fs::write(&path, b"in order\n").map_err(file("write", &path))?;
        fs::File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(file("sync", &self.directory))
    }
}

/// What takes the place of an event that cannot be read any more.
fn damaged(sequence: u64) -> v1::Event {
    warn!(
        sequence,
        "an event in the spool is damaged; a gap takes its place"
    );
    v1::Event {
        sequence,
        time: Some(SystemTime::now().into()),
        body: Some(v1::event::Body::Gap(v1::Gap {
            cause: v1::GapCause::Spool.into(),
            lost: 1,
            since: None,
            detail: "the event with this number was damaged on disk".to_owned(),
        })),
    }
}

/// Every event in the files of the spool in `directory`, acknowledged or not,
/// without disturbing the daemon that writes there.
pub fn look(directory: &Path) -> Result<Vec<v1::Event>, SpoolError> {
    let mut events = Vec::new();
    for path in segment_paths(directory)? {
        let found = Segment::look(&path).map_err(file("read", &path))?;
        events.extend(
            found
                .iter()
                .filter_map(|event| v1::Event::decode(&**event).ok()),
        );
    }
    Ok(events)
}

fn lock(directory: &Path) -> Result<Flock<fs::File>, SpoolError> {
    let path = directory.join(LOCK);
    let opened = fs::File::create(&path).map_err(file("open", &path))?;
    Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(|_| SpoolError::InUse {
        path: directory.to_owned(),
    })
}

fn segment_paths(directory: &Path) -> Result<Vec<PathBuf>, SpoolError> {
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
fn segments(directory: &Path) -> Result<VecDeque<Segment>, SpoolError> {
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
fn last_time(segments: &VecDeque<Segment>) -> Option<SystemTime> {
    let newest = segments.iter().rev().find_map(|segment| {
        let last = segment.end().checked_sub(1)?;
        let event = v1::Event::decode(&*segment.read(last).ok()??).ok()?;
        SystemTime::try_from(event.time?).ok()
    });
    newest.or_else(|| segments.back().and_then(Segment::modified))
}
