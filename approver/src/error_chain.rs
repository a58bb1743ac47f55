//! An error as one line: what failed, and why, down to the first cause.

use std::error::Error;

/// `error` and its causes. A cause that is part of the text already, because the
/// library it comes from says it there too, is not said again.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn each_cause_is_said_once() {
        let chain = |text| {
            error_chain(&Outer {
                text,
                source: io::Error::other("disk full"),
            })
        };
        assert_eq!(chain("cannot write"), "cannot write: disk full");
        assert_eq!(chain("cannot write: disk full"), "cannot write: disk full");
    }
}
