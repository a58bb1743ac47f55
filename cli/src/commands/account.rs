//! `login`, `logout`, `whoami`, `contexts`: which account this machine acts as.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::json;

use super::block_on;
use crate::{
    args,
    contexts::{Context, Contexts, Login, store::Store},
    escape,
    failure::Failure,
    output::Output,
    render::time,
    reviews::{self, Reviews, ReviewsError},
};

/// Longest line taken for a password, in bytes.
const LONGEST_PASSWORD: u64 = 4096;

/// Why a login could not be made or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("this is the first login to context {context:?}: give {option} too")]
    Missing {
        context: String,
        option: &'static str,
    },
    #[error("can't read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{path} holds no PEM certificate; give the approver's ca.pem", path = path.display())]
    NoCertificate { path: PathBuf },
    #[error(
        "{path} holds a private key; give the CA certificate (ca.pem) and keep the key where it is",
        path = path.display()
    )]
    PrivateKey { path: PathBuf },
    #[error("can't ask for the password: {0}; give --password-file")]
    Prompt(io::Error),
    #[error("the password is empty")]
    EmptyPassword,
    #[error("this machine has forgotten the login, but the approver could not be told: {0}")]
    NotEnded(ReviewsError),
}

/// Logs in and remembers it as the context `name`.
pub(crate) fn login(name: &str, login: &args::Login, output: &mut Output) -> Result<(), Failure> {
    let store = Store::from_environment()?;
    let known = store.load()?.contexts.remove(name);
    let mut context = wanted_context(name, login, known)?;
    reviews::check_address(&context.approver)?;
    let password = password(login, &context)?;
    let answer = block_on(async {
        let mut approver = Reviews::connect_to_log_in(name, &context).await?;
        approver.login(&context.username, password).await
    })??;
    context.login = Some(Login {
        token: answer.token,
        expires_at: time::timestamp(answer.expires_at),
    });
    store.update(|all| all.contexts.insert(name.to_owned(), context.clone()))?;
    if output.json {
        output.json(&summary(name, &context, None))
    } else {
        output.text(&format!(
            "Logged in to {} as {}{}\n",
            escape::name(&context.approver),
            escape::name(&context.username),
            until(&context),
        ))
    }
}

/// Ends the login of the context `name`, here in any case.
pub(crate) fn logout(name: &str, output: &mut Output) -> Result<(), Failure> {
    let store = Store::from_environment()?;
    let mut context = store.load()?.get(name)?.clone();
    let told: Result<(), Failure> = if context.login.is_some() {
        block_on(async {
            Reviews::connect(name, &context)
                .await?
                .logout()
                .await
                .map_err(Failure::from)
        })?
    } else {
        Ok(())
    };
    store.update(|all| {
        if let Some(context) = all.contexts.get_mut(name) {
            context.login = None;
        }
    })?;
    match told {
        // An approver that no longer knows the login has nothing to end.
        Ok(()) | Err(Failure::Reviews(ReviewsError::LoggedOut { .. })) => {}
        Err(Failure::Reviews(error)) => return Err(AccountError::NotEnded(error).into()),
        Err(other) => return Err(other),
    }
    context.login = None;
    if output.json {
        output.json(&summary(name, &context, None))
    } else {
        output.text(&format!(
            "Logged out of {}\n",
            escape::name(&context.approver)
        ))
    }
}

/// Asks the approver who the context `name` is.
pub(crate) fn whoami(name: &str, output: &mut Output) -> Result<(), Failure> {
    let context = Store::from_environment()?.load()?.get(name)?.clone();
    let answer = block_on(async {
        let mut approver = Reviews::connect(name, &context).await?;
        approver.who_am_i().await.map_err(Failure::from)
    })??;
    let expires_at = time::timestamp(answer.expires_at);
    let context = Context {
        username: answer.username,
        login: context.login.map(|login| Login {
            expires_at: expires_at.or(login.expires_at),
            ..login
        }),
        ..context
    };
    if output.json {
        output.json(&summary(name, &context, Some(&answer.role)))
    } else {
        output.text(&format!(
            "{} ({}) at {}{}\n",
            escape::name(&context.username),
            escape::name(&answer.role),
            escape::name(&context.approver),
            until(&context),
        ))
    }
}

/// Lists the contexts of this machine; `current` is the one in use.
pub(crate) fn contexts(current: &str, output: &mut Output) -> Result<(), Failure> {
    let Contexts { contexts } = Store::from_environment()?.load()?;
    let now = Timestamp::now();
    if output.json {
        let list: Vec<_> = contexts
            .iter()
            .map(|(name, context)| {
                let login = context.login.as_ref();
                json!({
                    "name": name,
                    "current": name == current,
                    "approver": context.approver,
                    "username": context.username,
                    "logged_in": login.is_some_and(|login| !login.expired(now)),
                    "expires_at": login.and_then(|login| login.expires_at).map(|at| at.to_string()),
                })
            })
            .collect();
        return output.json(&json!({ "contexts": list }));
    }
    if contexts.is_empty() {
        return output.text("There are no contexts yet; `holdpoint login` makes one\n");
    }
    for (name, context) in &contexts {
        let mark = if name == current { '*' } else { ' ' };
        let standing = match &context.login {
            None => "logged out".to_owned(),
            Some(login) if login.expired(now) => "login expired".to_owned(),
            Some(_) => format!("logged in{}", until(context)),
        };
        output.text(&format!(
            "{mark} {}  {} at {}, {standing}\n",
            escape::name(name),
            escape::name(&context.username),
            escape::name(&context.approver),
        ))?;
    }
    Ok(())
}

fn summary(name: &str, context: &Context, role: Option<&str>) -> serde_json::Value {
    let expires_at = context.login.as_ref().and_then(|login| login.expires_at);
    json!({
        "context": name,
        "approver": context.approver,
        "username": context.username,
        "role": role,
        "expires_at": expires_at.map(|at| at.to_string()),
    })
}

fn until(context: &Context) -> String {
    let expires_at = context.login.as_ref().and_then(|login| login.expires_at);
    expires_at.map_or_else(String::new, |at| {
        format!(" until {}", at.strftime("%Y-%m-%d %H:%M:%SZ"))
    })
}

/// What was typed, filled up with what is known from the last login.
fn wanted_context(
    name: &str,
    login: &args::Login,
    known: Option<Context>,
) -> Result<Context, AccountError> {
    let missing = |option| AccountError::Missing {
        context: name.to_owned(),
        option,
    };
    let (approver, username, ca) = known.map_or((None, None, None), |context| {
        (
            Some(context.approver),
            Some(context.username),
            Some(context.ca),
        )
    });
    let ca = match &login.ca {
        Some(path) => Some(read_ca(path)?),
        None => ca,
    };
    Ok(Context {
        approver: login
            .approver
            .clone()
            .or(approver)
            .ok_or_else(|| missing("--approver URL"))?,
        username: login
            .user
            .clone()
            .or(username)
            .ok_or_else(|| missing("--user NAME"))?,
        ca: ca.ok_or_else(|| missing("--ca FILE"))?,
        login: None,
    })
}

fn read_ca(path: &Path) -> Result<String, AccountError> {
    let text = fs::read(path).map_err(|source| AccountError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8(text).unwrap_or_default();
    if text.contains("PRIVATE KEY-----") {
        return Err(AccountError::PrivateKey {
            path: path.to_owned(),
        });
    }
    let mut certificates = CertificateDer::pem_slice_iter(text.as_bytes()).peekable();
    if certificates.peek().is_none() || !certificates.all(|certificate| certificate.is_ok()) {
        return Err(AccountError::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(text)
}

fn password(login: &args::Login, context: &Context) -> Result<String, AccountError> {
    let password = match &login.password_file {
        None => rpassword::prompt_password(format!(
            "Password of {} at {}: ",
            escape::name(&context.username),
            escape::name(&context.approver)
        ))
        .map_err(AccountError::Prompt)?,
        Some(path) => first_line(path).map_err(|source| AccountError::Read {
            path: path.clone(),
            source,
        })?,
    };
    if password.is_empty() {
        return Err(AccountError::EmptyPassword);
    }
    Ok(password)
}

/// The first line of the file at `path`, or of standard input for `-`, without
/// its end.
fn first_line(path: &Path) -> io::Result<String> {
    let mut line = String::new();
    if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(LONGEST_PASSWORD)
            .read_line(&mut line)?;
    } else {
        BufReader::new(File::open(path)?.take(LONGEST_PASSWORD)).read_line(&mut line)?;
    }
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p");
        for (content, wanted) in [
            ("secret\nmore\n", "secret"),
            (" spaces stay \r\n", " spaces stay "),
            ("no end", "no end"),
            ("", ""),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(first_line(&path).unwrap(), wanted);
        }
    }

    #[test]
    fn a_ca_file_must_hold_certificates_and_no_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let error = |content: &str| {
            fs::write(&path, content).unwrap();
            read_ca(&path).unwrap_err().to_string()
        };
        assert!(error("nothing").contains("no PEM certificate"));
        let block = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
        assert!(error(&block("PRIVATE KEY")).contains("holds a private key"));
        assert!(error(&block("PUBLIC KEY")).contains("no PEM certificate"));
        fs::write(&path, block("CERTIFICATE")).unwrap();
        assert_eq!(read_ca(&path).unwrap(), block("CERTIFICATE"));
        let missing = read_ca(&directory.path().join("x")).unwrap_err();
        assert!(missing.to_string().contains("can't read"));
    }

    #[test]
    fn a_second_login_needs_no_options() {
        let known = Context {
            approver: "https://a:1".into(),
            username: "ada".into(),
            login: None,
            ca: "pem".into(),
        };
        let nothing = args::Login {
            approver: None,
            ca: None,
            user: None,
            password_file: None,
        };
        let context = wanted_context("x", &nothing, Some(known)).unwrap();
        assert_eq!(
            (context.username.as_str(), context.ca.as_str()),
            ("ada", "pem")
        );
        let error = wanted_context("x", &nothing, None).unwrap_err().to_string();
        assert!(error.contains("--approver URL"), "{error}");
    }
}
