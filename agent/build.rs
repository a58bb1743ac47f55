//! Embeds the eBPF object that `cargo xtask build` made. A plain `cargo build`
//! has none: the daemon then runs with the simulated kernel only and says so.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=HOLDPOINT_GATE_OBJECT");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("gate.o");
    match env::var_os("HOLDPOINT_GATE_OBJECT").map(PathBuf::from) {
        Some(object) => {
            println!("cargo::rerun-if-changed={}", object.display());
            fs::copy(&object, &out).map_err(|error| {
                format!(
                    "HOLDPOINT_GATE_OBJECT: cannot copy {}: {error}",
                    object.display()
                )
            })?;
        }
        None => fs::write(&out, [])?,
    }
    println!("cargo::rustc-env=HOLDPOINT_GATE_EMBEDDED={}", out.display());
    Ok(())
}
