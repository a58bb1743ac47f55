//! People's accounts: what a name may look like, what a role allows, which
//! passwords are refused.
//!
//! Names are lower case only, so that no two accounts look alike to a person
//! and the owner of a session can be compared byte for byte.

use std::{fmt, str::FromStr};

/// Longest account name, in bytes.
pub const NAME_MAX: usize = 64;
/// Shortest password, in characters.
pub const PASSWORD_MIN: usize = 8;
/// Longest password, in bytes: bounds what one login can make us hash.
pub const PASSWORD_MAX: usize = 1024;

/// The checked name of an account.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccountName(String);

/// Why a text is no account name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is no account name: use 1 to {NAME_MAX} of a-z, 0-9, '.', '_', '-' and '@', \
     beginning with a letter or digit"
)]
pub struct NameError(String);

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let allowed = |c: char| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '@')
        };
        if begins_well && text.len() <= NAME_MAX && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError(text.chars().take(NAME_MAX).collect()))
        }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an account may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and decides.
    Reviewer,
    /// Reads, decides and administers.
    Administrator,
}

/// A text that names no role.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no role {0:?}: use viewer, reviewer or administrator")]
pub struct RoleError(String);

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Reviewer, Self::Administrator];

    /// The role's name, in the database, on the command line and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Reviewer => "reviewer",
            Self::Administrator => "administrator",
        }
    }

    /// Whether the role may decide requests.
    pub const fn may_decide(self) -> bool {
        matches!(self, Self::Reviewer | Self::Administrator)
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| RoleError(text.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a person proves who they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Via {
    /// With the bearer token of a login.
    Token,
    /// With the cookie of a login in a browser.
    Cookie,
    /// With a token made for a tool.
    ApiToken,
}

/// A text that names no way to prove oneself.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no way to log in")]
pub struct ViaError(String);

impl Via {
    /// The way's name, in the database and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Cookie => "cookie",
            Self::ApiToken => "api-token",
        }
    }
}

impl FromStr for Via {
    type Err = ViaError;

    fn from_str(text: &str) -> Result<Self, ViaError> {
        [Self::Token, Self::Cookie, Self::ApiToken]
            .into_iter()
            .find(|via| via.as_str() == text)
            .ok_or_else(|| ViaError(text.to_owned()))
    }
}

/// Why a password is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`PASSWORD_MIN`] characters.
    #[error("the password has {0} characters; use at least {PASSWORD_MIN}")]
    Short(usize),
    /// More than [`PASSWORD_MAX`] bytes.
    #[error("the password has {0} bytes; use at most {PASSWORD_MAX}")]
    Long(usize),
}

/// Checks a new password.
pub fn check_password(password: &str) -> Result<(), PasswordError> {
    let characters = password.chars().count();
    if characters < PASSWORD_MIN {
        return Err(PasswordError::Short(characters));
    }
    if password.len() > PASSWORD_MAX {
        return Err(PasswordError::Long(password.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_mistaken_for_others_are_refused() {
        for good in ["ada", "a", "0day", "ada.l", "ada-l_2", "ada@team.example"] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        let long = "a".repeat(NAME_MAX + 1);
        for bad in [
            "",
            "Ada",
            " ada",
            "ada ",
            "-ada",
            "аda",
            "a\u{202e}b",
            "a/b",
            "a\n",
            &long,
        ] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn roles_read_back() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!(
            "root".parse::<Role>().unwrap_err().to_string(),
            "there is no role \"root\": use viewer, reviewer or administrator"
        );
        assert!(!Role::Viewer.may_decide());
    }

    #[test]
    fn password_lengths() {
        assert_eq!(check_password("seven 7"), Err(PasswordError::Short(7)));
        assert_eq!(check_password("eight  8"), Ok(()));
        assert_eq!(check_password("äöüßäöüß"), Ok(()), "characters, not bytes");
        assert_eq!(
            check_password(&"x".repeat(1025)),
            Err(PasswordError::Long(1025))
        );
    }
}
