//! `requests list | show | watch`.

use holdpoint_proto::v1::RequestState;
use jiff::Timestamp;

use super::block_on;
use crate::{
    args::{List, Requests},
    contexts::{Context, store::Store},
    failure::Failure,
    output::Output,
    render,
    reviews::{Reviews, ReviewsError},
};

/// Runs the subcommand, `list` if none is given.
pub(crate) fn run(
    name: &str,
    command: Option<Requests>,
    output: &mut Output,
) -> Result<(), Failure> {
    let context = Store::from_environment()?.load()?.get(name)?.clone();
    block_on(async {
        match command.unwrap_or_else(|| Requests::List(List::default())) {
            Requests::List(arguments) => list(name, &context, &arguments, output).await,
            Requests::Show { id } => show(name, &context, &id, output).await,
            Requests::Watch => watch(name, &context, output).await,
        }
    })?
}

async fn list(
    name: &str,
    context: &Context,
    arguments: &List,
    output: &mut Output,
) -> Result<(), Failure> {
    let states: Vec<RequestState> = arguments.states.iter().map(|one| (*one).into()).collect();
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let mut approver = Reviews::connect(name, context).await?;
    let (requests, more) = approver.list(&states, limit).await?;
    if output.json {
        return output.json(&render::json::list(&requests, more));
    }
    output.text(&render::list::table(
        &requests,
        Timestamp::now(),
        output.width,
    ))?;
    if more {
        output.text("(there are more; --limit N lists more)\n")?;
    }
    Ok(())
}

async fn show(name: &str, context: &Context, id: &str, output: &mut Output) -> Result<(), Failure> {
    let request = Reviews::connect(name, context).await?.get(id).await?;
    if output.json {
        output.json(&render::json::request(&request))
    } else {
        output.text(&render::request::show(&request, Timestamp::now()))
    }
}

async fn watch(name: &str, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let mut approver = Reviews::connect(name, context).await?;
    let mut changes = approver.watch().await?;
    while let Some(change) = changes
        .message()
        .await
        .map_err(|status| approver.explain(&status))?
    {
        let Some(request) = change.request else {
            continue;
        };
        if output.json {
            output.json(&render::json::request(&request))?;
        } else {
            output.text(&render::list::change(&request, Timestamp::now()))?;
        }
    }
    Err(ReviewsError::WatchEnded.into())
}
