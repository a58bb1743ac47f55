//! Which status code each error is.
//!
//! The text of an error that a caller can mend goes to the caller; what only the
//! operator can mend is logged here, once, and the caller learns no detail.

use tonic::{Code, Status};

use crate::{
    ca::{IssueError, PeerError},
    domain::decide::Refusal,
    error_chain::error_chain,
    service::{
        enrolment::EnrolError,
        hosts::AdmitError,
        login::{CallerError, LoginError},
        review::ReviewError,
    },
    store::StoreError,
};

fn internal(error: &(dyn std::error::Error + 'static)) -> Status {
    tracing::error!(error = error_chain(error), "call failed");
    Status::internal("the approver failed; the reason is in its log")
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        internal(&error)
    }
}

impl From<EnrolError> for Status {
    fn from(error: EnrolError) -> Self {
        let code = match &error {
            EnrolError::Unknown | EnrolError::Used(_) | EnrolError::Expired(_) => {
                Code::Unauthenticated
            }
            EnrolError::Hostname(_)
            | EnrolError::Issue(IssueError::Request(_) | IssueError::KeyKind) => {
                Code::InvalidArgument
            }
            EnrolError::Issue(_) | EnrolError::Store(_) => return internal(&error),
        };
        tracing::warn!(reason = %error, "enrolment refused");
        Self::new(code, error.to_string())
    }
}

impl From<PeerError> for Status {
    fn from(error: PeerError) -> Self {
        Self::unauthenticated(error.to_string())
    }
}

impl From<AdmitError> for Status {
    fn from(error: AdmitError) -> Self {
        if let AdmitError::Store(error) = error {
            return error.into();
        }
        tracing::warn!(reason = %error, "host refused");
        Self::permission_denied(error.to_string())
    }
}

impl From<LoginError> for Status {
    fn from(error: LoginError) -> Self {
        let code = match &error {
            LoginError::Wrong => Code::Unauthenticated,
            LoginError::Throttled(_) => Code::ResourceExhausted,
            LoginError::Hash(_) | LoginError::Random(_) | LoginError::Store(_) => {
                return internal(&error);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<CallerError> for Status {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Unknown => Self::unauthenticated(error.to_string()),
            CallerError::Store(error) => error.into(),
        }
    }
}

impl From<ReviewError> for Status {
    fn from(error: ReviewError) -> Self {
        let code = match &error {
            ReviewError::BadId(_) | ReviewError::Ambiguous(_) => Code::InvalidArgument,
            ReviewError::NotFound(_) => Code::NotFound,
            ReviewError::Refused(refusal) => match refusal {
                Refusal::NoReviewer { .. } | Refusal::Owner { .. } => Code::PermissionDenied,
                Refusal::ReasonMissing | Refusal::ReasonLong(_) => Code::InvalidArgument,
                Refusal::Closed(_) | Refusal::Expired(_) | Refusal::OtherDigest => {
                    Code::FailedPrecondition
                }
            },
            ReviewError::Store(_) => return internal(&error),
        };
        Self::new(code, error.to_string())
    }
}
