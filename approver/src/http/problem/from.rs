//! Which problem each error of the service is.

use super::{Code, Problem};
use crate::{
    HashError,
    domain::{capability::Lacking, decide::Refusal, grant::GrantRefusal},
    error_chain::error_chain,
    live::Full,
    service::{
        api_tokens::ApiTokenError,
        enrolment::TokenError,
        events::EventsError,
        flags::FlagError,
        grants::GrantError,
        hosts::RevokeHostError,
        login::{CallerError, LoginError, LogoutError},
        review::ReviewError,
        users::UserError,
    },
    store::StoreError,
};

/// When to come back if there is no room for a stream.
const FULL_RETRY_AFTER_SECONDS: u64 = 5;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        Self::new(Code::TooMany, full.to_string()).with_retry_after(FULL_RETRY_AFTER_SECONDS)
    }
}

impl From<CallerError> for Problem {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Unknown => {
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
            LoginError::Hash(error) => error.into(),
            LoginError::Random(_) | LoginError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<HashError> for Problem {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::new(Code::Unavailable, error.to_string()),
            HashError::Argon2(_) | HashError::Random(_) | HashError::Stopped => {
                Self::internal(&error)
            }
        }
    }
}

impl From<LogoutError> for Problem {
    fn from(error: LogoutError) -> Self {
        match error {
            LogoutError::ByToken => Self::new(Code::Invalid, error.to_string())
                .with_mend("revoke it with DELETE /api/v1/api-tokens/{id}"),
            LogoutError::Store(error) => error.into(),
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
            ReviewError::NoAccount => Code::NotLoggedIn,
            ReviewError::KeyUsed(_) => Code::IdempotencyConflict,
            ReviewError::Store(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<RevokeHostError> for Problem {
    fn from(error: RevokeHostError) -> Self {
        let code = match &error {
            RevokeHostError::Lacking(lacking) => return (*lacking).into(),
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
            TokenError::Lacking(lacking) => return (*lacking).into(),
            TokenError::Life | TokenError::Label => Code::Invalid,
            TokenError::NotFound(_) => Code::NotFound,
            TokenError::Random(_) | TokenError::Store(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<Lacking> for Problem {
    fn from(lacking: Lacking) -> Self {
        Self::new(Code::Role, lacking.to_string())
    }
}

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
        let code = match error {
            UserError::Lacking(lacking) => return lacking.into(),
            UserError::Throttled(throttled) => return LoginError::from(throttled).into(),
            UserError::Hash(error) => return error.into(),
            UserError::ByToken => {
                return Self::new(Code::Role, error.to_string())
                    .with_mend("log in with name and password");
            }
            UserError::OwnPassword => {
                return Self::new(Code::Conflict, error.to_string())
                    .with_mend("use POST /api/v1/me/password");
            }
            UserError::Name(_) | UserError::Password(_) | UserError::WrongPassword => Code::Invalid,
            UserError::Exists(_) | UserError::Oneself | UserError::LastAdministrator(_) => {
                Code::Conflict
            }
            UserError::Unknown(_) => Code::NotFound,
            UserError::Random(_) | UserError::Store(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl From<EventsError> for Problem {
    fn from(error: EventsError) -> Self {
        let code = match &error {
            EventsError::Query(_) => {
                return Self::new(Code::Invalid, error.to_string())
                    .with_mend("write words like `outcome:denied exe:*/curl since:24h`");
            }
            EventsError::Sql(_) => Code::Invalid,
            EventsError::Role(_) => Code::Role,
            // Whoever looks has to be told what of it can't be trusted.
            EventsError::History(damage) if damage.is_damage() => {
                tracing::error!(error = error_chain(&error), "the history is damaged");
                return Self::new(Code::Internal, damage.to_string())
                    .with_mend("verify the log with `holdpoint audit verify`");
            }
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
