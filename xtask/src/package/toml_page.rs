//! The man page of a configuration file, from the commented sample: what stands
//! there for people who open the file stands in the page, too.

use std::fmt::Write as _;

/// The page `name`(5) of a file that `program` reads.
pub(super) fn render(name: &str, program: &str, sample: &str) -> String {
    let mut page = format!(
        ".TH {} 5 \"\" \"holdpoint {}\" Holdpoint\n.SH NAME\n{} \\- configuration of {}\n",
        name.to_uppercase(),
        env!("CARGO_PKG_VERSION"),
        escaped(name),
        escaped(program),
    );
    let mut introduced = false;
    for block in blocks(sample) {
        let (comments, rest): (Vec<&str>, Vec<&str>) =
            block.iter().partition(|line| line.starts_with('#'));
        if introduced {
            setting(&mut page, &comments, &rest);
        } else {
            introduced = true;
            page.push_str(".SH DESCRIPTION\n");
            prose(&mut page, &comments);
            page.push_str(".SH SETTINGS\nEach with its default.\n");
            setting(&mut page, &[], &rest);
        }
    }
    let _ = write!(
        page,
        ".SH SEE ALSO\n.BR {} (8)\n",
        escaped(program).replace('.', "\\&.")
    );
    page
}

/// Lines that stand together, and each table's head on its own.
fn blocks(sample: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in sample.lines() {
        if line.trim().is_empty() {
            blocks.push(Vec::new());
            continue;
        }
        if line.starts_with('[') {
            blocks.push(vec![line]);
            blocks.push(Vec::new());
        } else if let Some(last) = blocks.last_mut() {
            // A comment behind a setting belongs to the next.
            if line.starts_with('#') && last.iter().any(|had| !had.starts_with('#')) {
                blocks.push(vec![line]);
            } else {
                last.push(line);
            }
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

fn setting(page: &mut String, comments: &[&str], rest: &[&str]) {
    match rest {
        [] if comments.is_empty() => {}
        [] => {
            page.push_str(".PP\n");
            prose(page, comments);
        }
        [table] if table.starts_with('[') => {
            let _ = writeln!(page, ".SS {}", escaped(table));
        }
        lines => {
            page.push_str(".TP\n");
            let _ = writeln!(page, ".B {}", escaped(lines[0]));
            for line in &lines[1..] {
                let _ = writeln!(page, ".br\n.B {}", escaped(line));
            }
            prose(page, comments);
        }
    }
}

/// Comments as paragraphs; from a table that is commented out on, an example.
fn prose(page: &mut String, comments: &[&str]) {
    let mut example = false;
    for comment in comments {
        let text = comment.strip_prefix('#').unwrap_or(comment);
        let text = text.strip_prefix(' ').unwrap_or(text);
        if text.starts_with('[') && !example {
            example = true;
            page.push_str(".PP\n.EX\n");
        }
        if example {
            let _ = writeln!(page, "{}", escaped(text));
        } else if text.is_empty() {
            page.push_str(".PP\n");
        } else {
            let _ = writeln!(page, "{}", escaped(text));
        }
    }
    if example {
        page.push_str(".EE\n");
    }
}

/// The text as roff shows it: no line of it is a request.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('"', "\\(dq");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "# What it is.\n\n# Where to listen.\n# Any address.\n\
        listen = \"::1\"\n\n[limits]\n# Most.\nmost = 3\n# Least.\nleast = 1\n\n\
        # A kind.\n#\n# [kinds.a]\n# # Whose.\n# owner = \"ada\"\n";

    #[test]
    fn every_setting_and_every_word_is_in_the_page() {
        let page = render("x.toml", "xd", SAMPLE);
        for part in [
            ".SH DESCRIPTION\nWhat it is.\n",
            ".TP\n.B listen = \\(dq::1\\(dq\nWhere to listen.\nAny address.\n",
            ".SS [limits]\n.TP\n.B most = 3\nMost.\n.TP\n.B least = 1\nLeast.\n",
            ".PP\nA kind.\n.PP\n.PP\n.EX\n[kinds.a]\n# Whose.\nowner = \\(dqada\\(dq\n.EE\n",
        ] {
            assert!(page.contains(part), "{part:?} is not in\n{page}");
        }
    }

    #[test]
    fn nothing_of_a_sample_is_taken_for_a_request() {
        assert_eq!(escaped(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escaped("a\\fB-b"), "a\\efB\\-b");
    }

    #[test]
    fn the_samples_of_this_repository_have_all_their_settings_in_the_pages() {
        let layout = crate::layout::Layout::discover().unwrap();
        for (sample, program) in [
            ("approver.toml", "holdpoint-approver"),
            ("holdpointd.toml", "holdpointd"),
        ] {
            let text = std::fs::read_to_string(layout.root.join("packaging").join(sample)).unwrap();
            let page = render(sample, program, &text);
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                let words = line.trim_start_matches('#').trim();
                assert!(page.contains(&escaped(words)), "{words:?}");
            }
        }
    }
}
