//! Tiles: the tree's hashes in files of 256, and what can be read from them.
//!
//! Owns the geometry (which tiles a tree of some size has, and how wide), the
//! [`Edge`] that a log grows at, and [`Tree`], which finds the hash of any part
//! of a tree in its tiles. What a tile says is not trusted here: it is only as
//! good as the root it leads to.

use crate::{
    hash::{HASH_BYTES, Hash},
    path::{LEVEL_MAX, Resource, Width},
    tree::Frontier,
};

/// Hashes in a whole tile.
pub const TILE_WIDTH: usize = 256;

/// Levels of the tree in one tile.
const TILE_HEIGHT: u32 = 8;

/// The bytes of a tile are not those of a tile this wide.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it has {found} bytes instead of {wanted}")]
pub struct TileError {
    found: usize,
    wanted: usize,
}

/// How many hashes level `level` has in the tree of `size` leaves.
fn count(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * TILE_HEIGHT)
        .unwrap_or(0)
}

/// How wide a tile is in the tree of `size` leaves; none if it has no such tile.
pub fn width(level: u8, index: u64, size: u64) -> Option<Width> {
    let start = index.checked_mul(TILE_WIDTH as u64)?;
    let left = count(level, size).checked_sub(start)?;
    Width::new(left.min(TILE_WIDTH as u64))
}

/// The partial tiles of the tree of `size` leaves, lowest level first.
pub fn partial_tiles(size: u64) -> impl Iterator<Item = (u8, u64, Width)> {
    (0..=LEVEL_MAX).filter_map(move |level| {
        let count = count(level, size);
        let width = Width::new(count % TILE_WIDTH as u64)?;
        Some((level, count / TILE_WIDTH as u64, width))
    })
}

/// The bytes of a tile.
pub fn encode(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The hashes of a tile.
pub fn decode(bytes: &[u8], width: Width) -> Result<Vec<Hash>, TileError> {
    let wanted = width.get() * HASH_BYTES;
    if bytes.len() != wanted {
        return Err(TileError {
            found: bytes.len(),
            wanted,
        });
    }
    let (chunks, _) = bytes.as_chunks();
    Ok(chunks.iter().map(|chunk| Hash(*chunk)).collect())
}

/// The node above `hashes`.
pub fn root(hashes: &[Hash]) -> Hash {
    hashes.iter().copied().collect::<Frontier>().root()
}

/// A tile that is whole now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WholeTile {
    /// Its level.
    pub level: u8,
    /// Which of its level.
    pub index: u64,
    /// Its 256 hashes.
    pub hashes: Vec<Hash>,
}

/// The tiles at the right edge of a log: where it grows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edge {
    size: u64,
    /// The hashes of the partial tile of each level; empty where there is none.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Of the log without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a log of `size` entries, with what its partial tiles hold, by level;
    /// none if they are not as wide as that size makes them.
    pub fn from_levels(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let mut widths = (0..).map(|level| count(level, size) % TILE_WIDTH as u64);
        let fits = levels
            .iter()
            .zip(&mut widths)
            .all(|(level, width)| level.len() as u64 == width);
        let above = count(u8::try_from(levels.len()).ok()?, size);
        (fits && above == 0).then_some(Self { size, levels })
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What the partial tile of `level` holds; empty if there is none.
    pub fn level(&self, level: u8) -> &[Hash] {
        self.levels
            .get(usize::from(level))
            .map_or(&[], Vec::as_slice)
    }

    /// Adds a leaf. Answers the tiles that are whole by it, lowest first.
    pub fn push(&mut self, leaf: Hash) -> Vec<WholeTile> {
        let mut whole = Vec::new();
        let mut node = leaf;
        self.size += 1;
        for level in 0..=LEVEL_MAX {
            let at = usize::from(level);
            if self.levels.len() <= at {
                self.levels.push(Vec::new());
            }
            self.levels[at].push(node);
            if self.levels[at].len() < TILE_WIDTH {
                break;
            }
            let hashes = std::mem::take(&mut self.levels[at]);
            node = root(&hashes);
            whole.push(WholeTile {
                level,
                index: count(level, self.size) / TILE_WIDTH as u64 - 1,
                hashes,
            });
        }
        whole
    }

    /// The root of the log.
    pub fn root(&self) -> Hash {
        root_of_levels(&self.levels)
    }
}

/// The root over the partial tiles of each level, lowest first.
pub(crate) fn root_of_levels(levels: &[Vec<Hash>]) -> Hash {
    let mut root: Option<Hash> = None;
    for level in levels {
        let level: Frontier = level.iter().copied().collect();
        for peak in level.peaks().iter().rev() {
            root = Some(root.map_or(*peak, |right| Hash::node(*peak, right)));
        }
    }
    root.unwrap_or_else(Hash::empty)
}

/// Where the tiles of a log come from.
pub trait Tiles {
    /// Why one did not come.
    type Error;

    /// The bytes of a tile this wide.
    fn tile(&mut self, level: u8, index: u64, width: Width) -> Result<Vec<u8>, Self::Error>;
}

/// Why a hash can't be found in the tiles.
#[derive(Debug, thiserror::Error)]
pub enum TreeError<E> {
    /// A tile did not come.
    #[error(transparent)]
    Tile(E),
    /// A tile has the wrong size.
    #[error("{resource} is damaged: {source}")]
    Damaged {
        /// Its path.
        resource: Resource,
        /// How.
        source: TileError,
    },
    /// The tree does not reach that far.
    #[error("the log has {size} records and nothing at {asked}")]
    Beyond {
        /// How many it has.
        size: u64,
        /// What was asked for.
        asked: u64,
    },
}

/// A tree of some size, read from its tiles. Keeps those it has read: a proof
/// needs a few.
#[derive(Debug)]
pub struct Tree<T> {
    tiles: T,
    size: u64,
    read: Vec<((u8, u64), Vec<Hash>)>,
}

impl<T: Tiles> Tree<T> {
    /// The tree of `size` leaves in `tiles`.
    pub fn new(tiles: T, size: u64) -> Self {
        Self {
            tiles,
            size,
            read: Vec::new(),
        }
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Leaf `index`.
    pub fn leaf(&mut self, index: u64) -> Result<Hash, TreeError<T::Error>> {
        let end = index.checked_add(1).ok_or(self.beyond(index))?;
        self.range(index, end)
    }

    /// The root.
    pub fn root(&mut self) -> Result<Hash, TreeError<T::Error>> {
        self.range(0, self.size)
    }

    /// The node over the leaves from `start` up to `end`: a part that the
    /// recursion of RFC 6962 comes to.
    pub(crate) fn range(&mut self, start: u64, end: u64) -> Result<Hash, TreeError<T::Error>> {
        let length = end.checked_sub(start).ok_or(self.beyond(start))?;
        if length == 0 {
            return Ok(Hash::empty());
        }
        if length.is_power_of_two() && start.is_multiple_of(length) {
            return self.perfect(length.trailing_zeros(), start);
        }
        let half = split(length);
        let left = self.range(start, start + half)?;
        Ok(Hash::node(left, self.range(start + half, end)?))
    }

    /// The node over the 2^`height` leaves that begin with `start`.
    fn perfect(&mut self, height: u32, start: u64) -> Result<Hash, TreeError<T::Error>> {
        let level = height / TILE_HEIGHT;
        let first = start >> (level * TILE_HEIGHT);
        let length = 1_usize << (height % TILE_HEIGHT);
        let index = first / TILE_WIDTH as u64;
        let offset = usize::try_from(first % TILE_WIDTH as u64).unwrap_or(0);
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        let beyond = self.beyond(start);
        let tile = self.tile(level, index)?;
        tile.get(offset..offset + length).map(root).ok_or(beyond)
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash], TreeError<T::Error>> {
        let key = (level, index);
        let known = self.read.iter().position(|(known, _)| *known == key);
        let at = if let Some(at) = known {
            at
        } else {
            let width = width(level, index, self.size).ok_or(self.beyond(index))?;
            let bytes = self.tiles.tile(level, index, width);
            let bytes = bytes.map_err(TreeError::Tile)?;
            let hashes = decode(&bytes, width).map_err(|source| TreeError::Damaged {
                resource: Resource::Tile {
                    level,
                    index,
                    width,
                },
                source,
            })?;
            self.read.push((key, hashes));
            self.read.len() - 1
        };
        Ok(&self.read[at].1)
    }

    fn beyond(&self, asked: u64) -> TreeError<T::Error> {
        TreeError::Beyond {
            size: self.size,
            asked,
        }
    }
}

/// The largest power of two below `count`, which is at least 2.
pub(crate) fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tree::naive;

    /// All tiles a log of these leaves ever had.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Kept(pub(crate) HashMap<Resource, Vec<u8>>);

    impl Tiles for &Kept {
        type Error = String;

        fn tile(&mut self, level: u8, index: u64, width: Width) -> Result<Vec<u8>, String> {
            let resource = Resource::Tile {
                level,
                index,
                width,
            };
            let bytes = self.0.get(&resource);
            bytes.cloned().ok_or_else(|| format!("no {resource}"))
        }
    }

    pub(crate) fn kept(leaves: &[Hash]) -> Kept {
        let mut kept = Kept::default();
        let mut edge = Edge::new();
        for leaf in leaves {
            for tile in edge.push(*leaf) {
                let resource = Resource::Tile {
                    level: tile.level,
                    index: tile.index,
                    width: Width::FULL,
                };
                let old = kept.0.insert(resource, encode(&tile.hashes));
                assert!(old.is_none(), "a whole tile is made once");
            }
            for (level, index, width) in partial_tiles(edge.size()) {
                assert_eq!(edge.level(level).len(), width.get());
                let resource = Resource::Tile {
                    level,
                    index,
                    width,
                };
                kept.0.insert(resource, encode(edge.level(level)));
            }
        }
        kept
    }

    #[test]
    fn the_geometry_of_the_specification() {
        // "A tree of size 70,000 ..."
        let widths = |level| {
            let all = (0..).map_while(|index| width(level, index, 70_000));
            let all: Vec<_> = all.collect();
            (
                all.iter().filter(|width| !width.is_partial()).count(),
                *all.last().unwrap(),
            )
        };
        assert_eq!(widths(0), (273, Width::new(112).unwrap()));
        assert_eq!(widths(1), (1, Width::new(17).unwrap()));
        assert_eq!(widths(2), (0, Width::new(1).unwrap()));
        assert_eq!(width(3, 0, 70_000), None);
        // "A tree of size 256 ..."
        assert_eq!(width(0, 0, 256), Some(Width::FULL));
        assert_eq!(width(1, 0, 256), Width::new(1));
        assert_eq!(width(0, 1, 256), None);
        assert_eq!(width(7, u64::MAX, u64::MAX), None);
        let partial: Vec<_> = partial_tiles(u64::MAX).collect();
        assert_eq!(partial.len(), 8);
        assert_eq!(partial[7], (7, 0, Width::new(255).unwrap()));
    }

    #[test]
    fn the_edge_and_the_tiles_have_the_root_of_the_naive_tree() {
        let leaves = naive::leaves(66_000);
        let kept = kept(&leaves);
        for size in [
            0, 1, 2, 3, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537, 66_000,
        ] {
            let wanted = naive::root(&leaves[..size]);
            let mut tree = Tree::new(&kept, size as u64);
            assert_eq!(tree.root().unwrap(), wanted, "{size}");
            let levels = (0..=2)
                .map(|level| {
                    partial_tiles(size as u64)
                        .find(|(found, ..)| *found == level)
                        .map_or(Vec::new(), |(level, index, width)| {
                            let bytes = (&kept).tile(level, index, width).unwrap();
                            decode(&bytes, width).unwrap()
                        })
                })
                .collect();
            let edge = Edge::from_levels(size as u64, levels).unwrap();
            assert_eq!(edge.root(), wanted, "{size}");
        }
    }

    #[test]
    fn what_is_not_there_is_said() {
        let leaves = naive::leaves(300);
        let mut kept = kept(&leaves);
        let beyond = Tree::new(&kept, 300).leaf(300).unwrap_err();
        assert_eq!(
            beyond.to_string(),
            "the log has 300 records and nothing at 300"
        );
        assert!(Tree::new(&kept, 300).leaf(u64::MAX).is_err());
        let key = Resource::Tile {
            level: 0,
            index: 1,
            width: Width::new(44).unwrap(),
        };
        kept.0.get_mut(&key).unwrap().pop();
        let damaged = Tree::new(&kept, 300).leaf(260).unwrap_err();
        assert_eq!(
            damaged.to_string(),
            "tile/0/001.p/44 is damaged: it has 1407 bytes instead of 1408"
        );
        kept.0.remove(&key);
        let missing = Tree::new(&kept, 300).leaf(260).unwrap_err();
        assert_eq!(missing.to_string(), "no tile/0/001.p/44");
        assert_eq!(Edge::from_levels(300, vec![vec![]]), None);
        assert_eq!(Edge::from_levels(1, vec![]), None);
    }
}
