//! Events on disk until the approver has them: numbered from 1, in files that
//! are only appended to and removed whole.
//!
//! What it promises. An event that was appended survives the end of the daemon,
//! however it comes. One that was synced survives a power failure too, and only
//! such are given out to be sent, so no number is ever used for two events that
//! somebody saw. What found no room is counted and declared by a gap as soon as
//! there is room. What was acknowledged does not come back. It never waits for
//! room, and never writes over an event.

mod batch;
mod folder;
mod frame;
mod given;
mod lost;
mod marks;
mod segment;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use holdpoint_proto::v1;
use nix::fcntl::Flock;
use prost::Message as _;
use tracing::warn;

pub use self::{batch::Batch, folder::prepare};
use self::{
    lost::{Loss, Lost},
    marks::Marks,
    segment::{Place, Segment},
};

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
        "the approver has {acknowledged} events of this host's spool, which has given out {given}: \
         the state directory is older than what the approver knows, or damaged. A new spool takes \
         its place"
    )]
    Ahead {
        /// What it says.
        acknowledged: u64,
        /// What it can have.
        given: u64,
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
    /// It said that it stops, and what it wrote last is gone.
    Cut {
        /// How many events are.
        missing: u64,
        /// Time of the last that is there.
        last: Option<SystemTime>,
    },
    /// It was killed, or the machine was.
    Killed {
        /// When it last wrote something.
        last: Option<SystemTime>,
    },
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
    /// Number of the last event that somebody may have seen.
    given: u64,
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
    id: [u8; 16],
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

/// How far the events were given out, for the daemon after this one.
#[derive(Debug)]
pub struct Giving {
    directory: PathBuf,
    id: [u8; 16],
    upto: u64,
}

impl Giving {
    /// Comes before events are given out: from now on every one counts as seen.
    pub fn begin(&self) -> Result<(), SpoolError> {
        given::forget(&self.directory).map_err(file("give events out of", &self.directory))
    }

    /// No events are given out until it begins again.
    pub fn pause(&self) -> Result<(), SpoolError> {
        given::note(&self.directory, self.id, self.upto)
            .map_err(file("note what was given out of", &self.directory))
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

/// A random name of a spool.
fn name(directory: &Path) -> Result<[u8; 16], SpoolError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| file("number the spool", directory)(error.into()))?;
    Ok(id)
}

impl Spool {
    /// Opens the spool in `directory`, or makes it.
    pub fn open(directory: &Path, max_bytes: u64) -> Result<(Self, Before), SpoolError> {
        folder::make(directory)?;
        let lock = folder::lock(directory)?;
        let mut segments = folder::segments(directory)?;
        let unused = directory.join(folder::UNUSED);
        let before = match segments.back().map(|active| active.end() - 1) {
            None => Before::New {
                replaces: !unused.exists(),
            },
            Some(number) => {
                let last = folder::last_time(&segments);
                match folder::ended(directory) {
                    Some(ended) if ended == number => Before::Ended,
                    Some(ended) if ended > number => Before::Cut {
                        missing: ended - number,
                        last,
                    },
                    _ => Before::Killed { last },
                }
            }
        };
        folder::remove(&directory.join(folder::ENDED))?;
        if segments.is_empty() {
            let first = Segment::create(directory, name(directory)?, 1)
                .map_err(file("begin the spool", &Segment::path(directory, 1)))?;
            segments.push_back(first);
        }
        let (id, next) = segments
            .back()
            .map_or(([0; 16], 1), |active| (active.id, active.end()));
        let given = given::at_most(directory, id, next - 1);
        given::note(directory, id, given).map_err(file("note what was given out of", directory))?;
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
            given,
            added: 1,
            added_synced: 0,
            lost: None,
            lost_ever: 0,
            gaps: 0,
            ended: false,
            _lock: lock,
        };
        // What an earlier daemon wrote and never synced counts from now on.
        spool.sync()?;
        // Only now is the spool there for certain.
        folder::remove(&unused)?;
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
            undeclared: self.lost.as_ref().map_or(0, Lost::at_least),
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
        let (time, loss) = (event.time, Loss::of(&event));
        let appended = self.declare_lost(time).and_then(|()| self.write(event));
        if let Err(error) = &appended {
            self.lose(loss, error);
        }
        appended
    }

    fn lose(&mut self, loss: Loss, error: &NotKept) {
        self.lost_ever = self.lost_ever.saturating_add(loss.of_the_spool());
        if let Some(lost) = &mut self.lost {
            lost.and(loss);
        } else {
            warn!(%error, "events are lost from now on; a gap will say so");
            self.lost = Some(Lost::first(loss, error));
        }
    }

    /// Writes the gap of what was lost before, if anything was.
    fn declare_lost(&mut self, now: Option<prost_types::Timestamp>) -> Result<(), NotKept> {
        let Some(lost) = &self.lost else {
            return Ok(());
        };
        if lost.full && self.bytes() + self.segment_bytes() > self.max_bytes {
            return Err(NotKept::Full);
        }
        let gap = lost.gap();
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
        let Some(active) = self.segments.back() else {
            return Ok(());
        };
        if active.len() < self.segment_bytes() && !active.doubtful {
            return Ok(());
        }
        let takes_the_place = active.is_empty();
        let fresh = Segment::create(&self.directory, self.id, self.next())?;
        if takes_the_place {
            self.segments.pop_back();
        }
        self.segments.push_back(fresh);
        self.added += 1;
        Ok(())
    }

    /// What is not on disk for certain yet; none if all is.
    pub fn unsynced(&mut self) -> io::Result<Option<Unsynced>> {
        // Behind what may be lost there must be a file that is not.
        if self.segments.back().is_some_and(|active| active.doubtful) {
            self.begin_segment_if_due()?;
        }
        let upto = self.next() - 1;
        let added = self.added != self.added_synced;
        if upto == self.synced && !added {
            return Ok(None);
        }
        Ok(Some(Unsynced {
            id: self.id,
            files: self
                .segments
                .iter()
                .filter(|segment| segment.end() - 1 > self.synced || segment.is_empty())
                .filter(|segment| !segment.doubtful)
                .map(|segment| Arc::clone(&segment.file))
                .collect(),
            directory: added.then(|| self.directory.clone()),
            added: self.added,
            upto,
        }))
    }

    /// `unsynced` is on disk.
    pub fn synced(&mut self, unsynced: &Unsynced) {
        // Of a spool that this one took the place of: that says nothing here.
        if unsynced.id != self.id {
            return;
        }
        self.synced = self.synced.max(unsynced.upto);
        self.added_synced = self.added_synced.max(unsynced.added);
        self.remove_acknowledged();
    }

    /// `unsynced` could not be brought to the disk. The system tells that once and
    /// then takes for written what it lost. So nothing is asked of these files any
    /// more: the next ones begin behind them, and once those are on disk the numbers
    /// in here are certain, if not the events. One that is gone is a hole, which a
    /// [`Batch`] declares.
    pub fn not_synced(&mut self, unsynced: &Unsynced) {
        if unsynced.id != self.id {
            return;
        }
        for segment in &mut self.segments {
            let unsure = segment.is_empty() || segment.end() - 1 > self.synced;
            segment.doubtful |= unsure && segment.base <= unsynced.upto + 1;
        }
    }

    /// Brings everything to the disk, and waits.
    fn sync(&mut self) -> Result<(), SpoolError> {
        let unsynced = self.unsynced().map_err(file("sync", &self.directory))?;
        if let Some(unsynced) = unsynced {
            unsynced.sync().map_err(file("sync", &self.directory))?;
            self.synced(&unsynced);
        }
        Ok(())
    }

    /// The synced events behind number `after`, as many as the approver takes at
    /// once, with consecutive numbers. They are [`given`](Self::given) out by
    /// whoever reads them.
    pub fn batch(&self, after: u64) -> Batch {
        let first = self.first().max(after.saturating_add(1));
        let mut places = Vec::new();
        let mut bytes = 0;
        for sequence in first..=self.synced {
            let place = self.place(sequence);
            let len = place.as_ref().map_or(0, Place::len);
            bytes += len.max(batch::DAMAGED) + BATCH_OVERHEAD;
            if !places.is_empty() && (bytes > BATCH_BYTES || places.len() == BATCH_EVENTS) {
                break;
            }
            places.push(place);
        }
        Batch {
            directory: self.directory.clone(),
            first,
            places,
        }
    }

    /// Somebody may have seen every event up to number `upto`. [`Giving::begin`] comes
    /// before.
    pub fn given(&mut self, upto: u64) {
        self.given = self.given.max(upto);
    }

    /// How many events were given out, to be noted without keeping the spool.
    pub fn giving(&self) -> Giving {
        Giving {
            directory: self.directory.clone(),
            id: self.id,
            upto: self.given,
        }
    }

    fn place(&self, sequence: u64) -> Option<Place> {
        let behind = self
            .segments
            .partition_point(|segment| segment.base <= sequence);
        self.segments.get(behind.checked_sub(1)?)?.place(sequence)
    }

    /// Begins a new spool in the place of this one, of which somebody has more than
    /// was given out: its numbers would stand for two events each. `gap` is the first
    /// of the new one; whatever the old one has not given out follows.
    pub fn begin_anew(&mut self, gap: v1::Gap) -> Result<(), SpoolError> {
        if self.ended {
            // The next daemon finds the same.
            return Ok(());
        }
        let id = name(&self.directory)?;
        let left: Vec<(u64, Option<Place>)> = (self.given + 1..self.next())
            .map(|sequence| (sequence, self.place(sequence)))
            .collect();
        let first = Segment::create(&self.directory, id, 1)
            .map_err(file("begin the spool", &Segment::path(&self.directory, 1)))?;
        // What is left of the old files can still be read.
        for old in std::mem::replace(&mut self.segments, VecDeque::from([first])) {
            if old.base != 1
                && let Err(error) = old.remove()
            {
                warn!(%error, "cannot remove a file of the spool before this one");
            }
        }
        self.id = id;
        self.acknowledged = 0;
        self.synced = 0;
        self.given = 0;
        self.added += 1;
        let gap = v1::Event {
            sequence: 0,
            time: Some(SystemTime::now().into()),
            body: Some(v1::event::Body::Gap(gap)),
        };
        let begun = self.carry_over(gap);
        for (sequence, place) in left {
            let event = batch::event_or_gap(sequence, place.as_ref());
            if begun {
                self.carry_over(event);
            } else {
                // Counted if it fails. A gap comes first, whatever it has to say.
                let _ = self.append(event);
            }
        }
        Ok(())
    }

    /// Writes an event from before those that are lost at the moment, and gives
    /// whether it is kept.
    fn carry_over(&mut self, event: v1::Event) -> bool {
        let loss = Loss::of(&event);
        let written = self.write(event);
        if let Err(error) = &written {
            self.lose(loss, error);
        }
        written.is_ok()
    }

    /// The approver has everything up to `sequence`: it is removed.
    pub fn acknowledge(&mut self, sequence: u64) -> Result<(), SpoolError> {
        if sequence > self.given {
            return Err(SpoolError::Ahead {
                acknowledged: sequence,
                given: self.given,
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
        if self.declare_lost(None).is_err() {
            return Ok(());
        }
        self.ended = true;
        self.sync()?;
        folder::mark_ended(&self.directory, self.next() - 1)
    }
}

/// Every event in the files of the spool in `directory`, acknowledged or not,
/// without disturbing the daemon that writes there.
pub fn look(directory: &Path) -> Result<Vec<v1::Event>, SpoolError> {
    let mut events = Vec::new();
    for path in folder::segment_paths(directory)? {
        let found = Segment::look(&path).map_err(file("read", &path))?;
        events.extend(
            found
                .iter()
                .filter_map(|event| v1::Event::decode(&**event).ok()),
        );
    }
    Ok(events)
}
