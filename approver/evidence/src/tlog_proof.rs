//! One record and its proof in one file (C2SP tlog-proof), to be checked years
//! later with nothing but the log's key.
//!
//! The whole record travels as the file's `extra` data, which the format does
//! not vouch for; it counts because its leaf is what the proof proves.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    entry::leaf_of,
    hash::Hash,
    note::VerifierKey,
    proof::{PROOF_MAX, ProofError, verify_inclusion},
};

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// A record and the proof that it is in a log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlogProof {
    /// Of the record.
    pub index: u64,
    /// The record, byte for byte.
    pub record: Vec<u8>,
    /// From the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint the proof leads to.
    pub checkpoint: String,
}

/// Why a proof is not believed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TlogProofError {
    /// The text is no proof.
    #[error("this is no proof of a record: {0}")]
    Form(&'static str),
    /// The checkpoint is wrong.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The record is not in the log.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl TlogProof {
    /// The proof that `text` is.
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        let form = TlogProofError::Form;
        let rest = text
            .strip_prefix(HEADER)
            .ok_or(form("it does not begin with c2sp.org/tlog-proof@v1"))?;
        let (extra, rest) = rest
            .strip_prefix("extra ")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or(form("it does not carry the record"))?;
        let record = STANDARD
            .decode(extra)
            .map_err(|_| form("the record is not base64"))?;
        let (digits, rest) = rest
            .strip_prefix("index ")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or(form("it does not say the index"))?;
        let index = digits
            .parse()
            .ok()
            .filter(|index: &u64| index.to_string() == digits)
            .ok_or(form("the index is no number"))?;
        let mut hashes = Vec::new();
        let mut rest = rest;
        let checkpoint = loop {
            let (line, after) = rest
                .split_once('\n')
                .ok_or(form("it ends before the checkpoint"))?;
            rest = after;
            if line.is_empty() {
                break after.to_owned();
            }
            let hash = Hash::from_base64(line).ok_or(form("a hash is malformed"))?;
            hashes.push(hash);
            if hashes.len() > PROOF_MAX {
                return Err(form("it is longer than any proof"));
            }
        };
        Ok(Self {
            index,
            record,
            hashes,
            checkpoint,
        })
    }

    /// Checks everything: the signature, and that the record is in the log.
    pub fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, TlogProofError> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), key)?;
        let (leaf, index) = (leaf_of(&self.record), self.index);
        verify_inclusion(&self.hashes, leaf, index, checkpoint.size, checkpoint.root)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra = STANDARD.encode(&self.record);
        write!(formatter, "{HEADER}extra {extra}\nindex {}\n", self.index)?;
        for hash in &self.hashes {
            writeln!(formatter, "{}", hash.to_base64())?;
        }
        write!(formatter, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::ENTRY_MAX,
        note::tests::key,
        proof::inclusion,
        tiles::{Tree, tests::kept},
        tree::naive,
    };

    fn made(record: &[u8]) -> (TlogProof, crate::SigningKey) {
        let mut leaves = naive::leaves(300);
        leaves[260] = leaf_of(record);
        let kept = kept(&leaves);
        let key = key("log");
        let checkpoint = Checkpoint {
            origin: "log".into(),
            size: 300,
            root: naive::root(&leaves),
        };
        let proof = TlogProof {
            index: 260,
            record: record.to_vec(),
            hashes: inclusion(&mut Tree::new(&kept, 300), 260).unwrap(),
            checkpoint: checkpoint.sign(&key),
        };
        (proof, key)
    }

    #[test]
    fn a_proof_stands_for_itself() {
        for record in [&b"{\"a\":1}"[..], b"", &vec![b'{'; ENTRY_MAX + 7]] {
            let (proof, key) = made(record);
            let text = proof.to_string();
            let read = TlogProof::parse(&text).unwrap();
            assert_eq!(read, proof);
            assert_eq!(read.verify(key.verifier()).unwrap().size, 300);
        }
    }

    #[test]
    fn every_change_is_refused() {
        let (proof, key) = made(b"{\"a\":1}");
        let text = proof.to_string();
        let verify = |text: &str| -> Result<_, TlogProofError> {
            TlogProof::parse(text)?.verify(key.verifier())
        };
        verify(&text).unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(verify(&changed).is_err(), "byte {at}: {changed}");
            }
            if text.is_char_boundary(at) {
                assert!(verify(&text[..at]).is_err(), "cut at {at}");
            }
        }
        let line = format!("{}\n", Hash::leaf(b"").to_base64());
        let long = text.replace("index 260\n", &format!("index 260\n{}", line.repeat(70)));
        assert!(matches!(verify(&long), Err(TlogProofError::Form(_))));
    }
}
