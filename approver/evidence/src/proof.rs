//! Proofs: that a leaf is in a tree, and that one tree is the beginning of
//! another. Made from tiles, checked from the proof alone (RFC 9162, 2.1.3 and
//! 2.1.4).

use crate::{
    hash::Hash,
    tiles::{Tiles, Tree, TreeError, split},
};

/// Most hashes of a proof in a tree of fewer than 2^64 leaves.
pub const PROOF_MAX: usize = 65;

/// A proof does not prove it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProofError {
    /// The record is not in the tree, or the proof is another's.
    #[error("the proof does not lead from record {index} to the root of the {size} records")]
    Inclusion {
        /// Of the leaf.
        index: u64,
        /// Of the tree.
        size: u64,
    },
    /// The old tree is not the beginning of the new one, or the proof is
    /// another's.
    #[error("the first {old} of the {new} records are not those that were signed before")]
    Consistency {
        /// Size of the old tree.
        old: u64,
        /// Size of the new one.
        new: u64,
    },
}

/// The proof that leaf `index` is in `tree`.
pub fn inclusion<T: Tiles>(
    tree: &mut Tree<T>,
    index: u64,
) -> Result<Vec<Hash>, TreeError<T::Error>> {
    let (mut start, mut end) = (0, tree.size());
    if index >= end {
        return Err(TreeError::Beyond {
            size: end,
            asked: index,
        });
    }
    let mut proof = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(tree.range(middle, end)?);
            end = middle;
        } else {
            proof.push(tree.range(start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `old` leaves is the beginning of `tree`.
pub fn consistency<T: Tiles>(
    tree: &mut Tree<T>,
    old: u64,
) -> Result<Vec<Hash>, TreeError<T::Error>> {
    let (mut start, mut end) = (0, tree.size());
    if old > end {
        return Err(TreeError::Beyond {
            size: end,
            asked: old,
        });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let mut proof = Vec::new();
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(tree.range(middle, end)?);
            end = middle;
        } else {
            proof.push(tree.range(start, middle)?);
            start = middle;
        }
    }
    // Where the old tree is itself a part of the new one, its root is known.
    if start > 0 {
        proof.push(tree.range(start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` shows that `leaf` is at `index` in the tree of `size` leaves
/// with this root.
pub fn verify_inclusion(
    proof: &[Hash],
    leaf: Hash,
    index: u64,
    size: u64,
    root: Hash,
) -> Result<(), ProofError> {
    let refused = ProofError::Inclusion { index, size };
    if index >= size {
        return Err(refused);
    }
    let (mut at, mut last, mut node) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(refused);
        }
        if at & 1 == 1 || at == last {
            node = Hash::node(*sibling, node);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            node = Hash::node(node, *sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && node == root {
        Ok(())
    } else {
        Err(refused)
    }
}

/// Whether `proof` shows that the tree of `old` leaves with root `old_root` is
/// the beginning of the tree of `new` leaves with root `new_root`.
pub fn verify_consistency(
    proof: &[Hash],
    old: u64,
    old_root: Hash,
    new: u64,
    new_root: Hash,
) -> Result<(), ProofError> {
    let refused = ProofError::Consistency { old, new };
    let accept = |good: bool| if good { Ok(()) } else { Err(refused) };
    if old == 0 {
        return accept(proof.is_empty() && old_root == Hash::empty());
    }
    if old >= new {
        return accept(old == new && proof.is_empty() && old_root == new_root);
    }
    let mut hashes = proof.iter().copied();
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        hashes.next()
    };
    let first = first.ok_or(refused)?;
    let shift = (old - 1).trailing_ones();
    let (mut at, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_node, mut new_node) = (first, first);
    for sibling in hashes {
        if last == 0 {
            return Err(refused);
        }
        if at & 1 == 1 || at == last {
            old_node = Hash::node(sibling, old_node);
            new_node = Hash::node(sibling, new_node);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new_node = Hash::node(new_node, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    accept(last == 0 && old_node == old_root && new_node == new_root)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{tiles::tests::kept, tree::naive};

    #[test]
    fn all_proofs_of_small_trees_are_those_of_the_naive_tree_and_verify() {
        let leaves = naive::leaves(70);
        let kept = kept(&leaves);
        for size in 1..=leaves.len() {
            let (now, root) = (size as u64, naive::root(&leaves[..size]));
            let mut tree = Tree::new(&kept, now);
            for index in 0..size {
                let proof = inclusion(&mut tree, index as u64).unwrap();
                assert_eq!(proof, naive::inclusion(index, &leaves[..size]));
                assert!(proof.len() <= PROOF_MAX);
                verify_inclusion(&proof, leaves[index], index as u64, now, root).unwrap();
                for other in 0..=size {
                    let other = other as u64;
                    let again = verify_inclusion(&proof, leaves[index], other, now, root);
                    assert_eq!(again.is_ok(), other == index as u64);
                }
            }
            for old in 0..=size {
                let before = naive::root(&leaves[..old]);
                let proof = consistency(&mut tree, old as u64).unwrap();
                assert_eq!(
                    proof,
                    naive::consistency(old, &leaves[..size]),
                    "{old} {size}"
                );
                verify_consistency(&proof, old as u64, before, now, root).unwrap();
                let bad = Hash::leaf(b"bad");
                assert!(verify_consistency(&proof, old as u64, bad, now, root).is_err());
                if old > 0 {
                    assert!(verify_consistency(&proof, old as u64, before, now, bad).is_err());
                }
            }
        }
    }

    #[test]
    fn proofs_beyond_the_tree_are_refused() {
        let leaves = naive::leaves(10);
        let kept = kept(&leaves);
        let mut tree = Tree::new(&kept, 10);
        assert!(inclusion(&mut tree, 10).is_err());
        assert!(consistency(&mut tree, 11).is_err());
        let root = naive::root(&leaves);
        assert!(verify_inclusion(&[], leaves[0], 0, 0, root).is_err());
        assert!(verify_consistency(&[], 11, root, 10, root).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn proofs_across_tiles(size in 200_usize..1200, pick: u64, change in 0_usize..64) {
            let leaves = naive::leaves(size);
            let kept = kept(&leaves);
            let (now, root) = (size as u64, naive::root(&leaves));
            let mut tree = Tree::new(&kept, now);

            let index = usize::try_from(pick % now).unwrap();
            let mut proof = inclusion(&mut tree, index as u64).unwrap();
            prop_assert_eq!(&proof, &naive::inclusion(index, &leaves));
            verify_inclusion(&proof, leaves[index], index as u64, now, root).unwrap();
            let at = change % proof.len();
            proof[at].0[change % 32] ^= 1;
            prop_assert!(verify_inclusion(&proof, leaves[index], index as u64, now, root).is_err());
            proof.remove(at);
            prop_assert!(verify_inclusion(&proof, leaves[index], index as u64, now, root).is_err());

            let old = usize::try_from(pick % (now - 1)).unwrap() + 1;
            let before = naive::root(&leaves[..old]);
            let mut proof = consistency(&mut tree, old as u64).unwrap();
            prop_assert_eq!(&proof, &naive::consistency(old, &leaves));
            verify_consistency(&proof, old as u64, before, now, root).unwrap();
            if let Some(at) = change.checked_rem(proof.len()) {
                proof[at].0[change % 32] ^= 1;
                prop_assert!(verify_consistency(&proof, old as u64, before, now, root).is_err());
                proof.remove(at);
                prop_assert!(verify_consistency(&proof, old as u64, before, now, root).is_err());
            }
        }

        #[test]
        fn no_proof_makes_the_verifier_fail_otherwise(
            proof in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
            a: u64, b: u64,
        ) {
            let proof: Vec<Hash> = proof.into_iter().map(Hash).collect();
            let some = Hash::leaf(b"");
            prop_assert!(verify_inclusion(&proof, some, a, b, Hash([7; 32])).is_err());
            prop_assert!(verify_consistency(&proof, a, some, b, Hash([7; 32])).is_err());
        }
    }
}
