//! Embeds the eBPF object that `cargo xtask build` made. A plain `cargo build`
//! has none: the daemon then runs with the simulated kernel only and says so.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=HOLDPOINT_GATE_OBJECT");
    let object = env::var_os("HOLDPOINT_GATE_OBJECT").map(PathBuf::from);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("gate.o");
    match object {
        Some(path) => {
            println!("cargo::rerun-if-changed={}", path.display());
            if let Err(error) = fs::copy(&path, &out) {
                panic!(
                    "HOLDPOINT_GATE_OBJECT: cannot copy {}: {error}",
                    path.display()
                );
            }
        }
        None => fs::write(&out, []).expect("OUT_DIR is writable"),
    }
    println!("cargo::rustc-env=HOLDPOINT_GATE_EMBEDDED={}", out.display());
}
