//! `host`: lists enrolled hosts and shuts them out.

use std::io::Write;

use clap::Subcommand;
use uuid::Uuid;

use super::table;
use crate::Admin;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List hosts
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shut a host out for good; its pending requests are withdrawn
    Revoke {
        /// Id of the host
        id: Uuid,
    },
}

impl Command {
    pub(super) async fn run(
        self,
        admin: &Admin,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        match self {
            Self::List { json } => {
                let hosts = admin.hosts().await?;
                let head = [
                    "ID",
                    "NAME",
                    "STATE",
                    "ENFORCING",
                    "VERSION",
                    "KERNEL",
                    "LAST SEEN",
                ];
                table::print(out, json, &hosts, head, |host| {
                    [
                        host.id.clone(),
                        host.hostname.clone(),
                        host.state.to_owned(),
                        if host.enforcing { "yes" } else { "no" }.to_owned(),
                        host.version.clone(),
                        host.kernel_release.clone(),
                        host.last_seen_at
                            .clone()
                            .unwrap_or_else(|| "never".to_owned()),
                    ]
                })
            }
            Self::Revoke { id } => {
                admin.revoke_host(id).await?;
                tracing::info!(host.id = %id, "host revoked");
                Ok(())
            }
        }
    }
}
