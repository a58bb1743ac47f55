//! `setup`: everything between installing the approver and the first login.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{
    Config, config,
    config::{Address, Tls},
    domain::account::AccountName,
    setup::{self, Prepared, ServiceAccount},
};

/// Where people find the CA's certificate.
const PUBLIC_CA: &str = "/etc/holdpoint/approver-ca.pem";
const UNIT: &str = "holdpoint-approver.service";
const UNIT_FILES: [&str; 2] = ["/usr/lib/systemd/system", "/etc/systemd/system"];
/// There while systemd runs the machine.
const SYSTEMD: &str = "/run/systemd/system";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How hosts and people reach this machine, like `https://approver.example`
    /// [default: they do not, only this machine does]
    #[arg(long, value_name = "URL")]
    address: Option<Address>,
    /// The first administrator [default: admin, unless there is one already]
    #[arg(long, value_name = "NAME")]
    admin: Option<AccountName>,
}

/// The part that is done as the service's user.
#[derive(Debug, clap::Args)]
pub(super) struct PrepareArgs {
    #[arg(long)]
    admin: Option<AccountName>,
}

impl Args {
    pub(super) async fn run(
        self,
        config: Option<&Path>,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        let path = config.map_or_else(|| PathBuf::from(config::DEFAULT_PATH), Path::to_path_buf);
        let (config, written) = setup::configuration(&path, self.address.as_ref())?;
        let account = ServiceAccount::to_act_as();
        let prepared = match &account {
            Some(account) => {
                setup::prepare_as(account, &path, &config.state_dir, self.admin.as_ref())?
            }
            None => setup::prepare(&config, self.admin.as_ref()).await?,
        };
        let ca = match account {
            Some(_) => {
                setup::publish_ca(Path::new(PUBLIC_CA), &prepared.ca)?;
                PathBuf::from(PUBLIC_CA)
            }
            None => config.state_dir.join("ca.pem"),
        };
        // Said before anything can go wrong with the service: the password is kept
        // nowhere.
        tell(out, &path, written, &prepared)?;
        let service = start(&path, written)?;
        next(out, &path, &config, &service, &prepared, &ca)
    }
}

impl PrepareArgs {
    pub(super) async fn run(
        self,
        config: &Config,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        let prepared = setup::prepare(config, self.admin.as_ref()).await?;
        serde_json::to_writer(&mut *out, &prepared)?;
        writeln!(out).context("cannot print what was made")
    }
}

/// What became of the service.
enum Service {
    Running,
    /// Nobody here would start it.
    ByHand,
}

/// Enables and starts the service, and waits until it is ready.
fn start(path: &Path, changed: bool) -> anyhow::Result<Service> {
    let installed = UNIT_FILES
        .iter()
        .any(|folder| Path::new(folder).join(UNIT).exists());
    // The unit reads the configuration from its usual place and from nowhere else.
    if !installed || path != Path::new(config::DEFAULT_PATH) || !Path::new(SYSTEMD).is_dir() {
        return Ok(Service::ByHand);
    }
    systemctl(&["enable", "--quiet"])?;
    systemctl(&[if changed { "restart" } else { "start" }])?;
    Ok(Service::Running)
}

fn systemctl(words: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("systemctl")
        .args(words)
        .arg(UNIT)
        .output()
        .context("cannot run systemctl")?;
    if !done.status.success() {
        bail!(
            "`systemctl {} {UNIT}` failed: {}; `journalctl -u {UNIT}` says more",
            words.join(" "),
            String::from_utf8_lossy(&done.stderr).trim_end()
        );
    }
    Ok(())
}

fn tell(
    out: &mut (dyn Write + Send),
    path: &Path,
    written: bool,
    prepared: &Prepared,
) -> anyhow::Result<()> {
    let state = if written {
        "written"
    } else {
        "was there already"
    };
    let name = &prepared.administrator;
    writeln!(out, "Configuration   {} ({state})", path.display())?;
    match &prepared.password {
        Some(password) => writeln!(
            out,
            "Administrator   {name}\nPassword        {password}   (shown this once)"
        )?,
        None => writeln!(out, "Administrator   {name} (was there already)")?,
    }
    Ok(())
}

fn next(
    out: &mut (dyn Write + Send),
    path: &Path,
    config: &Config,
    service: &Service,
    prepared: &Prepared,
    ca: &Path,
) -> anyhow::Result<()> {
    match service {
        Service::Running => writeln!(out, "Service         {UNIT} is running")?,
        Service::ByHand => writeln!(
            out,
            "Service         not started; start it with: holdpoint-approver --config {} serve",
            path.display()
        )?,
    }
    writeln!(
        out,
        "\nTo enrol a host, run there as root, within {} minutes and once:\n  \
         holdpointd enrol --start {}",
        setup::TOKEN_TTL.as_secs() / 60,
        prepared.token
    )?;
    writeln!(
        out,
        "\nTo review in a browser:\n  {}",
        dashboard(config, ca)
    )?;
    writeln!(
        out,
        "\nTo review in a terminal, with a copy of {}:\n  \
         holdpoint login --approver {} --ca {} --user {}",
        ca.display(),
        config.address,
        ca.display(),
        prepared.administrator
    )?;
    if config.listen.ip().is_loopback() {
        writeln!(
            out,
            "\nOnly this machine reaches this approver. For other hosts, set `listen`, `address` \
             and\n`listen` of [web] in {} and restart it.",
            path.display()
        )?;
    }
    Ok(())
}

/// Where the dashboard is, and what a browser has to know for it.
fn dashboard(config: &Config, ca: &Path) -> String {
    let port = config.web.listen.port();
    match config.web.tls {
        _ if config.web.behind_proxy => {
            format!("the address of your proxy, which passes on to port {port}")
        }
        Tls::Own => {
            let address = config.address.clone().with_port(port);
            format!("{address}   (let it trust {})", ca.display())
        }
        Tls::Off => format!("http://{}", config.web.listen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dashboard_is_where_the_configuration_says() {
        let place = |text: &str| {
            let config = Config::parse(text, Path::new("approver.toml")).unwrap();
            dashboard(&config, Path::new("/ca.pem"))
        };
        assert_eq!(
            place("address = \"https://approver.example\"\n[web]\nlisten = \"0.0.0.0:8444\""),
            "https://approver.example:8444   (let it trust /ca.pem)"
        );
        assert_eq!(
            place("[web]\nlisten = \"[::1]:80\"\ntls = \"off\""),
            "http://[::1]:80"
        );
        let proxied = place("[web]\nbehind_proxy = true");
        assert!(
            proxied.contains("your proxy") && proxied.contains("7444"),
            "{proxied}"
        );
    }
}
