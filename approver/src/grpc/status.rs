//! Which status code each error is.
//!
//! The text of an error that a caller can mend goes to the caller; what only the
//! operator can mend is logged here, once, and the caller learns no detail.

use tonic::{Code, Status};

use crate::{
    ca::{IssueError, PeerError},
    domain::decide::Refusal,
    service::{
        enrolment::EnrolError,
        expiry::chain,
        hosts::AdmitError,
        login::{CallerError, LoginError},
        review::ReviewError,
    },
    store::StoreError,
};

/// An error as the status its caller sees.
pub(super) trait IntoStatus {
    fn into_status(self) -> Status;
}

fn internal(error: &dyn std::error::Error) -> Status {
    tracing::error!(error = chain(error), "call failed");
    Status::internal("the approver failed; the reason is in its log")
}

impl IntoStatus for StoreError {
    fn into_status(self) -> Status {
        internal(&self)
    }
}

impl IntoStatus for EnrolError {
    fn into_status(self) -> Status {
        let code = match &self {
            Self::Unknown | Self::Used(_) | Self::Expired(_) => Code::Unauthenticated,
            Self::Hostname(_) | Self::Issue(IssueError::Request(_) | IssueError::KeyKind) => {
                Code::InvalidArgument
            }
            Self::Issue(_) | Self::Store(_) => return internal(&self),
        };
        tracing::warn!(reason = %self, "enrolment refused");
        Status::new(code, self.to_string())
    }
}

impl IntoStatus for PeerError {
    fn into_status(self) -> Status {
        Status::unauthenticated(self.to_string())
    }
}

impl IntoStatus for AdmitError {
    fn into_status(self) -> Status {
        if let Self::Store(error) = self {
            return error.into_status();
        }
        tracing::warn!(reason = %self, "host refused");
        Status::permission_denied(self.to_string())
    }
}

impl IntoStatus for LoginError {
    fn into_status(self) -> Status {
        let code = match &self {
            Self::Wrong => Code::Unauthenticated,
            Self::Throttled(_) => Code::ResourceExhausted,
            Self::Hash(_) | Self::Random(_) | Self::Store(_) => return internal(&self),
        };
        Status::new(code, self.to_string())
    }
}

impl IntoStatus for CallerError {
    fn into_status(self) -> Status {
        match self {
            Self::Unknown => Status::unauthenticated(self.to_string()),
            Self::Store(error) => error.into_status(),
        }
    }
}

impl IntoStatus for ReviewError {
    fn into_status(self) -> Status {
        let code = match &self {
            Self::BadId(_) | Self::Ambiguous(_) => Code::InvalidArgument,
            Self::NotFound(_) => Code::NotFound,
            Self::Refused(refusal) => match refusal {
                Refusal::NoReviewer { .. } | Refusal::Owner { .. } => Code::PermissionDenied,
                Refusal::ReasonMissing | Refusal::ReasonLong(_) => Code::InvalidArgument,
                Refusal::Closed(_) | Refusal::Expired(_) | Refusal::OtherDigest => {
                    Code::FailedPrecondition
                }
            },
            Self::Store(_) => return internal(&self),
        };
        Status::new(code, self.to_string())
    }
}
