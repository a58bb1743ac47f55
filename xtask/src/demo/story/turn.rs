//! What a person is told when it is their turn to decide.

use std::path::Path;

use super::{super::people::Request, scenes::Answer};
use crate::{process::quoted, stack::REVIEWERS};

/// What is asked of them.
pub(super) fn title(request: &Request, answer: Answer) -> String {
    let (until, short) = (request.deadline(), request.short());
    if answer == Answer::Silence {
        format!("Leave it alone to see it expire at {until}, or decide request {short} as before:")
    } else {
        format!(
            "Your turn: decide request {short} in the browser, logged in as a reviewer. Without you \
             it expires at {until}."
        )
    }
}

/// Where to click.
pub(super) fn page(dashboard: &str, request: &Request) -> Vec<String> {
    vec![format!("{dashboard}/requests/{}", request.id())]
}

/// What there is to look at once the story is told.
pub(super) fn places(dashboard: &str, requests: &[Request]) -> Vec<String> {
    let session = requests.first().map_or("", Request::session);
    vec![
        format!("{dashboard}/events?q=session:{session}"),
        format!("{dashboard}/requests"),
        format!("{dashboard}/hosts"),
    ]
}

/// What to type instead, whole: another terminal knows nothing of this one.
pub(super) fn instructions(holdpoint: &Path, contexts: &Path, id: &str) -> Vec<String> {
    let holdpoint = quoted(&holdpoint.display().to_string());
    let contexts = quoted(&contexts.display().to_string());
    let [first, second] = REVIEWERS;
    vec![
        format!("export HOLDPOINT_CONFIG_DIR={contexts}"),
        format!("{holdpoint} --context {first} requests list"),
        format!("{holdpoint} --context {first} requests show {id}"),
        format!("{holdpoint} --context {first} approve {id} --reason 'why'"),
        format!("{holdpoint} --context {second} deny {id} --reason 'why not'"),
    ]
}
