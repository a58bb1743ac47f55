//! Hashes and checks passwords with argon2id.
//!
//! There is one strength and no setting for it, so that no build and no test
//! can run with a weaker one. Hashing takes a core for tens of milliseconds and
//! 19 MiB: it runs off the async threads and on few of them at a time, and only
//! so many wait for their turn. Strangers can ask for it.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::random::{self, RandomError};

/// The OWASP minimum: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many passwords are hashed at a time.
const PARALLEL: usize = 2;

/// How many may be hashed or wait for it: a few seconds' work. More are better
/// told at once than after minutes.
const PLACES: usize = 64;

/// Stands in for the hash of an account that doesn't exist, so that asking for
/// one takes the same time. Nobody knows a password for it: its output is all
/// zero bits.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// Room for one password to wait for its turn.
pub(crate) type Place = OwnedSemaphorePermit;

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// argon2 refused.
    #[error("cannot hash a password: {0}")]
    Argon2(String),
    /// No salt.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Too many wait for their turn.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// The process is going down.
    #[error("cannot hash a password: shutting down")]
    Stopped,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        Self {
            places: Arc::new(Semaphore::new(PLACES)),
            turns: Arc::new(Semaphore::new(PARALLEL)),
        }
    }

    /// Room to wait for a turn.
    pub(crate) fn place(&self) -> Result<Place, HashError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        place.map_err(|_| HashError::Busy)
    }

    /// The hash to keep of `password`, as a PHC string.
    pub(crate) async fn hash(&self, password: String) -> Result<String, HashError> {
        self.run(self.place()?, move || {
            let salt: [u8; 16] = random::bytes()?;
            let hash: PasswordHash = argon2()?
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map_err(|error| HashError::Argon2(error.to_string()))?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `password` is the one `hash` was made of; without a hash it takes
    /// as long and is not.
    pub(crate) async fn verify(
        &self,
        place: Place,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, HashError> {
        self.run(place, move || {
            let known = hash.is_some();
            let hash = hash.as_deref().unwrap_or(NOBODY);
            let hash =
                PasswordHash::new(hash).map_err(|error| HashError::Argon2(error.to_string()))?;
            let right = argon2()?
                .verify_password(password.as_bytes(), &hash)
                .is_ok();
            Ok(right && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let turns = Arc::clone(&self.turns);
        let turn = turns
            .acquire_owned()
            .await
            .map_err(|_| HashError::Stopped)?;
        tokio::task::spawn_blocking(move || {
            // Held by the work, not by the caller: one who hangs up must not
            // make room for another while we still hash.
            let _held = (turn, place);
            work()
        })
        .await
        .map_err(|_| HashError::Stopped)?
    }
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| HashError::Argon2(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let verify = async |password: &str, hash: Option<&str>| {
            let place = passwords.place().unwrap();
            passwords
                .verify(place, password.into(), hash.map(str::to_owned))
                .await
                .unwrap()
        };
        assert!(verify("correct horse", Some(&hash)).await);
        assert!(!verify("correct horses", Some(&hash)).await);
        assert!(!verify("correct horse", None).await);
    }

    #[tokio::test]
    async fn only_so_many_wait_and_places_come_back() {
        let passwords = Passwords::new();
        let mut places: Vec<Place> = (0..PLACES).map(|_| passwords.place().unwrap()).collect();
        let refused = passwords.hash("x".into()).await;
        assert!(matches!(refused, Err(HashError::Busy)));
        let place = places.pop().unwrap();
        assert!(!passwords.verify(place, "x".into(), None).await.unwrap());
        assert!(passwords.place().is_ok());
    }

    #[test]
    fn nobody_costs_as_much_as_everybody() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&hash).unwrap();
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (MEMORY_KIB, PASSES, LANES)
        );
        assert_eq!(hash.hash.unwrap().len(), 32);
    }
}
