//! Which variables of a held exec's environment a reviewer sees, and as what.
//!
//! Pure. Shows what changes what a program runs, reads or whom it speaks for;
//! everything else takes part in the request through the environment's digest
//! alone. Must never give away a secret: what is kept under a name that secrets
//! are kept under, or looks like one, is named and left out. And must never let a
//! process hide code behind that: variables that name code are shown whatever
//! their value looks like.
//!
//! | shown | for |
//! |---|---|
//! | `LD_*`, `GCONV_PATH`, `GLIBC_TUNABLES`, `LOCPATH`, `MALLOC_*` | the loader and the C library |
//! | `PATH`, `BASH_ENV`, `ENV`, `BASH_FUNC_*`, `BASHOPTS`, `SHELLOPTS`, `IFS`, `PS4`, `PROMPT_COMMAND`, `ZDOTDIR` | shells |
//! | `PYTHON*`, `PERL5*`, `PERLLIB`, `RUBY*`, `NODE_*`, `LUA_*`, `CLASSPATH`, `JAVA_*`, `_JAVA_OPTIONS`, `JDK_JAVA_OPTIONS` | interpreters |
//! | `GIT_*`, `CARGO_*`, `RUSTC*`, `RUSTFLAGS`, `GOFLAGS`, `GOPROXY`, `NPM_CONFIG_*`, `PIP_*`, `UV_*`, `MAKEFLAGS`, `MAKEFILES` | tools that run other tools |
//! | `EDITOR`, `VISUAL`, `PAGER`, `MANPAGER`, `BROWSER`, `SHELL`, `LESSOPEN`, `LESSCLOSE`, `SUDO_*` | programs that are run by name |
//! | `*_PROXY`, `HOSTALIASES`, `LOCALDOMAIN`, `RES_OPTIONS`, `SSL_CERT_*`, `CURL_*`, `REQUESTS_CA_BUNDLE`, `WGETRC`, `OPENSSL_*` | where traffic goes and whom it trusts |
//! | `SSH_*` (but `SSH_CLIENT`, `SSH_CONNECTION`, `SSH_TTY`), `AWS_*`, `AZURE_*`, `GOOGLE_*`, `CLOUDSDK_*`, `KUBECONFIG`, `DOCKER_*`, `VAULT_*` | on whose behalf |
//! | `HOME`, `TMPDIR`, `XDG_CONFIG_HOME` | where configuration is read from |

use crate::kernel::Variable;

/// Most bytes of a name or a value that are shown.
const SHOWN: usize = 1024;

/// Variables by their whole name, or by how it begins (`NAME*`). They name code
/// that runs, and are shown whatever they hold.
const CODE: &[&str] = &[
    "_JAVA_OPTIONS",
    "BASHOPTS",
    "BASH_ENV",
    "BASH_FUNC_*",
    "BROWSER",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "IFS",
    "JAVA_*",
    "JDK_JAVA_OPTIONS",
    "LD_*",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCPATH",
    "LUA_*",
    "MAKEFILES",
    "MAKEFLAGS",
    "MALLOC_*",
    "MANPAGER",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PAGER",
    "PATH",
    "PERL5*",
    "PERLLIB",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHON*",
    "RUBY*",
    "RUSTC*",
    "SHELL",
    "SHELLOPTS",
    "VISUAL",
    "ZDOTDIR",
];

/// As [`CODE`], but they may hold a secret.
const CONFIGURATION: &[&str] = &[
    "AWS_*",
    "AZURE_*",
    "CARGO_*",
    "CLOUDSDK_*",
    "CURL_*",
    "DOCKER_*",
    "GIT_*",
    "GOFLAGS",
    "GOOGLE_*",
    "GOPROXY",
    "HOME",
    "HOSTALIASES",
    "KUBECONFIG",
    "LOCALDOMAIN",
    "NODE_*",
    "NPM_CONFIG_*",
    "OPENSSL_*",
    "PIP_*",
    "REQUESTS_CA_BUNDLE",
    "RES_OPTIONS",
    "RUSTFLAGS",
    "SSH_*",
    "SSL_CERT_*",
    "SUDO_*",
    "TMPDIR",
    "UV_*",
    "VAULT_*",
    "WGETRC",
    "XDG_CONFIG_HOME",
];

/// They say where a login came from, differ at each, and change nothing.
const NOT_SHOWN: &[&str] = &["SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY"];

/// A name with one of these in it keeps a secret.
const SECRET_NAMES: &[&str] = &[
    "AUTH",
    "COOKIE",
    "CREDENTIAL",
    "KEY",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PRIVATE",
    "SECRET",
    "TOKEN",
];

/// Names with one of [`SECRET_NAMES`] in them that say who, when or where, and no
/// secret.
const NO_SECRETS: &[&str] = &[
    "GIT_AUTHOR_DATE",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_NAME",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "SSH_AUTH_SOCK",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// A value with one of these in it is a secret, or carries one. In lower case.
const SECRET_VALUES: &[&[u8]] = &[
    b"-----begin ",
    b"authorization:",
    b"bearer ",
    b"ghp_",
    b"github_pat_",
    b"glpat-",
    b"xoxb-",
    b"xoxp-",
];

/// The variables of interest among `environment` (`NAME=value` texts), in order
/// of name; of one name, in the order they stand in.
pub(super) fn of_interest(environment: &[Vec<u8>]) -> Vec<Variable> {
    let mut variables: Vec<Variable> = environment
        .iter()
        .filter_map(|text| {
            let equals = text.iter().position(|byte| *byte == b'=')?;
            let (name, value) = (text.get(..equals)?, text.get(equals + 1..)?);
            let interest = Interest::of(name)?;
            let redacted = interest == Interest::Configuration
                && (is_secret_name(name) || is_secret_value(name, value));
            Some(Variable {
                name: shortened(name),
                value: (!redacted).then(|| shortened(value)),
            })
        })
        .collect();
    variables.sort_by(|left, right| left.name.cmp(&right.name));
    variables
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Interest {
    Code,
    Configuration,
}

impl Interest {
    fn of(name: &[u8]) -> Option<Self> {
        let listed = |list: &[&str], name: &[u8]| {
            list.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => name.starts_with(start.as_bytes()),
                None => name == known.as_bytes(),
            })
        };
        // npm reads both spellings of its names.
        let upper = name.to_ascii_uppercase();
        if listed(CODE, name) {
            Some(Self::Code)
        } else if listed(CONFIGURATION, &upper) && !listed(NOT_SHOWN, name) || is_proxy(name) {
            Some(Self::Configuration)
        } else {
            None
        }
    }
}

/// Programs read `http_proxy` and `HTTP_PROXY`, and some either.
fn is_proxy(name: &[u8]) -> bool {
    name.to_ascii_uppercase().ends_with(b"_PROXY")
}

fn is_secret_name(name: &[u8]) -> bool {
    let upper = name.to_ascii_uppercase();
    !NO_SECRETS.iter().any(|known| upper == known.as_bytes())
        && SECRET_NAMES
            .iter()
            .any(|part| contains(&upper, part.as_bytes()))
}

fn is_secret_value(name: &[u8], value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    SECRET_VALUES.iter().any(|part| contains(&lower, part))
        || has_login(&lower)
        // `user:password@proxy:3128` is understood as well.
        || (is_proxy(name) && value.contains(&b'@'))
}

/// Whether an address in `text` says how to log in: `//user:password@host`, or a
/// token alone in front of the host of an `https` address.
fn has_login(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = find(rest, b"://") {
        let before = rest.get(..at).unwrap_or_default();
        let web = before.ends_with(b"http") || before.ends_with(b"https");
        rest = rest.get(at + 3..).unwrap_or_default();
        let authority = rest
            .split(|byte| matches!(byte, b'/' | b'?' | b'#') || byte.is_ascii_whitespace())
            .next()
            .unwrap_or_default();
        if let Some(end) = authority.iter().rposition(|byte| *byte == b'@') {
            let login = authority.get(..end).unwrap_or_default();
            if web || login.contains(&b':') {
                return true;
            }
        }
    }
    false
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// At most [`SHOWN`] bytes; what is longer ends in a mark that says so.
fn shortened(text: &[u8]) -> Vec<u8> {
    if text.len() <= SHOWN {
        return text.to_vec();
    }
    let mark = format!("... ({} bytes)", text.len());
    let mut short = text
        .get(..SHOWN.saturating_sub(mark.len()))
        .unwrap_or_default()
        .to_vec();
    short.extend_from_slice(mark.as_bytes());
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(environment: &[&str]) -> Vec<(String, Option<String>)> {
        let environment: Vec<Vec<u8>> = environment
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        of_interest(&environment)
            .iter()
            .map(|variable| (text(&variable.name), variable.value.as_deref().map(text)))
            .collect()
    }

    fn one(text: &str) -> Option<String> {
        shown(&[text]).remove(0).1
    }

    #[test]
    fn what_changes_a_program_is_shown_in_order_of_name() {
        let shown = shown(&[
            "TERM=xterm",
            "PATH=/bin",
            "LD_PRELOAD=/tmp/x.so",
            "https_proxy=http://proxy:3128",
            "NODE_OPTIONS=-r x",
            "SSH_CONNECTION=1 2 3 4",
            "SSH_AUTH_SOCK=/tmp/agent",
            "GIT_AUTHOR_NAME=agent",
            "PATHS=no",
            "no-equals-sign",
            "=strange",
        ]);
        let names: Vec<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "GIT_AUTHOR_NAME",
                "LD_PRELOAD",
                "NODE_OPTIONS",
                "PATH",
                "SSH_AUTH_SOCK",
                "https_proxy"
            ]
        );
        assert!(shown.iter().all(|(_, value)| value.is_some()), "{shown:?}");
    }

    #[test]
    fn a_name_that_stands_twice_is_shown_twice_in_its_order() {
        let shown = shown(&["PATH=first", "PATH=second"]);
        assert_eq!(shown[0].1.as_deref(), Some("first"));
        assert_eq!(shown[1].1.as_deref(), Some("second"));
    }

    #[test]
    fn secrets_are_named_and_left_out() {
        for text in [
            "AWS_SECRET_ACCESS_KEY=x",
            "AWS_SESSION_TOKEN=x",
            "GIT_PASSWORD=x",
            "npm_config__auth=x",
            "NPM_CONFIG_//registry/:_authToken=x",
            "GIT_CONFIG_VALUE_0=Authorization: Basic eDp5",
            "GIT_CONFIG_VALUE_1=https://x-access-token@example.com/",
            "GIT_CONFIG_VALUE_2=ghp_0123456789",
            "HTTP_PROXY=http://user:password@proxy:3128",
            "all_proxy=user:password@proxy:3128",
            "PIP_INDEX_URL=https://user:password@index.example/simple",
            "DOCKER_HOST=tcp://user:p%40ss@host:2375/x",
        ] {
            assert_eq!(one(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "GIT_SSH_COMMAND=ssh -p 22 git@example.com",
            "GIT_CONFIG_VALUE_0=ssh://git@example.com/a:b@c",
            "HTTPS_PROXY=http://proxy:3128/",
            "AWS_PROFILE=production",
            "KUBECONFIG=/home/a/.kube/config",
            "GOOGLE_APPLICATION_CREDENTIALS=/etc/gcp.json",
        ] {
            assert!(one(text).is_some(), "{text}");
        }
    }

    #[test]
    fn code_cannot_be_hidden_behind_what_looks_like_a_secret() {
        for text in [
            "LD_PRELOAD=/tmp/a://b:c@d/evil.so",
            "LD_TOKEN=x",
            "PATH=/tmp/bearer /evil:/bin",
            "BASH_ENV=/tmp/ghp_evil",
            "PYTHONPATH=https://a:b@c",
        ] {
            assert!(one(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_long_value_says_that_it_is_longer() {
        let value = one(&format!("PATH={}", "x".repeat(5000))).unwrap();
        assert_eq!(value.len(), SHOWN);
        assert!(value.ends_with("x... (5000 bytes)"));
        assert_eq!(
            one(&format!("PATH={}", "x".repeat(SHOWN))).unwrap().len(),
            SHOWN
        );
    }

    proptest! {
        #[test]
        fn any_environment_is_shown_sorted_and_short(
            environment in prop::collection::vec(prop::collection::vec(1_u8.., 0..40), 0..20),
            long in 0_usize..3000,
        ) {
            let mut environment = environment;
            environment.push([b"GIT_X=".to_vec(), vec![0xff; long]].concat());
            let shown = of_interest(&environment);
            prop_assert!(shown.is_sorted_by(|left, right| left.name <= right.name));
            prop_assert!(shown.iter().all(|variable| variable.name.len() <= SHOWN
                && variable.value.as_ref().is_none_or(|value| value.len() <= SHOWN)));
        }

        #[test]
        fn a_password_in_an_address_is_never_shown(
            user in "[a-z]{1,8}",
            password in "[a-zA-Z0-9%_.-]{1,20}",
            before in "[ a-z=]{0,10}",
        ) {
            let text = format!("GIT_X={before}https://{user}:{password}@host/");
            prop_assert_eq!(one(&text), None);
        }
    }
}
