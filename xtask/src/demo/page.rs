//! What the demo prints: who did or said what, in two columns. It only formats.

use std::io::{self, Write as _};

/// Long lines go on below.
const WIDTH: usize = 100;
const COLUMN: usize = 11;

/// A line of its own, with space around it.
pub(crate) fn heading(text: &str) {
    print(&format!("\n{text}\n\n"));
}

/// What somebody does or says, or what is seen.
pub(crate) fn line(who: &str, text: &str) {
    print(&laid_out(who, text));
}

/// Lines to copy from, as they are.
pub(crate) fn verbatim(lines: &[String]) {
    print(&format!("    {}\n\n", lines.join("\n    ")));
}

fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    // Whoever closed the page wants to see no more of it; what is observed
    // counts all the same.
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

fn laid_out(who: &str, text: &str) -> String {
    let mut page = format!("{who:>COLUMN$}  ");
    let mut at = COLUMN + 2;
    for (index, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if index > 0 {
            if at + 1 + width > WIDTH {
                page.push('\n');
                page.push_str(&" ".repeat(COLUMN + 4));
                at = COLUMN + 4;
            } else {
                page.push(' ');
                at += 1;
            }
        }
        page.push_str(word);
        at += width;
    }
    page.push('\n');
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_below() {
        assert_eq!(laid_out("agent", "$ a  b"), "      agent  $ a  b\n");
        let long = laid_out("seen", &["word"; 30].join(" "));
        assert!(long.lines().count() > 1);
        assert!(long.lines().all(|line| line.len() <= WIDTH), "{long}");
        assert_eq!(long.matches("word").count(), 30);
    }
}
