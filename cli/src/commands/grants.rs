//! `grants list | revoke` and `flags list | lift`: what approvals gave and what
//! is refused everywhere.

use jiff::Timestamp;

use super::block_on;
use crate::{
    args::{Flags, Grants, ListGrants},
    contexts::store::Store,
    failure::Failure,
    output::Output,
    render::{self, json},
    reviews::Reviews,
};

/// Runs the subcommand of `grants`, `list` if none is given.
pub(crate) fn grants(
    name: &str,
    command: Option<Grants>,
    output: &mut Output,
) -> Result<(), Failure> {
    let context = Store::from_environment()?.load()?.get(name)?.clone();
    block_on(async {
        let mut approver = Reviews::connect(name, &context).await?;
        match command.unwrap_or_else(|| Grants::List(ListGrants::default())) {
            Grants::List(arguments) => list(&mut approver, &arguments, output).await,
            Grants::Revoke { id, reason } => {
                let grant = approver.revoke_grant(&id, &reason).await?;
                if output.json {
                    output.json(&render::grants::grant(&grant))
                } else {
                    output.text(&render::grants::paragraph(&grant, Timestamp::now()))
                }
            }
        }
    })?
}

async fn list(
    approver: &mut Reviews,
    arguments: &ListGrants,
    output: &mut Output,
) -> Result<(), Failure> {
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let (grants, more) = approver.grants(!arguments.all, limit).await?;
    if output.json {
        let grants: Vec<_> = grants.iter().map(render::grants::grant).collect();
        return output.json(&serde_json::json!({ "grants": grants, "more": more }));
    }
    output.text(&render::grants::grants(&grants, Timestamp::now()))?;
    if more {
        output.text("(there are more; --limit N lists more)\n")?;
    }
    Ok(())
}

/// Runs the subcommand of `flags`, `list` if none is given.
pub(crate) fn flags(
    name: &str,
    command: Option<Flags>,
    output: &mut Output,
) -> Result<(), Failure> {
    let context = Store::from_environment()?.load()?.get(name)?.clone();
    block_on(async {
        let mut approver = Reviews::connect(name, &context).await?;
        match command.unwrap_or(Flags::List) {
            Flags::List => {
                let flags = approver.flags().await?;
                if output.json {
                    let flags: Vec<_> = flags.iter().map(render::grants::flag).collect();
                    output.json(&serde_json::json!({ "flags": flags }))
                } else {
                    output.text(&render::grants::flags(&flags))
                }
            }
            Flags::Lift { digest, reason } => {
                approver.lift_flag(digest.0.clone(), &reason).await?;
                let digest = json::hex(&digest.0);
                if output.json {
                    output.json(&serde_json::json!({ "lifted": digest }))
                } else {
                    output.text(&format!("The flag on {digest} is lifted\n"))
                }
            }
        }
    })?
}
