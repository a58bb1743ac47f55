//! A kernel without `bpf` among its security modules: everything loads and
//! attaches, and nothing is ever judged. Booted on its own.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use holdpoint_tests::{patience::wait_until, programs::program};

const LIST: &str = "/sys/kernel/security/lsm";
const FOLDER: &str = "/run/no-module";

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // Gone already, or gone now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn daemon() -> Command {
    let mut command = Command::new(program("holdpointd"));
    command.args(["--config", &format!("{FOLDER}/holdpointd.toml"), "run"]);
    command
}

fn holdpoint(arguments: &[&str]) -> std::process::Output {
    let (first, others) = arguments.split_first().unwrap();
    Command::new(program("holdpoint"))
        .arg(first)
        .args(["--socket", &format!("{FOLDER}/control.sock")])
        .args(others)
        .output()
        .unwrap()
}

#[test]
#[ignore = "needs a guest: cargo xtask test --only vm"]
fn without_the_bpf_module_nothing_claims_to_enforce_root() {
    let list = fs::read_to_string(LIST).unwrap();
    assert!(!list.contains("bpf"), "boot with another lsm= than {list}");
    fs::create_dir_all(FOLDER).unwrap();
    fs::write(format!("{FOLDER}/policy.toml"), "default = \"allow\"").unwrap();
    fs::write(
        format!("{FOLDER}/holdpointd.toml"),
        format!(
            "state_dir = \"{FOLDER}/state\"\ncontrol_socket = \"{FOLDER}/control.sock\"\n\
             [profiles.demo]\nowner = \"owner\"\nusers = [\"root\"]\npolicy = \"{FOLDER}/policy.toml\"\n"
        ),
    )
    .unwrap();

    // It says so, and how to mend it.
    let refused = daemon().output().unwrap();
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{words}");
    assert!(
        words.contains("`bpf` is not among") && words.contains(",bpf"),
        "{words}"
    );

    // And where the list lies, the canary does not.
    fs::write(format!("{FOLDER}/lsm"), format!("{},bpf", list.trim())).unwrap();
    let mounted = Command::new("mount")
        .args(["--bind", &format!("{FOLDER}/lsm"), LIST])
        .status()
        .unwrap();
    assert!(mounted.success());
    let _daemon = Daemon(daemon().stderr(Stdio::null()).spawn().unwrap());
    let status = wait_until("the daemon says how it is", || {
        let status = holdpoint(&["status", "--json"]);
        if status.stdout.is_empty() {
            Err(status)
        } else {
            Ok(status)
        }
    });
    let said: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(said["enforcing"], false, "{said}");
    assert!(
        said["not_enforcing_because"]
            .as_str()
            .unwrap()
            .contains("let pass"),
        "{said}"
    );
    assert!(!status.status.success());

    let witness = format!("{FOLDER}/witness");
    let run = holdpoint(&["run", "--profile", "demo", "--", "touch", &witness]);
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    assert!(!Path::new(&witness).exists(), "it ran unguarded");
}
