//! What the kernel's verifier has to look at: a program that grows unseen is one
//! that the next kernel may refuse.

use std::{collections::BTreeMap, fs};

use aya::programs::loaded_programs;
use holdpoint_tests::guest::guest;
use serde::Deserialize;

/// Instructions that the verifier of each kernel looked at, by program.
type Counts = BTreeMap<String, BTreeMap<String, u32>>;

/// Names of programs as the kernel keeps them.
const NAME: usize = 15;

#[derive(Deserialize)]
struct Recorded {
    instructions: Counts,
}

/// All programs of the gate. Some share the beginning of their names, which is all
/// that the kernel keeps: of these the largest counts.
fn counted() -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for program in loaded_programs() {
        let program = program.unwrap();
        let name = program.name_as_str().unwrap_or_default();
        let ours = ["gate_", "end_", "inherit_", "compare_", "tag_"];
        if !ours.iter().any(|begin| name.starts_with(begin)) {
            continue;
        }
        let count = program.verified_instruction_count().unwrap();
        let most = counts.entry(name.to_owned()).or_insert(count);
        *most = count.max(*most);
    }
    counts
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn no_program_grew_by_more_than_a_fifth_root() {
    let _guest = guest();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let series = release.split('.').take(2).collect::<Vec<_>>().join(".");
    let recorded: Recorded = toml::from_str(include_str!("../../verifier.toml")).unwrap();
    let recorded = recorded.instructions.get(&series).cloned();
    let recorded = recorded.unwrap_or_default();
    let counted = counted();
    println!("[instructions.\"{series}\"]");
    for (name, count) in &counted {
        println!("{name} = {count}");
    }
    let mut faults = Vec::new();
    for (name, count) in &counted {
        match recorded.get(name) {
            None => faults.push(format!("{name} is not recorded")),
            Some(known) if u64::from(*count) * 5 > u64::from(*known) * 6 => {
                faults.push(format!("{name} grew from {known} to {count}"));
            }
            Some(_) => {}
        }
    }
    for name in recorded.keys() {
        assert!(name.len() <= NAME, "{name}");
        if !counted.contains_key(name) {
            faults.push(format!("{name} is recorded and not loaded"));
        }
    }
    assert!(
        faults.is_empty(),
        "tests/verifier.toml: {faults:?}; the numbers of this kernel are in the output"
    );
}
