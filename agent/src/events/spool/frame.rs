//! How one event lies on disk: its length, a checksum, and its bytes.
//!
//! Pure. The checksum covers the event's number too, so that what is left of an
//! older write is never taken for the event that should be there.

/// Bytes before an event: its length and its checksum.
pub(super) const OVERHEAD: usize = 8;

/// Largest event. A length beyond it is damage.
pub(super) const MAX_EVENT: usize = 512 * 1024;

/// What the bytes at a place are.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Found<'a> {
    /// An event.
    Event(&'a [u8]),
    /// Nothing any more.
    End,
    /// Something that is no whole event.
    Torn,
}

fn checksum(sequence: u64, len: u32, event: &[u8]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&sequence.to_le_bytes());
    hash.update(&len.to_le_bytes());
    hash.update(event);
    hash.finalize()
}

/// The frame of event number `sequence`; `None` if it is too large.
pub(super) fn write(sequence: u64, event: &[u8]) -> Option<Vec<u8>> {
    if event.len() > MAX_EVENT {
        return None;
    }
    let len = u32::try_from(event.len()).ok()?;
    let mut frame = Vec::with_capacity(OVERHEAD + event.len());
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&checksum(sequence, len, event).to_le_bytes());
    frame.extend_from_slice(event);
    Some(frame)
}

/// Reads the frame that `bytes` begin with, which should be of event `sequence`.
pub(super) fn read(sequence: u64, bytes: &[u8]) -> Found<'_> {
    if bytes.is_empty() {
        return Found::End;
    }
    let Some((len, rest)) = bytes.split_first_chunk() else {
        return Found::Torn;
    };
    let Some((expected, rest)) = rest.split_first_chunk() else {
        return Found::Torn;
    };
    let len = u32::from_le_bytes(*len);
    let expected = u32::from_le_bytes(*expected);
    match rest.get(..len as usize) {
        Some(event) if len as usize <= MAX_EVENT && checksum(sequence, len, event) == expected => {
            Found::Event(event)
        }
        _ => Found::Torn,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_event_comes_back_and_no_part_of_it_does(
            sequence: u64,
            event in prop::collection::vec(any::<u8>(), 0..300),
            cut in any::<prop::sample::Index>(),
        ) {
            let frame = write(sequence, &event).unwrap();
            prop_assert_eq!(read(sequence, &frame), Found::Event(&event));
            prop_assert_eq!(read(sequence.wrapping_add(1), &frame), Found::Torn);
            let cut = cut.index(frame.len());
            let expected = if cut == 0 { Found::End } else { Found::Torn };
            prop_assert_eq!(read(sequence, &frame[..cut]), expected);
        }

        #[test]
        fn a_changed_bit_is_found(
            event in prop::collection::vec(any::<u8>(), 1..100),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut frame = write(7, &event).unwrap();
            let at = at.index(frame.len());
            frame[at] ^= 1 << bit;
            prop_assert_eq!(read(7, &frame), Found::Torn);
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_not_written() {
        assert!(write(1, &vec![0; MAX_EVENT]).is_some());
        assert!(write(1, &vec![0; MAX_EVENT + 1]).is_none());
    }
}
