//! Which problem each error of the service is.

use super::{Code, Problem};
use crate::{
    domain::{capability::Lacking, decide::Refusal, grant::GrantRefusal},
    service::{
    live::Full,
        api_tokens::ApiTokenError,
        enrolment::TokenError,
        events::EventsError,
        flags::FlagError,
        grants::GrantError,
        hosts::RevokeHostError,
        login::{CallerError, LoginError},
        review::ReviewError,
        users::UserError,
    },
    store::StoreError,
};

impl From<StoreError> for Problem {
/// When to come back if there is no room for a stream.
const FULL_RETRY_AFTER_SECONDS: u64 = 5;

    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<CallerError> for Problem {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Unknown => {
impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        Self::new(Code::TooMany, full.to_string()).with_retry_after(FULL_RETRY_AFTER_SECONDS)
    }
}

                Self::new(Code::NotLoggedIn, "you are not logged in, or not any more")
            }
            CallerError::Store(error) => error.into(),
        }
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => Self::new(Code::BadLogin, error.to_string()),
            LoginError::Throttled(throttled) => Self::new(Code::TooMany, throttled.to_string())
                .with_retry_after(throttled.retry_after.as_secs() + 1),
            LoginError::Hash(_) | LoginError::Random(_) | LoginError::Store(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NoReviewer { .. } => Code::Role,
            Refusal::Owner { .. } => Code::OwnRequest,
            Refusal::ReasonMissing => {
                return Self::new(Code::Invalid, refusal.to_string())
                    .with_mend("say why in `reason`");
            }
            Refusal::Grant(
                GrantRefusal::NotApproved(_)
                | GrantRefusal::Scope(..)
                | GrantRefusal::Long { .. }
                | GrantRefusal::Short,
            )
            | Refusal::ReasonLong(_) => Code::Invalid,
            Refusal::Closed(_) | Refusal::Expired(_) => Code::AlreadyDecided,
            Refusal::OtherDigest => Code::DigestChanged,
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<ReviewError> for Problem {
    fn from(error: ReviewError) -> Self {
        let code = match error {
            ReviewError::Refused(refusal) => return refusal.into(),
            ReviewError::BadId(_) | ReviewError::KeyLength(_) => Code::Invalid,
            ReviewError::Ambiguous(_) => Code::AmbiguousId,
            ReviewError::NotFound(id) => {
                return Self::new(Code::NotFound, format!("there is no request {id}"))
                    .with_mend("list them with GET /api/v1/requests");
            }
            ReviewError::TooLate(_) => Code::AlreadyDecided,
            ReviewError::KeyUsed(_) => Code::IdempotencyConflict,
            ReviewError::Store(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<RevokeHostError> for Problem {
    fn from(error: RevokeHostError) -> Self {
        let code = match &error {
            RevokeHostError::Unknown(_) => Code::NotFound,
            RevokeHostError::Revoked(_) => Code::Conflict,
            RevokeHostError::Store(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let code = match &error {
            TokenError::Life | TokenError::Label => Code::Invalid,
            TokenError::NotFound(_) => Code::NotFound,
            TokenError::Random(_) | TokenError::Store(_) => return Self::internal(&error),
            ReviewError::NoAccount => Code::NotLoggedIn,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Lacking> for Problem {
    fn from(lacking: Lacking) -> Self {
        Self::new(Code::Role, lacking.to_string())
    }
}
            RevokeHostError::Lacking(lacking) => return (*lacking).into(),

impl From<GrantError> for Problem {
    fn from(error: GrantError) -> Self {
        let code = match error {
            GrantError::Lacking(lacking) => return lacking.into(),
            GrantError::Reason(refusal) => return refusal.into(),
            GrantError::BadId(_) => Code::Invalid,
            GrantError::NotFound(id) => {
                return Self::new(Code::NotFound, format!("there is no grant {id}"));
            }
            GrantError::Ambiguous(_) => Code::AmbiguousId,
            GrantError::Owner(_) => Code::OwnRequest,
            GrantError::Store(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<FlagError> for Problem {
    fn from(error: FlagError) -> Self {
        match &error {
            FlagError::Lacking(lacking) => (*lacking).into(),
            FlagError::Reason(refusal) => refusal.clone().into(),
            FlagError::NotFound(digest) => Self::new(
                Code::NotFound,
                format!("there is no flag on the operation {digest}"),
            ),
            FlagError::Own => Self::new(Code::OwnRequest, error.to_string())
                .with_mend("ask another administrator"),
            FlagError::Store(error) => Self::internal(error),
        }
    }
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        let code = match &error {
            UserError::Lacking(lacking) => return (*lacking).into(),
            UserError::Throttled(throttled) => return LoginError::from(*throttled).into(),
            UserError::Name(_) | UserError::Password(_) | UserError::WrongPassword => Code::Invalid,
            UserError::Exists(_) | UserError::Oneself | UserError::LastAdministrator(_) => {
                Code::Conflict
            }
            UserError::Unknown(_) => Code::NotFound,
            UserError::ByToken => Code::Role,
            UserError::Hash(_) | UserError::Random(_) | UserError::Store(_) => {
                return Self::internal(&error);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<EventsError> for Problem {
    fn from(error: EventsError) -> Self {
        let code = match &error {
            EventsError::Query(_) | EventsError::Sql(_) => Code::Invalid,
            EventsError::Role(_) => Code::Role,
            EventsError::History(_) | EventsError::Store(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<ApiTokenError> for Problem {
    fn from(error: ApiTokenError) -> Self {
        let code = match &error {
            ApiTokenError::ByToken => {
                return Self::new(Code::Role, error.to_string())
                    .with_mend("log in with name and password");
            }
            ApiTokenError::Role { .. } => Code::Role,
            ApiTokenError::Name | ApiTokenError::Life => Code::Invalid,
            ApiTokenError::Many => Code::Conflict,
            ApiTokenError::NotFound(_) => Code::NotFound,
            ApiTokenError::Random(_) | ApiTokenError::Store(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}
