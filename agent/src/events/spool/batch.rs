//! A batch of events on their way out of the spool: found while the spool is kept
//! from everybody else, read while it is not, since a disk may take its time.

use std::{path::PathBuf, time::SystemTime};

use holdpoint_proto::v1;
use prost::Message as _;
use tracing::warn;

use super::{SpoolError, file, segment::Place};

/// Where consecutive events are.
#[derive(Debug)]
pub struct Batch {
    pub(super) directory: PathBuf,
    /// Number of the first.
    pub(super) first: u64,
    /// None for one that is in no file.
    pub(super) places: Vec<Option<Place>>,
}

impl Batch {
    /// Reads the events. One that the disk has damaged is replaced by a gap.
    pub fn read(&self) -> Result<Vec<v1::Event>, SpoolError> {
        (self.first..)
            .zip(&self.places)
            .map(|(sequence, place)| {
                event(sequence, place.as_ref()).map_err(file("read an event in", &self.directory))
            })
            .collect()
    }
}

/// Event number `sequence`, which should be at `place`, or the gap that takes its
/// place. An error is the disk's, which may read it another time.
fn event(sequence: u64, place: Option<&Place>) -> std::io::Result<v1::Event> {
    let bytes = match place {
        Some(place) => place.read(sequence)?,
        None => None,
    };
    let found = bytes.and_then(|bytes| v1::Event::decode(&*bytes).ok());
    Ok(found.unwrap_or_else(|| damaged(sequence)))
}

/// As [`event`], when there is no other time.
pub(super) fn event_or_gap(sequence: u64, place: Option<&Place>) -> v1::Event {
    event(sequence, place).unwrap_or_else(|error| {
        warn!(sequence, %error, "cannot read an event in the spool");
        damaged(sequence)
    })
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

/// Bytes that such a gap takes at most.
pub(super) const DAMAGED: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_the_place_of_a_damaged_event_fits_where_it_is_counted() {
        let gap = damaged(u64::MAX);
        assert!(gap.encoded_len() <= DAMAGED, "{}", gap.encoded_len());
    }
}
