//! Words of a query, with where they stand.

use super::QueryError;

/// One word: `-key:value,"other value"`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Word {
    pub(super) negated: bool,
    /// Before the first colon that is outside quotes.
    pub(super) key: Option<Piece>,
    /// Separated by commas.
    pub(super) values: Vec<Piece>,
}

/// Part of a word.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Piece {
    /// Counted from 1 in characters.
    pub(super) column: usize,
    /// Each character, and whether it was quoted.
    pub(super) characters: Vec<(char, bool)>,
    /// Quotes stood in it, so it may be empty on purpose.
    pub(super) quoted: bool,
}

impl Piece {
    pub(super) fn text(&self) -> String {
        self.characters.iter().map(|(one, _)| one).collect()
    }

    fn is_nothing(&self) -> bool {
        self.characters.is_empty() && !self.quoted
    }
}

/// The words of `query`.
pub(super) fn words(query: &str) -> Result<Vec<Word>, QueryError> {
    let characters: Vec<char> = query.chars().collect();
    let mut words = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        if characters[at].is_whitespace() {
            at += 1;
        } else {
            let (word, next) = word(&characters, at)?;
            words.push(word);
            at = next;
        }
    }
    Ok(words)
}

/// The word that begins at `from`, and where it ends.
fn word(characters: &[char], from: usize) -> Result<(Word, usize), QueryError> {
    let mut at = from;
    let negated = characters[at] == '-';
    at += usize::from(negated);
    let piece_at = |at: usize| Piece {
        column: at + 1,
        ..Piece::default()
    };
    let mut key = None;
    let mut values = Vec::new();
    let mut piece = piece_at(at);
    while let Some(&character) = characters.get(at) {
        match character {
            '"' => {
                at = quoted(characters, at, &mut piece)?;
                continue;
            }
            ':' if key.is_none() && values.is_empty() && !piece.quoted => {
                key = Some(std::mem::replace(&mut piece, piece_at(at + 1)));
            }
            ',' => values.push(std::mem::replace(&mut piece, piece_at(at + 1))),
            blank if blank.is_whitespace() => break,
            other => piece.characters.push((other, false)),
        }
        at += 1;
    }
    values.push(piece);
    if let Some(nothing) = values.iter().find(|value| value.is_nothing()) {
        let what = match &key {
            Some(key) => format!("`{}:` wants a value here", key.text()),
            None => "a word is missing here".to_owned(),
        };
        return Err(QueryError {
            column: nothing.column,
            problem: format!("{what}; write \"\" for an empty one"),
        });
    }
    let word = Word {
        negated,
        key,
        values,
    };
    Ok((word, at))
}

/// Reads what is quoted from `open` on into `piece`; gives where it goes on. In
/// quotes, a backslash takes the next character as it is.
fn quoted(characters: &[char], open: usize, piece: &mut Piece) -> Result<usize, QueryError> {
    piece.quoted = true;
    let mut at = open + 1;
    loop {
        match characters.get(at) {
            Some('"') => return Ok(at + 1),
            Some('\\') if at + 1 < characters.len() => {
                piece.characters.push((characters[at + 1], true));
                at += 2;
            }
            Some(other) => {
                piece.characters.push((*other, true));
                at += 1;
            }
            None => {
                return Err(QueryError {
                    column: open + 1,
                    problem: "this quote is never closed".to_owned(),
                });
            }
        }
    }
}
