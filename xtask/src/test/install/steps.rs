//! The story: installed, set up, enrolled, held, decided, restarted, rebooted,
//! purged.

use anyhow::{Context as _, Result, bail, ensure};

use super::world::World;
use crate::vm::SHARE;

type Step = fn(&mut World<'_>) -> Result<()>;

/// In the order in which they happen.
pub(super) const STEPS: [(&str, Step); 15] = [
    ("the_packages_install_offline", install),
    ("one_command_starts_an_approver", setup),
    ("setup_can_be_run_again", setup_again),
    ("one_pasted_command_enrols_a_host", enrol),
    ("both_services_are_confined", confined),
    ("a_hold_is_decided", decide),
    ("a_restart_opens_nothing", restart),
    ("a_stopped_daemon_opens_nothing", stop),
    ("a_killed_daemon_comes_back_and_opens_nothing", kill),
    ("a_killed_approver_comes_back", kill_approver),
    ("a_reboot_opens_nothing", reboot),
    ("installing_again_keeps_what_is_held", reinstall),
    ("an_upgrade_keeps_what_was_configured", configuration_stays),
    ("removal_ends_the_sessions", purge),
    ("a_purge_leaves_nothing", nothing_left),
];

/// Where a purge must leave nothing, by name. What the system itself writes as it
/// runs is not ours.
const ALL_FILES: &str = "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run \
    -o -path /tmp -o -path /var/tmp -o -path /var/log -o -path /var/cache -o -path /var/lib/apt \
    -o -path /home \\) -prune -o -print | sort";
/// dpkg's own memory of what it did, systemd's of its clock and random seed, and
/// what `useradd` keeps of the lists it changes.
const THE_SYSTEMS_OWN: [&str; 6] = [
    "/var/lib/dpkg/",
    "/var/lib/systemd/",
    "/var/lib/private",
    "/etc/.pwd.lock",
    "/etc/subgid-",
    "/etc/subuid-",
];

/// Asked about both at once, systemctl would be content with one.
const BOTH_ACTIVE: &str =
    "systemctl is-active holdpointd.service && systemctl is-active holdpoint-approver.service";

const POLICY: &str = r#"default = "allow"
deadline = "10m"
[[rules]]
name = "touch"
verdict = "hold"
justification = "Leaves something behind."
exec = { exe = ["/usr/bin/touch"] }
"#;

fn install(world: &mut World<'_>) -> Result<()> {
    world.before = world.run(ALL_FILES)?.lines().map(str::to_owned).collect();
    world.run(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
         {SHARE}/*.deb"
    ))?;
    for program in ["holdpoint", "holdpointd", "holdpoint-approver"] {
        world.run(&format!("{program} --version"))?;
    }
    // Nobody has said yet where the approver is to be reached.
    world.refused("systemctl is-active holdpoint-approver.service")?;
    world.run("dpkg --verify holdpoint-agent holdpoint-approver holdpoint-cli")?;
    Ok(())
}

fn setup(world: &mut World<'_>) -> Result<()> {
    let said =
        world.run("holdpoint-approver setup --address https://localhost:7443 --admin ada")?;
    world.token = word_after(&said, "holdpointd enrol --start ")?;
    let password = word_after(&said, "Password ")?;
    world.run("systemctl is-active holdpoint-approver.service")?;
    world.run("systemctl is-enabled holdpoint-approver.service")?;
    // Ready means ready: no waiting and no second try.
    log_in(world, "ada", &password)?;
    world.run(
        "echo 'a password of theirs' | holdpoint-approver user add owner --role reviewer \
         --password-file -",
    )?;
    let owner = world.run("stat --format=%U:%a /var/lib/holdpoint-approver")?;
    ensure!(owner.trim() == "holdpoint-approver:700", "{owner}");
    let roots = world.run("find /var/lib/holdpoint-approver ! -user holdpoint-approver")?;
    ensure!(roots.is_empty(), "not the service's own:\n{roots}");
    Ok(())
}

fn setup_again(world: &mut World<'_>) -> Result<()> {
    let said = world.run("holdpoint-approver setup")?;
    ensure!(!said.contains("Password"), "a second password: {said}");
    ensure!(said.contains("ada (was there already)"), "{said}");
    let said = world.refused("holdpoint-approver setup --address https://other.example")?;
    ensure!(said.contains("other.example"), "{said}");
    Ok(())
}

fn enrol(world: &mut World<'_>) -> Result<()> {
    world.run("useradd --create-home agent")?;
    world.run(&format!(
        "cat >/etc/holdpoint/policies/work.toml <<'END'\n{POLICY}END"
    ))?;
    world.run(
        "cat >>/etc/holdpoint/holdpointd.toml <<'END'\n[profiles.work]\nowner = \"owner\"\n\
         users = [\"agent\"]\npolicy = \"/etc/holdpoint/policies/work.toml\"\nEND",
    )?;
    let token = world.token.clone();
    world.run(&format!("holdpointd enrol --start {token}"))?;
    world.run("systemctl is-enabled holdpointd.service")?;
    world.run("systemctl restart holdpointd.service")?;
    // Type=notify: it is active only once the canary has been refused.
    let status = world.json("holdpoint status --json")?;
    ensure!(status["enforcing"] == true, "{status}");
    world.until("a link to the approver", |world| {
        let status = world.json("holdpoint status --json")?;
        Ok((status["approver"]["connected"] == true).then_some(()))
    })
}

fn confined(world: &mut World<'_>) -> Result<()> {
    let user =
        world.run("stat -c %U /proc/$(systemctl show -P MainPID holdpoint-approver.service)")?;
    ensure!(
        user.trim() == "holdpoint-approver",
        "the approver runs as {user}"
    );
    for unit in ["holdpointd", "holdpoint-approver"] {
        let watchdog = world.run(&format!("systemctl show -P WatchdogUSec {unit}.service"))?;
        ensure!(watchdog.trim() != "0", "{unit} has no watchdog");
    }
    // In tenths, as systemd counts what a service may still do.
    world.run("systemd-analyze security --threshold=20 holdpoint-approver.service")?;
    world.run("systemd-analyze security --threshold=60 holdpointd.service")?;
    world.run("systemd-analyze verify --man=no holdpointd.service holdpoint-approver.service")?;
    Ok(())
}

fn decide(world: &mut World<'_>) -> Result<()> {
    world.hold("first")?;
    approve(world)?;
    happens(world, "/home/agent/first")?;
    world.hold("second")?;
    deny(world)?;
    over(world, "second")?;
    ensure!(
        !world.exists("/home/agent/second")?,
        "denied, and it happened"
    );
    Ok(())
}

fn restart(world: &mut World<'_>) -> Result<()> {
    world.hold("restarted")?;
    world.run("systemctl restart holdpointd.service")?;
    still_held(world, "/home/agent/restarted")?;
    approve(world)?;
    happens(world, "/home/agent/restarted")
}

fn stop(world: &mut World<'_>) -> Result<()> {
    world.hold("stopped")?;
    world.run("systemctl stop holdpointd.service")?;
    // What anybody who may signal it could do while nobody looks.
    world.run("pkill -CONT -u agent; sleep 1")?;
    ensure!(
        !world.exists("/home/agent/stopped")?,
        "a stop opened the gate"
    );
    world.run("systemctl start holdpointd.service")?;
    still_held(world, "/home/agent/stopped")?;
    approve(world)?;
    happens(world, "/home/agent/stopped")
}

fn kill(world: &mut World<'_>) -> Result<()> {
    world.hold("killed")?;
    let pid = world.run("systemctl show -P MainPID holdpointd.service")?;
    world.run("systemctl kill --signal=KILL --kill-whom=main holdpointd.service")?;
    world.until("another daemon", |world| {
        let said = world.attempt("systemctl is-active holdpointd.service")?;
        let now = world.run("systemctl show -P MainPID holdpointd.service")?;
        Ok((said.code == 0 && now != pid).then_some(()))
    })?;
    still_held(world, "/home/agent/killed")?;
    deny(world)?;
    over(world, "killed")?;
    ensure!(
        !world.exists("/home/agent/killed")?,
        "denied, and it happened"
    );
    Ok(())
}

fn kill_approver(world: &mut World<'_>) -> Result<()> {
    world.hold("unheard")?;
    world.run("systemctl kill --signal=KILL --kill-whom=main holdpoint-approver.service")?;
    let request = world.request.clone();
    world.until("the approver again", |world| {
        let said = world.attempt("holdpoint requests list --state pending --json")?;
        Ok((said.code == 0 && said.text.contains(&request)).then_some(()))
    })?;
    approve(world)?;
    happens(world, "/home/agent/unheard")
}

fn reboot(world: &mut World<'_>) -> Result<()> {
    world.hold("before")?;
    world.reboot()?;
    world.until("the services, by themselves", |world| {
        let said = world.attempt(BOTH_ACTIVE)?;
        Ok((said.code == 0).then_some(()))
    })?;
    ensure!(
        !world.exists("/home/agent/before")?,
        "a reboot let it happen"
    );
    world.hold("after")?;
    approve(world)?;
    happens(world, "/home/agent/after")?;
    let failed = world.run("systemctl list-units --failed --no-legend --plain")?;
    ensure!(!failed.contains("holdpoint"), "{failed}");
    Ok(())
}

fn reinstall(world: &mut World<'_>) -> Result<()> {
    world.hold("upgraded")?;
    world.run(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get install --yes --reinstall \
         --no-install-recommends {SHARE}/*.deb"
    ))?;
    world.run(BOTH_ACTIVE)?;
    still_held(world, "/home/agent/upgraded")?;
    approve(world)?;
    happens(world, "/home/agent/upgraded")
}

fn configuration_stays(world: &mut World<'_>) -> Result<()> {
    world.run("grep -q profiles.work /etc/holdpoint/holdpointd.toml")?;
    world.run("grep -q https://localhost:7443 /etc/holdpoint/approver.toml")?;
    Ok(())
}

fn purge(world: &mut World<'_>) -> Result<()> {
    world.hold("orphaned")?;
    // What an administrator has added is nobody else's to remove.
    world.run("rm /etc/holdpoint/policies/work.toml")?;
    let said = world.run(
        "DEBIAN_FRONTEND=noninteractive apt-get purge --yes holdpoint-agent holdpoint-approver \
         holdpoint-cli",
    )?;
    ensure!(said.contains("no gate any more"), "{said}");
    over(world, "orphaned")?;
    ensure!(
        !world.exists("/home/agent/orphaned")?,
        "removal opened the gate"
    );
    let left = world.attempt("pgrep -u agent")?;
    ensure!(
        left.code != 0,
        "processes of sessions are left: {}",
        left.text
    );
    Ok(())
}

fn nothing_left(world: &mut World<'_>) -> Result<()> {
    let now = world.run(ALL_FILES)?;
    let left: Vec<&str> = now
        .lines()
        .filter(|path| !world.before.iter().any(|had| had == path))
        .filter(|path| !THE_SYSTEMS_OWN.iter().any(|own| path.starts_with(own)))
        .collect();
    ensure!(left.is_empty(), "left behind:\n{}", left.join("\n"));
    for (what, script) in [
        ("pins", "test -e /sys/fs/bpf/holdpoint"),
        ("an account", "getent passwd holdpoint-approver"),
        ("a group", "getent group holdpoint-approver"),
        ("a runtime folder", "test -e /run/holdpoint"),
        ("processes", "pgrep holdpoint"),
        (
            "what dpkg and systemd know of it",
            "find /var/lib/dpkg/info /var/lib/systemd -name '*holdpoint*' | grep .",
        ),
        (
            "units",
            "systemctl list-units --all --no-legend --plain 'holdpointd*' 'holdpoint-approver*' \
             | grep .",
        ),
    ] {
        let said = world.attempt(script)?;
        if said.code == 0 {
            bail!("{what} are left: {}", said.text);
        }
    }
    Ok(())
}

fn log_in(world: &mut World<'_>, name: &str, password: &str) -> Result<()> {
    world
        .run(&format!(
            "printf %s '{password}' | holdpoint login --approver https://localhost:7443 \
             --ca /etc/holdpoint/approver-ca.pem --user {name} --password-file -"
        ))
        .map(drop)
}

fn approve(world: &mut World<'_>) -> Result<()> {
    let request = world.request.clone();
    world
        .run(&format!("holdpoint approve {request} --reason 'as agreed'"))
        .map(drop)
}

fn deny(world: &mut World<'_>) -> Result<()> {
    let request = world.request.clone();
    world
        .run(&format!("holdpoint deny {request} --reason 'not today'"))
        .map(drop)
}

fn happens(world: &mut World<'_>, file: &str) -> Result<()> {
    world.until("what was approved happens", |world| {
        Ok(world.exists(file)?.then_some(()))
    })
}

/// The agent's session has come to its end.
fn over(world: &mut World<'_>, file: &str) -> Result<()> {
    world.until("the session ends", |world| {
        let said = world.attempt(&format!("kill -0 $(cat /tmp/agent-{file}.pid)"))?;
        Ok((said.code != 0).then_some(()))
    })
}

/// It has not happened, and it is the same request that waits.
fn still_held(world: &mut World<'_>, file: &str) -> Result<()> {
    let request = world.request.clone();
    let found = world.until("the request, again", |world| world.pending(file))?;
    ensure!(
        found == request,
        "request {request} has become request {found}"
    );
    ensure!(!world.exists(file)?, "held, and it happened all the same");
    Ok(())
}

/// The word that follows.
fn word_after(text: &str, before: &str) -> Result<String> {
    text.split_once(before)
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .map(str::to_owned)
        .with_context(|| format!("no {before:?} in:\n{text}"))
}
