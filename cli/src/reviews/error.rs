//! What goes wrong between a person and the approver, and what to do about it.

use std::error::Error;

use tonic::{Code, Status};

use crate::contexts::login_command;

/// Why the approver could not be asked, or what it refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReviewsError {
    #[error(
        "{approver:?} is no address of an approver; write it like https://approver.example:7443"
    )]
    Address { approver: String },
    #[error("can't reach the approver at {approver}: {causes}{mend}")]
    Unreachable {
        approver: String,
        causes: String,
        mend: &'static str,
    },
    #[error(
        "the login of context {context:?} is damaged; run `{}`",
        login_command(context)
    )]
    Token { context: String },
    #[error("the approver at {approver} refused the login of {username:?}: wrong name or password")]
    BadLogin { username: String, approver: String },
    #[error(
        "the login of context {context:?} has expired or was ended; run `{}`",
        login_command(context)
    )]
    LoggedOut { context: String },
    #[error("the approver does not let {who} do this: {message}")]
    NotPermitted { who: String, message: String },
    #[error("there is no request {id:?}; `holdpoint requests list` shows them")]
    UnknownRequest { id: String },
    #[error("the approver refused: {message}")]
    Refused { message: String },
    #[error("the approver ended the watch; start it again")]
    WatchEnded,
    #[error("the approver answered with an error: {message} ({code:?})")]
    Other { code: Code, message: String },
}

impl ReviewsError {
    pub(super) fn unreachable(approver: &str, error: &dyn Error) -> Self {
        let causes = causes(error);
        let mend = if causes.contains("UnknownIssuer") || causes.contains("BadSignature") {
            "; its certificate is not from the CA of this context: log in again with --ca and the \
             approver's ca.pem"
        } else if causes.contains("not valid for name") {
            "; its certificate is for another name: use a name it has, or add this one to `names` \
             in the approver's configuration"
        } else {
            ""
        };
        Self::Unreachable {
            approver: approver.to_owned(),
            causes,
            mend,
        }
    }
}

/// The error and what caused it, each said once.
fn causes(error: &dyn Error) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        if !said.iter().any(|earlier| earlier.contains(&message)) {
            said.push(message);
        }
        next = error.source();
    }
    said.join(": ")
}

/// Who is on the other side, for errors.
pub(crate) struct Peer {
    pub(super) approver: String,
    pub(super) context: String,
    pub(super) username: Option<String>,
}

impl Peer {
    /// What a failed call means, as far as every call has it in common.
    pub(crate) fn failed(&self, status: &Status) -> ReviewsError {
        match status.code() {
            Code::Unauthenticated => ReviewsError::LoggedOut {
                context: self.context.clone(),
            },
            Code::PermissionDenied => ReviewsError::NotPermitted {
                who: self
                    .username
                    .as_ref()
                    .map_or_else(|| "you".to_owned(), |name| format!("{name:?}")),
                message: status.message().to_owned(),
            },
            Code::InvalidArgument | Code::ResourceExhausted => ReviewsError::Refused {
                message: status.message().to_owned(),
            },
            Code::Unavailable => ReviewsError::unreachable(&self.approver, status),
            code => ReviewsError::Other {
                code,
                message: status.message().to_owned(),
            },
        }
    }
}
