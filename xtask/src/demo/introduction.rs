//! What a person is told before the story begins: who is who, where the dashboard
//! is and how to log in.

use anyhow::Result;

use super::{Args, page};
use crate::{
    stack::{ADMINISTRATOR, Approver, OWNER, REVIEWERS},
    vm::SAMPLE_POLICY,
};

/// Says what is there.
pub(crate) fn cast(args: &Args, approver: &Approver, kernel: &str) {
    page::heading("Holdpoint: what an AI agent may not do alone waits for a person");
    page::line(
        "approver",
        "on this machine, with reviewer1, reviewer2 and owner",
    );
    page::line(
        "dashboard",
        &format!("{}, and behind it the REST API", approver.dashboard()),
    );
    page::line(
        "host",
        &if args.on_host {
            format!("this machine, kernel {kernel}; it has enrolled and enforces")
        } else {
            format!("a guest, kernel {kernel}; it has enrolled over the network and enforces")
        },
    );
    page::line(
        "agent",
        "a shell script in a session of the unprivileged user; the owner is accountable for it",
    );
    page::line("policy", SAMPLE_POLICY);
    page::line(
        "seen",
        "what this program has checked itself, at the approver and on the host",
    );
}

/// Says how to log in to the dashboard.
pub(crate) fn logins(approver: &Approver) -> Result<()> {
    let dashboard = approver.dashboard();
    page::heading(&format!(
        "Open the dashboard now, {dashboard}, and log in as a reviewer:"
    ));
    let mut lines = Vec::new();
    for (name, may) in [
        (REVIEWERS[0], "decides"),
        (REVIEWERS[1], "decides"),
        (OWNER, "answers for the agent, so may only watch"),
        (ADMINISTRATOR, "manages people and hosts"),
    ] {
        let password = approver.password(name)?;
        lines.push(format!("{name:<9}  password {password}  {may}"));
    }
    page::verbatim(&lines);
    let port = dashboard.rsplit(':').next().unwrap_or_default();
    page::line(
        "certificate",
        &format!(
            "signed by the demo's own authority, {}: a browser that does not trust it warns once",
            approver.authority().display()
        ),
    );
    page::line(
        "elsewhere",
        &format!(
            "a browser on another machine needs the port: ssh -L {port}:127.0.0.1:{port} HERE"
        ),
    );
    page::line("passwords", "made for this run alone");
    Ok(())
}
