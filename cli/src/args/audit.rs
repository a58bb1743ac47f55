//! What can be typed after `holdpoint audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use holdpoint_evidence::VerifierKey;

pub(super) const HELP: &str = "\
Two questions, two answers. Integrity: is every record the one that was signed, does the log
continue what this account saw of it before, and are questions answered from the same records?
Completeness: has every event that a host numbered come, and what was declared lost?

verify reads all records, of the log and of the history that answers questions. With --new it reads
those that came since the last time: a change of an older one is not noticed then.

The last checkpoint that was verified is remembered for each context in $HOLDPOINT_STATE_DIR,
$XDG_STATE_HOME/holdpoint or ~/.local/state/holdpoint. Nothing there is secret; whoever can change
it can make you forget what you saw.

Exit status of verify and export: 0 both are fine, 3 integrity is broken, 4 integrity is fine and
events are missing that nobody declared, 1 it could not be checked, 2 wrong usage. Of prove and
proof verify: 0 the proof holds, 3 it does not, 1 and 2 as above.";

/// Check the log of everything that happened
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check that nothing was changed, and that nothing is missing
    Verify(Verify),
    /// Copy the log, to keep it elsewhere and check it there
    Export(Export),
    /// Show a record and prove that it is in the log
    Prove(Prove),
    /// Check a proof that `prove` wrote
    #[command(subcommand)]
    Proof(Proof),
    /// Print the newest signed checkpoint, to keep it elsewhere
    Checkpoint,
    /// Print the log's verifier key
    Key,
}

#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Check an export, without the approver
    #[arg(long, value_name = "PATH")]
    pub(crate) offline: Option<PathBuf>,

    /// Check only the records that came since the last time
    #[arg(long, conflicts_with = "offline")]
    pub(crate) new: bool,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

/// What is trusted beforehand.
#[derive(Args, Debug, Default)]
pub(crate) struct Trust {
    /// The log's verifier key (default: the one this context saw first)
    #[arg(long, value_name = "VERIFIER_KEY")]
    pub(crate) key: Option<VerifierKey>,

    /// A checkpoint that was kept elsewhere: the log must continue it
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Export {
    /// A directory to make, or a file that ends in .tar
    #[arg(value_name = "DIR|FILE.tar")]
    pub(crate) path: PathBuf,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

#[derive(Args, Debug)]
pub(crate) struct Prove {
    /// Index of a record in the log, or a request, for all records about it
    #[arg(value_name = "LOG_INDEX|REQUEST_ID")]
    pub(crate) what: String,

    /// Write the proof to FILE too (C2SP tlog-proof; one after the other for a request)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Proof {
    /// Check that the record in FILE is in the log, without the approver
    Verify {
        /// What `prove --output` wrote
        file: PathBuf,

        /// The log's verifier key (default: the one this context saw first)
        #[arg(long, value_name = "VERIFIER_KEY")]
        key: Option<VerifierKey>,
    },
}
