//! Which status code each error is.
//!
//! The text of an error that a caller can mend goes to the caller; what only the
//! operator can mend is logged here, once, and the caller learns no detail.

use tonic::{Code, Status};

use crate::{
    HashError,
    ca::{IssueError, PeerError},
    domain::{decide::Refusal, spool::WrongNumbers},
    error_chain::error_chain,
    live::Full,
    log::ServeResourceError,
    service::{
        enrolment::EnrolError,
        events::EventsError,
        evidence::EvidenceError,
        flags::FlagError,
        grants::GrantError,
        hosts::{AdmitError, HelloError},
        login::{CallerError, LoginError, LogoutError},
        publish::PublishError,
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

impl From<EvidenceError> for Status {
    fn from(error: EvidenceError) -> Self {
        let code = match &error {
            EvidenceError::Path(_) => Code::InvalidArgument,
            EvidenceError::Resource(ServeResourceError::NotFound(..)) => Code::NotFound,
            EvidenceError::Resource(ServeResourceError::Missing(_)) => {
                tracing::error!(error = error_chain(&error), "the log is damaged");
                Code::DataLoss
            }
            EvidenceError::Resource(_) => return internal(&error),
        };
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

impl From<HelloError> for Status {
    fn from(error: HelloError) -> Self {
        match error {
            HelloError::Grants(_) => {
                tracing::warn!(reason = %error, "host refused");
                Self::invalid_argument(error.to_string())
            }
            HelloError::Store(error) => error.into(),
        }
    }
}

impl From<Full> for Status {
    fn from(full: Full) -> Self {
        Self::resource_exhausted(full.to_string())
    }
}

impl From<PublishError> for Status {
    fn from(error: PublishError) -> Self {
        let code = match &error {
            PublishError::Numbers(WrongNumbers::Order { .. }) => Code::FailedPrecondition,
            PublishError::Spool(_)
            | PublishError::Numbers(_)
            | PublishError::TooMany(_)
            | PublishError::TooLarge(_) => Code::InvalidArgument,
            PublishError::Admit(_) | PublishError::Store(_) => {
                return match error {
                    PublishError::Admit(error) => error.into(),
                    error => internal(&error),
                };
            }
        };
        tracing::warn!(reason = %error, "events refused");
        Self::new(code, error.to_string())
    }
}

impl From<EventsError> for Status {
    fn from(error: EventsError) -> Self {
        let code = match &error {
            EventsError::Query(_) | EventsError::Sql(_) => Code::InvalidArgument,
            EventsError::Role(_) => Code::PermissionDenied,
            // Whoever verifies has to be told what of it can't be trusted.
            EventsError::History(damage) if damage.is_damage() => {
                tracing::error!(error = error_chain(&error), "the history is damaged");
                return Self::data_loss(damage.to_string());
            }
            EventsError::History(_) | EventsError::Store(_) => return internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<LoginError> for Status {
    fn from(error: LoginError) -> Self {
        let code = match &error {
            LoginError::Wrong => Code::Unauthenticated,
            LoginError::Throttled(_) => Code::ResourceExhausted,
            LoginError::Hash(HashError::Busy) => Code::Unavailable,
            LoginError::Hash(_) | LoginError::Random(_) | LoginError::Store(_) => {
                return internal(&error);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<LogoutError> for Status {
    fn from(error: LogoutError) -> Self {
        match error {
            LogoutError::ByToken => Self::failed_precondition(error.to_string()),
            LogoutError::Store(error) => error.into(),
        }
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
            ReviewError::BadId(_) | ReviewError::Ambiguous(_) | ReviewError::KeyLength(_) => {
                Code::InvalidArgument
            }
            ReviewError::NotFound(_) => Code::NotFound,
            ReviewError::Refused(refusal) => refused(refusal),
            ReviewError::TooLate(_) => Code::FailedPrecondition,
            ReviewError::NoAccount => Code::Unauthenticated,
            ReviewError::KeyUsed(_) => Code::AlreadyExists,
            ReviewError::Store(_) => return internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

fn refused(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NoReviewer { .. } | Refusal::Owner { .. } => Code::PermissionDenied,
        Refusal::ReasonMissing | Refusal::ReasonLong(_) | Refusal::Grant(_) => {
            Code::InvalidArgument
        }
        Refusal::Closed(_) | Refusal::Expired(_) | Refusal::OtherDigest => Code::FailedPrecondition,
    }
}

impl From<GrantError> for Status {
    fn from(error: GrantError) -> Self {
        let code = match &error {
            GrantError::BadId(_) | GrantError::Ambiguous(_) => Code::InvalidArgument,
            GrantError::NotFound(_) => Code::NotFound,
            GrantError::Lacking(_) | GrantError::Owner(_) => Code::PermissionDenied,
            GrantError::Reason(refusal) => refused(refusal),
            GrantError::Store(_) => return internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<FlagError> for Status {
    fn from(error: FlagError) -> Self {
        let code = match &error {
            FlagError::NotFound(_) => Code::NotFound,
            FlagError::Lacking(_) | FlagError::Own => Code::PermissionDenied,
            FlagError::Reason(refusal) => refused(refusal),
            FlagError::Store(_) => return internal(&error),
        };
        Self::new(code, error.to_string())
    }
}
