//! Tokens for tools. A token acts as the person who made it: it may never do
//! what they may not, nor make further tokens.

use std::time::Duration;

use data_encoding::HEXLOWER;

use super::{Approver, now};
use crate::{
    domain::{
        account::{Role, Via},
        secret,
    },
    random::{self, RandomError},
    store::{StoreError, api_tokens::ApiToken, logins::Login},
};

/// What tells a tool's token from that of a login, also to scanners for leaked
/// secrets.
pub(crate) const PREFIX: &str = "hpt_";
/// Longest life of a token.
pub(crate) const LIFE_MAX: Duration = Duration::from_hours(366 * 24);
/// Longest name of a token, in characters.
pub(crate) const NAME_MAX: usize = 128;
/// Most tokens of one person.
const PER_PERSON: u32 = 100;

/// Why a tool's token is not made or revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiTokenError {
    #[error("a token can't make, list or revoke tokens; log in")]
    ByToken,
    #[error(
        "the name of a token must have 1 to {NAME_MAX} characters and no control characters among \
         them"
    )]
    Name,
    #[error("a token lives at least a second and at most {} days", LIFE_MAX.as_secs() / 86_400)]
    Life,
    #[error("your role is {own}; a token can't have the role {asked}")]
    Role { own: Role, asked: Role },
    #[error("you have {PER_PERSON} tokens already; revoke one first")]
    Many,
    #[error("you have no token {0:?}")]
    NotFound(String),
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Makes a token for a tool of `caller`. The text is the secret: nobody can
    /// ask for it again.
    pub(crate) async fn make_api_token(
        &self,
        caller: &Login,
        name: &str,
        role: Role,
        life: Duration,
    ) -> Result<(ApiToken, String), ApiTokenError> {
        by_person(caller)?;
        let characters = name.chars().count();
        if characters == 0 || characters > NAME_MAX || name.chars().any(char::is_control) {
            return Err(ApiTokenError::Name);
        }
        if life < Duration::from_secs(1) || life > LIFE_MAX {
            return Err(ApiTokenError::Life);
        }
        if role > caller.role {
            return Err(ApiTokenError::Role {
                own: caller.role,
                asked: role,
            });
        }
        let text = format!("{PREFIX}{}", random::secret()?.reveal());
        let created_at = now();
        let token = ApiToken {
            id: HEXLOWER.encode(&random::bytes::<8>()?),
            username: caller.username.clone(),
            name: name.to_owned(),
            role,
            created_at,
            expires_at: created_at.plus(life),
        };
        let hash = secret::hash(&text);
        if !self.store.add_api_token(&token, &hash, PER_PERSON).await? {
            return Err(ApiTokenError::Many);
        }
        tracing::info!(user.name = %caller.username, token.id, token.role = %role, "token made");
        Ok((token, text))
    }

    /// The tokens of `caller`, newest first.
    pub(crate) async fn api_tokens(&self, caller: &Login) -> Result<Vec<ApiToken>, ApiTokenError> {
        by_person(caller)?;
        Ok(self.store.api_tokens(&caller.username, now()).await?)
    }

    /// Ends a token of `caller`.
    pub(crate) async fn revoke_api_token(
        &self,
        caller: &Login,
        id: &str,
    ) -> Result<(), ApiTokenError> {
        by_person(caller)?;
        if !self
            .store
            .remove_api_token(&caller.username, id, now())
            .await?
        {
            return Err(ApiTokenError::NotFound(id.chars().take(64).collect()));
        }
        tracing::info!(user.name = %caller.username, token.id = id, "token revoked");
        Ok(())
    }
}

fn by_person(caller: &Login) -> Result<(), ApiTokenError> {
    if caller.via == Via::ApiToken {
        return Err(ApiTokenError::ByToken);
    }
    Ok(())
}
