//! Finds the tests that rows name as their proof. Reads sources, and never runs
//! anything: whether a test passes is for the tests' own run to say.

use std::{fs, path::Path};

/// The crates whose own tests may be named, and where they are.
const CRATES: [(&str, &str); 8] = [
    ("agent", "agent"),
    ("agent-common", "agent-common"),
    ("approver", "approver"),
    ("cli", "cli"),
    ("evidence", "approver/evidence"),
    ("history", "approver/history"),
    ("proto", "proto"),
    ("xtask", "xtask"),
];

/// Where a test would be.
#[derive(Debug, Eq, PartialEq)]
struct Place<'a> {
    /// The files that may hold it, from the workspace's root.
    files: Vec<String>,
    /// The file that has to name its module, or no run would include it.
    declared_in: Option<(String, &'a str)>,
    name: &'a str,
}

/// Whether the test `proof` is there; the error says what to do about it.
pub(super) fn look_up(root: &Path, proof: &str) -> Result<(), String> {
    let place = place(proof)?;
    if let Some((file, module)) = &place.declared_in {
        let line = format!("mod {module};");
        let code = fs::read_to_string(root.join(file)).unwrap_or_default();
        if !code.lines().any(|one| one.trim() == line) {
            return Err(format!(
                "{file} has no `{line}`: name a module that is in it"
            ));
        }
    }
    // Which of the files exist depends on how the module is laid out.
    let codes = place.files.iter().map(|file| root.join(file));
    let mut codes = codes.filter_map(|file| fs::read_to_string(file).ok());
    if codes.any(|code| has_test(&code, place.name)) {
        return Ok(());
    }
    let files = place.files.join(" or ");
    Err(format!(
        "{files} has no test of that name: correct it, or write open"
    ))
}

fn place(proof: &str) -> Result<Place<'_>, String> {
    let unknown =
        || "write vm::FILE::TEST, e2e::FILE::TEST or unit::CRATE::MODULE::TEST".to_owned();
    let segments: Vec<&str> = proof.split("::").collect();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !segments
        .iter()
        .all(|segment| !segment.is_empty() && segment.bytes().all(allowed))
    {
        return Err(unknown());
    }
    match segments.as_slice() {
        [level @ ("vm" | "e2e"), module, name] => Ok(Place {
            files: vec![format!("tests/tests/{level}/{module}.rs")],
            declared_in: Some((format!("tests/tests/{level}.rs"), module)),
            name,
        }),
        ["unit", krate, modules @ .., name] => {
            let known = CRATES.iter().find(|(one, _)| one == krate);
            let (_, folder) = known.ok_or_else(|| format!("there is no crate {krate}"))?;
            Ok(Place {
                files: files(folder, modules),
                declared_in: None,
                name,
            })
        }
        _ => Err(unknown()),
    }
}

/// The files of a module; a module of tests may be inside the one it tests.
fn files(folder: &str, modules: &[&str]) -> Vec<String> {
    let file = |modules: &[&str]| format!("{folder}/src/{}.rs", modules.join("/"));
    match modules {
        [] | ["tests"] => vec![
            format!("{folder}/src/lib.rs"),
            format!("{folder}/src/main.rs"),
        ],
        [outer @ .., "tests"] => vec![file(modules), file(outer)],
        _ => vec![file(modules)],
    }
}

/// Whether `code` has a test named `name`, and not just a function.
fn has_test(code: &str, name: &str) -> bool {
    let mut marked = false;
    for line in code.lines().map(str::trim) {
        if line.starts_with("//") {
            continue;
        }
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(function) = function(line) {
            if marked && function == name {
                return true;
            }
            marked = false;
        }
    }
    false
}

/// The function that a line begins to define.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_a_function_that_is_marked_as_one() {
        let code = "fn helper() {}\n\
                    #[test]\n#[ignore = \"needs a guest\"]\nfn one_root() {\n    helper();\n}\n\
                    fn not_marked() {}\n\
                    #[tokio::test(\n    flavor = \"multi_thread\"\n)]\nasync fn two() {}\n\
                    // #[test]\n// fn three() {}\nproptest! {\n    #[test]\n    fn four(x in 0..9) {\n";
        for name in ["one_root", "two", "four"] {
            assert!(has_test(code, name), "{name}");
        }
        for name in ["helper", "not_marked", "three", "one", "one_root_more"] {
            assert!(!has_test(code, name), "{name}");
        }
    }

    #[test]
    fn a_path_leads_to_the_files_that_may_hold_it() {
        let of = |proof| place(proof).unwrap();
        let vm = of("vm::connect::some_root");
        assert_eq!(vm.files, ["tests/tests/vm/connect.rs"]);
        assert_eq!(
            vm.declared_in,
            Some(("tests/tests/vm.rs".to_owned(), "connect"))
        );
        assert_eq!(vm.name, "some_root");
        assert_eq!(
            of("unit::agent::holds::tests::some").files,
            ["agent/src/holds/tests.rs", "agent/src/holds.rs"]
        );
        assert_eq!(
            of("unit::evidence::tests::some").files,
            [
                "approver/evidence/src/lib.rs",
                "approver/evidence/src/main.rs"
            ]
        );
        for bad in [
            "connect::some",
            "vm::some",
            "vm::../a::b",
            "unit::agent",
            "vm::a::b::c",
            "",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
        assert!(
            place("unit::nothing::tests::some")
                .unwrap_err()
                .contains("no crate")
        );
    }

    #[test]
    fn this_very_test_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let here = "unit::xtask::bypasses::proof::tests::this_very_test_is_found";
        assert_eq!(look_up(root, here), Ok(()));
        assert!(look_up(root, "unit::xtask::bypasses::proof::tests::never").is_err());
        let undeclared = look_up(root, "vm::nowhere::at_all_root").unwrap_err();
        assert!(
            undeclared.contains("tests/tests/vm.rs has no"),
            "{undeclared}"
        );
    }
}
