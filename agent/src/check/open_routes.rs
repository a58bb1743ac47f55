//! Which known ways around the gate are open on this kernel, for whoever looks at
//! the host. It informs: no way that is open may make a check fail.

mod table;

use super::Finding;
use table::{ROUTES, Series};

/// What is told of a kernel of this series.
pub(super) fn of(series: Series) -> Finding {
    const NAME: &str = "open routes";
    let mut lines: Vec<String> = ROUTES
        .iter()
        .filter(|route| route.kernels.contains(&series))
        .map(|route| format!("{:4}{}", route.id, route.what))
        .collect();
    let found = match lines.len() {
        0 => return Finding::good(NAME, "no known way around the gate is open on this kernel"),
        1 => "one known way around the gate is open on this kernel".to_owned(),
        many => format!("{many} known ways around the gate are open on this kernel"),
    };
    lines.push("who can go them and what to do about it: docs/security/bypasses.md".to_owned());
    Finding::doubtful(NAME, found, lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Outcome, Report};

    #[test]
    fn what_is_open_is_told_by_kernel_and_fails_nothing() {
        for series in [(6, 1), (6, 12), (7, 3), (0, 0)] {
            let finding = of(series);
            assert_ne!(finding.outcome, Outcome::Lacking);
            let open = ROUTES
                .iter()
                .filter(|route| route.kernels.contains(&series))
                .count();
            // Each in a line of its own, and one that says where to read on.
            let lines = finding
                .mend
                .as_deref()
                .map_or(0, |mend| mend.lines().count());
            assert_eq!(lines, if open == 0 { 0 } else { open + 1 });
            let report = Report::of(vec![finding]);
            assert!(report.ready);
            assert!(report.text().ends_with("This host has what it needs.\n"));
        }
    }

    #[test]
    fn every_way_is_one_line_and_open_somewhere() {
        for route in ROUTES {
            assert!(!route.id.is_empty() && !route.what.contains('\n'));
            assert!(!route.kernels.is_empty(), "{}", route.id);
        }
    }
}
