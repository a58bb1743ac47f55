//! Lists as aligned text or as JSON.

use std::io::Write;

use anyhow::Context as _;
use serde::Serialize;

/// Prints `items`, one a line under `head`, or all as a JSON array.
pub(super) fn print<T: Serialize, const N: usize>(
    out: &mut (dyn Write + Send),
    json: bool,
    items: &[T],
    head: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> anyhow::Result<()> {
    let text = if json {
        serde_json::to_string_pretty(items)? + "\n"
    } else {
        align(head, items.iter().map(row).collect())
    };
    out.write_all(text.as_bytes())
        .context("cannot print the list")
}

fn align<const N: usize>(head: [&str; N], mut rows: Vec<[String; N]>) -> String {
    rows.insert(0, head.map(str::to_owned));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![
            ["a".into(), "long cell".into()],
            ["bb".into(), String::new()],
        ];
        assert_eq!(align(["X", "Y"], rows), "X   Y\na   long cell\nbb\n");
    }
}
