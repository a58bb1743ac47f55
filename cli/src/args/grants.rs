//! Arguments of what approvals give: `approve`, `grants`, `flags`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::{Decide, reason};

/// What an approval is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Scope {
    /// This operation alone
    Once,
    /// The same operation again, by the same process
    Process,
    /// The same operation again, by any process of the session
    Session,
}

#[derive(Args, Debug)]
pub(crate) struct Approve {
    #[command(flatten)]
    pub(crate) decide: Decide,

    /// What the approval is good for, within what the rule that asked allows
    #[arg(long = "for", value_name = "SCOPE", default_value = "once")]
    pub(crate) scope: Scope,

    /// How long it is good for, like 10m (default: what the approver gives)
    #[arg(long, value_name = "DURATION", value_parser = ttl)]
    pub(crate) ttl: Option<Duration>,

    /// How often, beside this operation (default: any number of times)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Grants {
    /// List grants, newest first
    List(ListGrants),
    /// Take a grant back
    Revoke {
        /// Id of the grant, or the beginning of it
        id: String,

        /// Why; kept with the grant
        #[arg(long, value_parser = reason)]
        reason: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ListGrants {
    /// Also those that give nothing any more
    #[arg(long)]
    pub(crate) all: bool,

    /// List at most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

impl Default for ListGrants {
    fn default() -> Self {
        Self {
            all: false,
            limit: 50,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Flags {
    /// List the flags in force, newest first
    List,
    /// Lift a flag: the operation may be asked about again
    Lift {
        /// Digest of the operation, as `flags list` shows it
        #[arg(value_parser = digest)]
        digest: Digest,

        /// Why; kept with the flag
        #[arg(long, value_parser = reason)]
        reason: String,
    },
}

/// A SHA-256.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Digest(pub(crate) Vec<u8>);

fn digest(text: &str) -> Result<Digest, String> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
    match bytes {
        Ok(bytes) if bytes.len() == 32 => Ok(Digest(bytes)),
        _ => Err("use the 64 hexadecimal digits that `holdpoint flags list` shows".to_owned()),
    }
}

fn ttl(text: &str) -> Result<Duration, String> {
    let duration: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "use a duration like 30s, 10m or 1h30m".to_owned())?;
    match Duration::try_from(duration) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        _ => Err("an approval must be good for at least a second".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_digests_are_read_strictly() {
        assert_eq!(ttl("10m"), Ok(Duration::from_mins(10)));
        for bad in ["", "10", "-10m", "0s", "soon"] {
            assert!(ttl(bad).is_err(), "{bad:?}");
        }
        assert_eq!(digest(&"Ab".repeat(32)), Ok(Digest(vec![0xab; 32])));
        for bad in ["", "ab", &"ab".repeat(33), &"zz".repeat(32)] {
            assert!(digest(bad).is_err(), "{bad:?}");
        }
    }
}
