//! `prove` and `proof verify`: one record, and why it can't be denied.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use holdpoint_evidence::{
    Checkpoint, Resource, VerifierKey,
    audit::{Source, SourceTiles, continues},
    entry::{self, Stub},
    proof,
    tiles::{self, Tree, TreeError},
    tlog_proof::TlogProof,
};
use serde_json::{Value, json};

use super::{AuditError, check, connect, live::Live, memory::Memories, trusted};
use crate::{args::Prove, escape, failure::Failure, output::Output};

/// Digits up to here are an index; an id has no fewer than 32 without its
/// hyphens, and its beginnings with letters or hyphens are told apart by those.
const DIGITS_MAX: usize = 20;

/// The header that begins each proof of a file.
const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// Proves the records that `prove` names.
pub(super) fn prove(name: &str, prove: &Prove, output: &mut Output) -> Result<(), Failure> {
    let mut live = connect(name)?;
    let indices = indices(&mut live, &prove.what)?;
    let known = Memories::open(name)?.load()?;
    let trusted = trusted(&prove.trust, known.as_ref().map(|known| &known.key))?;
    let (note, served) = live.checkpoint()?;
    let first_use = trusted.key.is_none();
    let key = trusted.key.unwrap_or(served);
    let checkpoint = check::open(&note, &key).map_err(AuditError::from)?;
    let kept = match &trusted.kept {
        None => None,
        Some(kept) => Some(Checkpoint::open(kept, &key).map_err(AuditError::from)?),
    };
    let seen = known
        .filter(|known| known.key == key)
        .map(|known| known.checkpoint);
    for old in kept.into_iter().chain(seen) {
        continues(&mut live, &old, &checkpoint).map_err(AuditError::from)?;
    }
    let mut proofs = Vec::new();
    for index in indices {
        let proof = make(&mut live, index, &checkpoint, &note)?;
        proof.verify(&key).map_err(AuditError::from)?;
        proofs.push(proof);
    }
    if let Some(path) = &prove.output {
        let file: String = proofs.iter().map(ToString::to_string).collect();
        let written = fs::write(path, file);
        written.map_err(|source| AuditError::Write {
            path: path.clone(),
            source,
        })?;
    }
    if output.json {
        let records: Vec<Value> = proofs
            .iter()
            .map(|proof| {
                json!({
                    "log_index": proof.index.to_string(),
                    "record": record(proof),
                    "proof": proof.to_string(),
                })
            })
            .collect();
        return output.json(&json!({ "verifier_key": key.to_string(), "records": records }));
    }
    for proof in &proofs {
        output.text(&told(proof, &checkpoint, &key))?;
    }
    if first_use {
        output.text("The key was taken on trust; `holdpoint audit verify` remembers it\n")?;
    }
    if let Some(path) = &prove.output {
        let path = escape::name(&path.display().to_string());
        output.text(&format!(
            "Written to {path}; `holdpoint audit proof verify {path}` checks it\n"
        ))?;
    }
    Ok(())
}

/// Checks the proofs in a file.
pub(super) fn verify(
    name: &str,
    path: &Path,
    key: Option<&VerifierKey>,
    output: &mut Output,
) -> Result<(), Failure> {
    let key = if let Some(key) = key {
        key.clone()
    } else {
        let known = Memories::open(name)?.load()?;
        known.ok_or(AuditError::NoKey)?.key
    };
    let text = fs::read_to_string(path).map_err(|source| AuditError::Read {
        path: PathBuf::from(path),
        source,
    })?;
    let mut proofs = Vec::new();
    for text in parts(&text) {
        let proof = TlogProof::parse(text).map_err(AuditError::from)?;
        let checkpoint = proof.verify(&key).map_err(AuditError::from)?;
        proofs.push((proof, checkpoint));
    }
    if output.json {
        let records: Vec<Value> = proofs
            .iter()
            .map(|(proof, checkpoint)| {
                json!({
                    "log_index": proof.index.to_string(),
                    "record": record(proof),
                    "size": checkpoint.size.to_string(),
                    "root": checkpoint.root.to_string(),
                })
            })
            .collect();
        return output.json(&json!({ "verifier_key": key.to_string(), "records": records }));
    }
    for (proof, checkpoint) in &proofs {
        output.text(&told(proof, checkpoint, &key))?;
    }
    Ok(())
}

/// The proofs in a file, one after the other.
fn parts(text: &str) -> Vec<&str> {
    let separator = format!("\n{HEADER}");
    let mut starts = vec![0];
    // A checkpoint ends with its last signature line, so the header begins a
    // line; inside a proof no line can be the header.
    starts.extend(text.match_indices(&separator).map(|(at, _)| at + 1));
    let ends = starts[1..].iter().copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &text[*start..end])
        .collect()
}

/// The records that `what` names.
fn indices(live: &mut Live, what: &str) -> Result<Vec<u64>, Failure> {
    if what.len() <= DIGITS_MAX
        && what.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(index) = what.parse()
    {
        return Ok(vec![index]);
    }
    if what
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        && !what.is_empty()
    {
        return live.records_about(what);
    }
    Err(AuditError::Unclear {
        what: what.to_owned(),
    }
    .into())
}

fn make(
    live: &mut Live,
    index: u64,
    checkpoint: &Checkpoint,
    note: &str,
) -> Result<TlogProof, AuditError> {
    let size = checkpoint.size;
    let beyond = TreeError::Beyond { size, asked: index };
    let bundle = index / tiles::TILE_WIDTH as u64;
    let width = tiles::width(0, bundle, size)
        .filter(|_| index < size)
        .ok_or_else(|| AuditError::from(beyond))?;
    let resource = Resource::Entries {
        index: bundle,
        width,
    };
    let bytes = live
        .read(resource)?
        .ok_or(AuditError::RecordMissing(index))?;
    let at = usize::try_from(index % tiles::TILE_WIDTH as u64).unwrap_or(usize::MAX);
    let entries = entry::entries(&bytes, width.get())
        .map_err(|error| AuditError::Tree(format!("{resource} is damaged: {error}")))?;
    let entry = entries.get(at).ok_or(AuditError::RecordMissing(index))?;
    let record = if Stub::parse(entry).is_some() {
        let whole = live.read(Resource::Record { index })?;
        whole.ok_or(AuditError::RecordMissing(index))?
    } else {
        entry.to_vec()
    };
    let mut tree = Tree::new(SourceTiles(live), size);
    Ok(TlogProof {
        index,
        record,
        hashes: proof::inclusion(&mut tree, index)?,
        checkpoint: note.to_owned(),
    })
}

fn record(proof: &TlogProof) -> Value {
    serde_json::from_slice(&proof.record)
        .unwrap_or_else(|_| json!(String::from_utf8_lossy(&proof.record)))
}

/// A proven record, for a person.
fn told(proof: &TlogProof, checkpoint: &Checkpoint, key: &VerifierKey) -> String {
    let mut text = String::new();
    let pretty = serde_json::to_string_pretty(&record(proof)).unwrap_or_default();
    // Writing to a String can't fail.
    let _ = writeln!(
        text,
        "Record {} of {}",
        proof.index,
        escape::name(key.name())
    );
    for line in pretty.lines() {
        let _ = writeln!(text, "  {}", escape::sentence(line));
    }
    let (size, root) = (checkpoint.size, checkpoint.root);
    let _ = writeln!(text, "is in the log of {size} records with root {root}");
    for hash in &proof.hashes {
        let _ = writeln!(text, "  {hash}");
    }
    let _ = writeln!(
        text,
        "signed by {}: proven\n",
        escape::name(&key.to_string())
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_hold_several_proofs() {
        let one = format!("{HEADER}extra AA==\nindex 1\n\nlog\n1\nx\n\n\u{2014} log y\n");
        assert_eq!(parts(&one), [&one]);
        assert_eq!(parts(&format!("{one}{one}{one}")), [&one, &one, &one]);
        assert_eq!(parts(""), [""]);
    }
}
