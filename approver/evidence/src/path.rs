//! Paths of what a log serves: `tile/0/x001/067`, `tile/0/000.p/12`,
//! `tile/entries/x001/067`, and `record/x001/067` for the whole of a record that
//! stands as a stub in its bundle.
//!
//! There is one spelling for each resource, and only that is read: nothing that
//! parses can name a file outside the log.

use std::{fmt, str::FromStr};

use crate::tiles::TILE_WIDTH;

/// Levels of tiles that a tree of 2^64 leaves has, less one.
pub const LEVEL_MAX: u8 = 7;

/// Three-digit elements of the greatest index, 2^64 - 1.
const ELEMENTS_MAX: usize = 7;

/// Something a log serves, beside its checkpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Resource {
    /// Hashes: at level 0 of entries, above of whole tiles of the level below.
    Tile {
        /// The level.
        level: u8,
        /// Which of this level.
        index: u64,
        /// How many hashes: 256 unless partial.
        width: Width,
    },
    /// A bundle of entries.
    Entries {
        /// Which.
        index: u64,
        /// How many entries: 256 unless partial.
        width: Width,
    },
    /// A record that is too long for its bundle, by its index in the log.
    Record {
        /// The index.
        index: u64,
    },
}

/// How wide a tile or bundle is: 1 to 256.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Width(u16);

/// Text is no path of a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "this is no path in a log; they look like tile/0/x001/067, tile/entries/000.p/12 and record/042"
)]
pub struct PathError;

impl Width {
    /// A whole tile.
    pub const FULL: Self = Self(256);

    /// None unless 1 to 256.
    pub fn new(width: u64) -> Option<Self> {
        let width = u16::try_from(width).ok()?;
        (1..=Self::FULL.0).contains(&width).then_some(Self(width))
    }

    /// As a number.
    pub fn get(self) -> usize {
        self.0.into()
    }

    /// Fewer than 256.
    pub fn is_partial(self) -> bool {
        self.get() < TILE_WIDTH
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match *self {
            Self::Tile {
                level,
                index,
                width,
            } => {
                write!(formatter, "tile/{level}/")?;
                (index, width)
            }
            Self::Entries { index, width } => {
                write!(formatter, "tile/entries/")?;
                (index, width)
            }
            Self::Record { index } => {
                write!(formatter, "record/")?;
                (index, Width::FULL)
            }
        };
        write_index(formatter, index)?;
        if width.is_partial() {
            write!(formatter, ".p/{}", width.0)?;
        }
        Ok(())
    }
}

fn write_index(formatter: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let digits = index.to_string();
    let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
    for (at, digit) in padded.chars().enumerate() {
        if at % 3 == 0 {
            if at > 0 {
                write!(formatter, "/")?;
            }
            if at + 3 < padded.len() {
                write!(formatter, "x")?;
            }
        }
        write!(formatter, "{digit}")?;
    }
    Ok(())
}

impl FromStr for Resource {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let resource = parse(text).ok_or(PathError)?;
        // Leading zeros, signs, a needless `x000`: there is only one spelling.
        if resource.to_string() == text {
            Ok(resource)
        } else {
            Err(PathError)
        }
    }
}

fn parse(text: &str) -> Option<Resource> {
    if let Some(rest) = text.strip_prefix("record/") {
        return Some(Resource::Record {
            index: parse_index(rest)?,
        });
    }
    let rest = text.strip_prefix("tile/")?;
    let (level, rest) = rest.split_once('/')?;
    let (index, width) = match rest.split_once(".p/") {
        None => (rest, Width::FULL),
        Some((index, width)) => (index, Width::new(width.parse().ok()?)?),
    };
    let index = parse_index(index)?;
    if level == "entries" {
        return Some(Resource::Entries { index, width });
    }
    let level: u8 = level.parse().ok()?;
    (level <= LEVEL_MAX).then_some(Resource::Tile {
        level,
        index,
        width,
    })
}

fn parse_index(text: &str) -> Option<u64> {
    let mut index: u64 = 0;
    for (at, element) in text.split('/').enumerate() {
        let digits = element.strip_prefix('x').unwrap_or(element);
        let digital = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if at >= ELEMENTS_MAX || !digital {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tile(level: u8, index: u64, width: u64) -> Resource {
        Resource::Tile {
            level,
            index,
            width: Width::new(width).unwrap(),
        }
    }

    #[test]
    fn known_paths() {
        for (resource, path) in [
            (tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (tile(0, 0, 12), "tile/0/000.p/12"),
            (tile(7, 999, 256), "tile/7/999"),
            (tile(2, 1000, 255), "tile/2/x001/000.p/255"),
            (
                Resource::Entries {
                    index: 273,
                    width: Width::new(112).unwrap(),
                },
                "tile/entries/273.p/112",
            ),
            (Resource::Record { index: 70_000 }, "record/x070/000"),
            (
                Resource::Record { index: u64::MAX },
                "record/x018/x446/x744/x073/x709/x551/615",
            ),
        ] {
            assert_eq!(resource.to_string(), path);
            assert_eq!(path.parse(), Ok(resource));
        }
    }

    #[test]
    fn nothing_else_is_a_path() {
        for bad in [
            "",
            "/",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/+0/000",
            "tile/8/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001",
            "tile/0/x001/x000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000.p/",
            "tile/0/000.p/1/2",
            "tile/0/000.p/1.p/1",
            "tile/0/../../decision.key",
            "tile/entries/../../../etc/passwd",
            "tile/entries/%2e%2e",
            "tile/entries/000\0",
            "tile/entries/000\n",
            "/tile/entries/000",
            "tile//entries/000",
            "tile/entries/٠٠٠",
            "record/000.p/1",
            "record/..",
            "record/x018/x446/x744/x073/x709/x551/616",
            "record/x001/x018/x446/x744/x073/x709/x551/615",
            "checkpoint",
        ] {
            assert_eq!(bad.parse::<Resource>(), Err(PathError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_resource_has_one_path(level in 0..=LEVEL_MAX, index: u64, width in 1..=256_u64) {
            let width = Width::new(width).unwrap();
            for resource in [
                Resource::Tile { level, index, width },
                Resource::Entries { index, width },
                Resource::Record { index },
            ] {
                prop_assert_eq!(resource.to_string().parse(), Ok(resource));
            }
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "(tile|record)(/[0-9x.p]{1,4}){1,4}") {
            if let Ok(resource) = text.parse::<Resource>() {
                prop_assert_eq!(resource.to_string(), text);
            }
        }
    }
}
