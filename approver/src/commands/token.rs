//! `token`: makes and lists enrolment tokens.

use std::{io::Write, time::Duration};

use anyhow::Context as _;
use clap::Subcommand;

use super::table;
use crate::Admin;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token and print it; give it to `holdpointd enrol` on the new host
    Create {
        /// How long it may be used, like 30m or 1h30m
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
        ttl: Duration,
        /// A note for lists
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List tokens, newest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub(super) async fn run(
        self,
        admin: &Admin,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        match self {
            Self::Create { ttl, label } => {
                let token = admin.create_token(ttl, &label).await?;
                writeln!(out, "{}", token.encode()).context("cannot print the token")
            }
            Self::List { json } => {
                let tokens = admin.tokens().await?;
                table::print(
                    out,
                    json,
                    &tokens,
                    ["ID", "STATE", "EXPIRES", "HOST", "LABEL"],
                    |t| {
                        [
                            t.id.clone(),
                            t.state.to_owned(),
                            t.expires_at.clone(),
                            t.host_id.clone().unwrap_or_default(),
                            t.label.clone(),
                        ]
                    },
                )
            }
        }
    }
}

/// A duration like `1h` or `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "use a duration like 30m, 1h or 1h30m".to_owned())?;
    Duration::try_from(duration).map_err(|_| "a duration can't be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("1h"), Ok(Duration::from_hours(1)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("45s"), Ok(Duration::from_secs(45)));
        for bad in ["", "1", "soon", "-1h"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }
}
