//! Says what the approver's binary is made of beside its sources: the migrations
//! and the built dashboard. Never fails: without a dashboard the approver serves
//! a page that says so.

use std::fs;

const DASHBOARD: &str = "ui/dist";

fn main() {
    // A watched folder that doesn't exist would make cargo build anew each time.
    // If it can't be made, that is all that happens.
    let _ = fs::create_dir_all(DASHBOARD);
    for input in ["build.rs", "migrations", DASHBOARD] {
        println!("cargo::rerun-if-changed={input}");
    }
}
