//! What can be typed. Every option, its default and its help; nothing is done
//! here.

mod audit;
mod events;
mod grants;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use holdpoint_proto::{control, v1::RequestState};

pub(crate) use self::{
    audit::{Audit, Proof, Prove, Trust, Verify},
    events::Events,
    grants::{Approve, Flags, Grants, ListGrants, Scope},
};

/// Review and run AI agents under Holdpoint
#[derive(Debug, Parser)]
#[command(name = "holdpoint", version, about, after_long_help = HELP)]
pub(crate) struct Arguments {
    /// Which approver and account to use, by the name given at login
    #[arg(
        long,
        global = true,
        env = "HOLDPOINT_CONTEXT",
        default_value = "default"
    )]
    #[arg(value_name = "NAME", value_parser = context_name)]
    pub(crate) context: String,

    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const HELP: &str = "\
Contexts are kept in contexts.toml in $HOLDPOINT_CONFIG_DIR, $XDG_CONFIG_HOME/holdpoint or
~/.config/holdpoint.

Text of processes is never printed raw: characters that are invisible or that move the cursor
appear as \\u{202e}, bytes that are no UTF-8 as \\xff.

JSON: bytes of processes (paths, arguments) are a string where they are UTF-8 and otherwise
{\"base64\": \"...\"}; digests are hexadecimal strings; times are RFC 3339 strings in UTC; 64-bit
integers are strings; what is absent is null. New keys may be added, none is renamed or removed.
  requests list            {\"requests\": [REQUEST...], \"more\": BOOL}
  requests show            REQUEST
  requests watch           one REQUEST a line, for each change
  approve, deny, flag      REQUEST, as decided
  grants list              {\"grants\": [GRANT...], \"more\": BOOL}
  grants revoke            GRANT
  flags list               {\"flags\": [{\"operation_digest\", \"operation\", \"request_id\",
                           \"reviewer\", \"reason\", \"flagged_at\"}...]}
  flags lift               {\"lifted\": DIGEST}
  whoami, login, logout    {\"context\", \"approver\", \"username\", \"role\", \"expires_at\"}
  contexts                 {\"contexts\": [{\"name\", \"current\", \"approver\", \"username\", \
\"logged_in\", \"expires_at\"}...]}
  status                   {\"version\", \"kernel_release\", \"enforcing\",
                           \"not_enforcing_because\", \"approver\", \"sessions\", \"held\"}
  events                   one {\"log_index\", \"record\": OCSF} a line, newest first; with --follow
                           as they come
  events --sql             {\"columns\": [...], \"rows\": [[...]...], \"cut\": BOOL}
  audit verify, export     {\"log\", \"verifier_key\", \"size\", \"root\", \"first_use\", \"warnings\",
                           \"records\": {\"from\", \"checked\"}, \"integrity\": {\"sound\", \"findings\",
                           \"cut\"}, \"completeness\": {\"answer\", \"hosts\", \"unreadable\"}}
  audit prove              {\"verifier_key\", \"records\": [{\"log_index\", \"record\", \"proof\"}...]}
  audit proof verify       {\"records\": [{\"log_index\", \"record\", \"size\", \"root\"}...]}
  audit checkpoint, key    {\"checkpoint\", \"verifier_key\", \"size\", \"root\"}
REQUEST has \"id\", \"digest\", \"operation_digest\", \"state\", \"created_at\", \"deadline\", \"host\", \"session\", \"rule\",
\"operation\" ({\"exec\": ...} or {\"connect\": ...}), \"process\", \"ancestry\" (parent first),
\"decision\", \"outcome\" and \"outcome_detail\". GRANT has \"id\", \"scope\", \"ttl_seconds\",
\"expires_at\", \"max_uses\", \"uses\", \"state\", \"request_id\", \"host\", \"session\", \"operation\",
\"reviewer\", \"issued_at\" and \"revoked_by\".

Exit status: 0 done, 1 refused or failed, 2 wrong usage; of run, that of the command, or 125 if the
session could not begin, 126 if the command was not permitted, 127 if it was not found.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log in to an approver and remember it as a context
    Login(Login),
    /// End the login of a context
    Logout,
    /// Show who a context is logged in as
    Whoami,
    /// List all contexts
    Contexts,
    /// List, show or watch requests (without a subcommand: list)
    Requests {
        #[command(subcommand)]
        command: Option<Requests>,
    },
    /// Let a held operation go on
    Approve(Approve),
    /// Refuse a held operation
    Deny(Decide),
    /// Refuse a held operation as suspicious, and the same operation everywhere
    Flag(Decide),
    /// List what approvals gave, or take it back (without a subcommand: list)
    Grants {
        #[command(subcommand)]
        command: Option<Grants>,
    },
    /// List what is refused everywhere, or lift it (without a subcommand: list)
    Flags {
        #[command(subcommand)]
        command: Option<Flags>,
    },
    /// Run a command as the root of a new session
    Run(Run),
    /// Search what happened
    #[command(after_long_help = events::HELP)]
    Events(Events),
    /// Check the log of everything that happened
    #[command(subcommand, after_long_help = audit::HELP)]
    Audit(Audit),
    /// Show how the daemon of this host is doing; fails unless it is enforcing
    Status {
        /// Control socket of the daemon
        #[arg(long, default_value = control::DEFAULT_SOCKET, value_name = "PATH")]
        socket: PathBuf,
    },
    /// Write man pages and shell completions to a folder
    #[command(hide = true)]
    Manual {
        /// Where to
        folder: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Login {
    /// Address of the approver, https://host:port (default: as at the last login)
    #[arg(long, value_name = "URL")]
    pub(crate) approver: Option<String>,

    /// The approver's CA certificate, PEM (default: as at the last login)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Account at the approver (default: as at the last login)
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Read the password from the first line of FILE, "-" for standard input, instead of asking
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Requests {
    /// List requests, newest first
    List(List),
    /// Show everything about a request
    Show {
        /// Id of the request, or the beginning of it
        id: String,
    },
    /// Print pending requests, then every change of any request
    Watch,
}

#[derive(Args, Debug)]
pub(crate) struct List {
    /// Only requests in this state (may be given several times)
    #[arg(long = "state", value_name = "STATE")]
    pub(crate) states: Vec<State>,

    /// List at most this many
    #[arg(long, default_value_t = 50, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

impl Default for List {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            limit: 50,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    Pending,
    Approved,
    Denied,
    Flagged,
    Expired,
    Withdrawn,
}

impl From<State> for RequestState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Approved => Self::Approved,
            State::Denied => Self::Denied,
            State::Flagged => Self::Flagged,
            State::Expired => Self::Expired,
            State::Withdrawn => Self::Withdrawn,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Decide {
    /// Id of the request, or the beginning of it
    pub(crate) id: String,

    /// Why; kept with the decision
    #[arg(long, value_parser = reason)]
    pub(crate) reason: String,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Profile to run under (default: the only one you may use)
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// Control socket of the daemon
    #[arg(long, default_value = control::DEFAULT_SOCKET, value_name = "PATH")]
    pub(crate) socket: PathBuf,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

fn context_name(name: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(good) {
        Ok(name.to_owned())
    } else {
        Err("use 1 to 64 of A-Z, a-z, 0-9, \"-\", \"_\" and \".\"".to_owned())
    }
}

fn reason(reason: &str) -> Result<String, String> {
    if reason.trim().is_empty() {
        Err("say why: the decision is evidence".to_owned())
    } else {
        Ok(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_behind_the_command_belong_to_it() {
        let arguments =
            Arguments::try_parse_from(["holdpoint", "run", "--profile", "p", "--", "ls", "--json"]);
        let arguments = arguments.unwrap();
        assert!(!arguments.json);
        let Command::Run(run) = arguments.command else {
            panic!("{arguments:?}")
        };
        assert_eq!(run.command, ["ls", "--json"]);
        assert_eq!(run.profile.as_deref(), Some("p"));
    }

    #[test]
    fn a_decision_needs_an_id_and_a_reason() {
        for words in [
            &["approve", "id"][..],
            &["deny", "id", "--reason", "  "],
            &["deny", "--reason", "x"],
        ] {
            let words = ["holdpoint"].iter().chain(words);
            assert!(Arguments::try_parse_from(words).is_err());
        }
    }
}
