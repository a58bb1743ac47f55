//! What a statement may be before anything reads it. Pure.
//!
//! The engine goes down into a statement as deep as it is nested, tries some
//! places twice, and knows no bound of its own. So the words are counted first:
//! no tree that is made of them is deeper than there are words.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    keywords::Keyword,
    tokenizer::{Token, Tokenizer},
};

use crate::HistoryError;

/// Longest statement, in bytes.
const SQL_MAX: usize = 8 * 1024;
/// Most words, signs and values.
const WORDS_MAX: usize = 1000;
/// Most parentheses in each other.
const DEPTH_MAX: usize = 12;
/// Most of the words that begin what the parser may read twice.
const BEGINNINGS_MAX: usize = 16;

/// What `HistoryError::Sql` says of anything but a question.
const ONLY_SELECT: &str = "only SELECT is answered, also with WITH before it";

/// Looks at the words of `sql`.
pub(super) fn examine(sql: &str) -> Result<(), HistoryError> {
    refuse(sql).map_or(Ok(()), |why| Err(HistoryError::Sql(why)))
}

fn refuse(sql: &str) -> Option<String> {
    if sql.len() > SQL_MAX {
        let length = sql.len();
        return Some(format!(
            "the statement has {length} bytes; the most is {SQL_MAX}"
        ));
    }
    let tokens = match Tokenizer::new(&GenericDialect {}, sql).tokenize() {
        Ok(tokens) => tokens,
        Err(error) => return Some(error.to_string()),
    };
    let words = tokens
        .iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)));
    let (mut count, mut depth, mut beginnings) = (0, 0_usize, 0);
    for word in words {
        if count == 0 && !begins_question(word) {
            return Some(ONLY_SELECT.to_owned());
        }
        count += 1;
        match word {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::StringConcat => {
                return Some("|| is not answered: text that grows has no bound".to_owned());
            }
            Token::LBracket | Token::LBrace => {
                return Some(format!("{word} is not answered: there are no lists here"));
            }
            Token::Word(word) if matches!(word.keyword, Keyword::SELECT | Keyword::INTERVAL) => {
                beginnings += 1;
            }
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Some(format!("more than {DEPTH_MAX} parentheses in each other"));
        }
        if beginnings > BEGINNINGS_MAX {
            return Some(format!(
                "more than {BEGINNINGS_MAX} times SELECT or INTERVAL"
            ));
        }
    }
    match count {
        0 => Some(ONLY_SELECT.to_owned()),
        count if count > WORDS_MAX => Some(format!(
            "the statement has {count} words; the most is {WORDS_MAX}"
        )),
        _ => None,
    }
}

fn begins_question(word: &Token) -> bool {
    match word {
        Token::LParen => true,
        Token::Word(word) => matches!(word.keyword, Keyword::SELECT | Keyword::WITH),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(sql: &str, because: &str) {
        let why = refuse(sql).unwrap_or_default();
        assert!(why.contains(because), "{sql:.60}: {why:?}");
    }

    #[test]
    fn questions_pass() {
        for sql in [
            "SELECT 1",
            "  -- a word first\n select * from events",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "(SELECT 1) UNION (SELECT 2)",
            "SELECT '((((((((((((((((((((((((', '||', '[' FROM events",
        ] {
            assert_eq!(refuse(sql), None, "{sql}");
        }
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused_with_the_bound() {
        refused(&format!("SELECT {}", "x".repeat(SQL_MAX)), "8199 bytes");
        let chain = format!("SELECT {}1", "1+".repeat(4000));
        refused(&chain, "8002 words; the most is 1000");
        let deep = format!("SELECT {}1{}", "(".repeat(13), ")".repeat(13));
        refused(&deep, "more than 12 parentheses");
        let deep = format!("SELECT {}1{}", "(".repeat(12), ")".repeat(12));
        assert_eq!(refuse(&deep), None);
        let many = vec!["SELECT 1"; 17].join(" UNION ");
        refused(&many, "more than 16 times SELECT");
        refused(&format!("SELECT {}", "INTERVAL ".repeat(16)), "INTERVAL");
    }

    #[test]
    fn only_questions_are_read() {
        for sql in [
            "",
            " \n-- nothing",
            "EXPLAIN SELECT 1",
            "DROP TABLE events",
            "COPY (SELECT 1) TO 'x'",
            "not sql",
            "1",
        ] {
            refused(sql, "only SELECT");
        }
        refused("SELECT 'a' || 'b'", "|| is not answered");
        refused("SELECT [1]", "[ is not answered");
        refused("SELECT 'open", "Unterminated");
    }
}
