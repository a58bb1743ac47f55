//! Words nobody can guess, for the accounts of one run. From the kernel; it must
//! never make them of anything else.

use std::{fs::File, io::Read as _};

use anyhow::{Context as _, Result};

/// None that is taken for another when it is read off a screen. 32 of them: a
/// byte picks each as often as any other.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const GROUP: usize = 4;

/// Four groups of four letters: 80 bits.
pub(crate) fn word() -> Result<String> {
    let mut bytes = [0; 4 * GROUP];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    let groups = bytes.chunks(GROUP).map(|group| {
        let letters = group.iter().map(|byte| LETTERS[usize::from(byte % 32)]);
        letters.map(char::from).collect::<String>()
    });
    Ok(groups.collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_easy_to_type_and_never_the_same() {
        let (first, second) = (word().unwrap(), word().unwrap());
        assert_ne!(first, second);
        for word in [first, second] {
            assert_eq!(word.len(), 19, "{word}");
            let group = |group: &str| group.bytes().all(|letter| LETTERS.contains(&letter));
            assert!(word.split('-').all(group), "{word}");
        }
    }
}
