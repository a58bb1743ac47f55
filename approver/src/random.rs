//! The one source of random bytes: the operating system.

use crate::domain::secret::Secret;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random source failed: {0}")]
pub struct RandomError(getrandom::Error);

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(RandomError)?;
    Ok(bytes)
}

/// A fresh secret.
pub(crate) fn secret() -> Result<Secret, RandomError> {
    Ok(Secret::from_random(&bytes()?))
}
