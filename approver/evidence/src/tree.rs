//! The tree while it grows: its right edge is all it takes to add leaves and to
//! know the root.

use crate::hash::Hash;

/// The perfect subtrees a tree is made of, largest first: one for each bit of
/// its size.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree of `size` leaves with these perfect subtrees, largest first; none
    /// unless there is one for each bit of the size.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() as u64 == u64::from(size.count_ones())).then_some(Self { size, peaks })
    }

    /// The perfect subtrees, largest first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            // There is a peak for each bit of the size.
            if let Some(left) = self.peaks.pop() {
                node = Hash::node(left, node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(smallest) = peaks.next() else {
            return Hash::empty();
        };
        peaks.fold(smallest, |right, left| Hash::node(left, right))
    }
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<T: IntoIterator<Item = Hash>>(leaves: T) -> Self {
        let mut frontier = Self::new();
        leaves.into_iter().for_each(|leaf| frontier.push(leaf));
        frontier
    }
}

/// The tree as RFC 6962 writes it down: slow, and plainly right.
#[cfg(test)]
pub(crate) mod naive {
    use super::*;

    pub(crate) fn split(count: usize) -> usize {
        let mut half = 1;
        while half * 2 < count {
            half *= 2;
        }
        half
    }

    pub(crate) fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::empty(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                Hash::node(root(left), root(right))
            }
        }
    }

    /// PATH(m, D[n]) of section 2.1.1.
    pub(crate) fn inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let half = split(leaves.len());
        let (left, right) = leaves.split_at(half);
        let (mut path, sibling) = if index < half {
            (inclusion(index, left), root(right))
        } else {
            (inclusion(index - half, right), root(left))
        };
        path.push(sibling);
        path
    }

    /// PROOF(m, D[n]) of section 2.1.2.
    pub(crate) fn consistency(size: usize, leaves: &[Hash]) -> Vec<Hash> {
        fn sub(size: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
            if size == leaves.len() {
                return if whole {
                    Vec::new()
                } else {
                    vec![root(leaves)]
                };
            }
            let half = split(leaves.len());
            let (left, right) = leaves.split_at(half);
            if size <= half {
                let mut proof = sub(size, left, whole);
                proof.push(root(right));
                proof
            } else {
                let mut proof = sub(size - half, right, false);
                proof.push(root(left));
                proof
            }
        }
        if size == 0 {
            return Vec::new();
        }
        sub(size, leaves, true)
    }

    pub(crate) fn leaves(count: usize) -> Vec<Hash> {
        (0..count)
            .map(|index| Hash::leaf(format!("entry {index}").as_bytes()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_leaves_every_implementation_knows() {
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::new();
        for (input, root) in inputs.iter().zip(roots) {
            frontier.push(Hash::leaf(input));
            assert_eq!(frontier.root().to_string(), root, "{}", frontier.size());
        }
    }

    #[test]
    fn the_frontier_has_the_root_of_the_naive_tree() {
        let leaves = naive::leaves(600);
        let mut frontier = Frontier::new();
        for count in 0..=leaves.len() {
            if count > 0 {
                frontier.push(leaves[count - 1]);
            }
            if count < 70 || count % 37 == 0 || count > 595 {
                assert_eq!(frontier.root(), naive::root(&leaves[..count]), "{count}");
                let again = Frontier::from_peaks(count as u64, frontier.peaks().to_vec());
                assert_eq!(again.as_ref(), Some(&frontier));
            }
        }
        assert_eq!(Frontier::from_peaks(3, vec![Hash::empty()]), None);
    }
}
