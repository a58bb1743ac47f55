//! `holdpointd config check` and `holdpointd policy check`: files are read as the
//! daemon would read them, and nothing else is done.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{config::Config, link, policy::Policy};

/// Checks the configuration at `path` and every policy that it names. Says all that
/// is wrong on `errors`; gives whether nothing is.
pub fn config(path: &Path, out: &mut impl Write, errors: &mut impl Write) -> io::Result<bool> {
    let (config, problems) = match Config::examine(path) {
        Ok(examined) => examined,
        Err(error) => {
            writeln!(errors, "{}", link::causes(&error))?;
            return Ok(false);
        }
    };
    for problem in &problems {
        writeln!(errors, "{}", link::causes(problem))?;
    }
    let mut good = problems.is_empty();
    for (name, profile) in &config.profiles {
        match Policy::load(&profile.policy) {
            Ok(policy) => writeln!(
                out,
                "profile {name}: {}: {}",
                profile.policy.display(),
                summary(&policy)
            )?,
            Err(error) => {
                good = false;
                writeln!(errors, "profile {name}: {}", link::causes(&error))?;
            }
        }
    }
    if good {
        writeln!(
            out,
            "{}: valid, {}",
            path.display(),
            counted(config.profiles.len(), "profile")
        )?;
    }
    Ok(good)
}

/// Checks each policy file, its rules' own examples included. Says what is wrong
/// on `errors`; gives whether nothing is.
pub fn policies(
    paths: &[PathBuf],
    out: &mut impl Write,
    errors: &mut impl Write,
) -> io::Result<bool> {
    let mut good = true;
    for path in paths {
        match Policy::load(path) {
            Ok(policy) => writeln!(out, "{}: {}", path.display(), summary(&policy))?,
            Err(error) => {
                good = false;
                writeln!(errors, "{}", link::causes(&error))?;
            }
        }
    }
    Ok(good)
}

fn summary(policy: &Policy) -> String {
    let examples = policy.rules().iter().map(|rule| rule.examples).sum();
    format!(
        "valid, {}, {} as they should be",
        counted(policy.rules().len(), "rule"),
        counted(examples, "example"),
    )
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn said(
        check: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> io::Result<bool>,
    ) -> (bool, String, String) {
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let good = check(&mut out, &mut errors).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (good, text(out), text(errors))
    }

    fn shipped(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../packaging")
            .join(name)
    }

    #[test]
    fn the_shipped_samples_are_valid() {
        let path = shipped("holdpointd.toml");
        let (good, out, errors) = said(|out, errors| config(&path, out, errors));
        assert!(good && out.contains("valid, 0 profiles"), "{out}{errors}");
        let samples: Vec<PathBuf> = fs::read_dir(shipped("policies"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!samples.is_empty());
        let (good, out, errors) = said(|out, errors| policies(&samples, out, errors));
        assert!(good, "{errors}");
        assert_eq!(out.lines().count(), samples.len());
    }

    #[test]
    fn every_bad_file_is_named_and_the_good_ones_too() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let good = file("good.toml", "default = 'allow'");
        let wrong = file(
            "wrong.toml",
            "default = 'allow'\n[[rules]]\nname = 'a'\nverdict = 'hold'\n\
             exec = { exe = ['/bin/*'] }\nmatch = [['/sbin/a']]",
        );
        let missing = place.path().join("missing.toml");
        let all = [wrong.clone(), good.clone(), missing];
        let (valid, out, errors) = said(|out, errors| policies(&all, out, errors));
        assert!(!valid);
        assert!(
            out.contains("good.toml: valid, 0 rules, 0 examples"),
            "{out}"
        );
        assert!(
            errors.contains("wrong.toml:6: rule \"a\": it does not match its example")
                && errors.contains("missing.toml"),
            "{errors}"
        );

        let text = |policy: &Path| {
            format!("[profiles.a]\nowner = 'o'\nusers = ['u']\npolicy = {policy:?}\n")
        };
        let path = file("holdpointd.toml", &text(&good));
        let (valid, out, _) = said(|out, errors| config(&path, out, errors));
        assert!(valid && out.contains("profile a: "), "{out}");
        let path = file("broken.toml", &text(&wrong));
        let (valid, out, errors) = said(|out, errors| config(&path, out, errors));
        assert!(
            !valid && out.is_empty() && errors.contains("wrong.toml:6"),
            "{errors}"
        );
        let path = file("unknown.toml", "statedir = 'x'");
        let (valid, _, errors) = said(|out, errors| config(&path, out, errors));
        assert!(
            !valid && errors.contains("line 1") && errors.contains("statedir"),
            "{errors}"
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("holdpointd.toml");
        let text = "[events]\nspool_max_bytes = 1\n[metrics]\nlisten = '0.0.0.0:7446'\n\
                    [profiles.a]\nowner = ''\nusers = ['u']\npolicy = '/no/a.toml'\n\
                    [profiles.b]\nowner = 'o'\nusers = []\npolicy = '/no/b.toml'\n";
        fs::write(&path, text).unwrap();
        let (valid, out, errors) = said(|out, errors| config(&path, out, errors));
        assert!(!valid && out.is_empty(), "{out}");
        let lines: Vec<&str> = errors.lines().collect();
        let parts = [
            "[events]: `spool_max_bytes`",
            "[metrics]: `listen`",
            "profile \"a\": `owner`",
            "profile \"b\": `users`",
            "profile a: can't read the policy /no/a.toml",
            "profile b: can't read the policy /no/b.toml",
        ];
        assert_eq!(lines.len(), parts.len(), "{errors}");
        for (line, part) in lines.iter().zip(parts) {
            assert!(line.contains(part), "{line:?} lacks {part:?}");
        }
        // The daemon says the first, and starts on none.
        let error = Config::load(&path).unwrap_err().to_string();
        assert!(error.contains("[events]"), "{error}");
    }
}
