//! The man page of policies, held against what is really read.

use super::*;

const PAGE: &str = include_str!("../../../../packaging/man/holdpoint-agent/holdpoint-policy.5");

/// The keys a policy may have where `text` has one that does not exist.
fn keys(text: &str) -> Vec<String> {
    let error = Policy::parse(text, Path::new("policy.toml"))
        .unwrap_err()
        .to_string();
    let (_, list) = error.split_once("the keys here are ").unwrap();
    list.trim_end()
        .split(", ")
        .map(|key| key.trim_end_matches(['.', ')']).to_owned())
        .collect()
}

#[test]
fn every_key_is_in_the_page() {
    let rule = "default = \"allow\"\n[[rules]]\nname = \"a\"\nverdict = \"hold\"\n";
    for text in [
        "default = \"allow\"\nno_key = 1".to_owned(),
        format!("{rule}exec = {{ exe = [\"/a\"] }}\nno_key = 1"),
        format!("{rule}exec = {{ exe = [\"/a\"], no_key = 1 }}"),
        format!("{rule}connect = {{ port = [1], no_key = 1 }}"),
        format!("{rule}unix = {{ path = [\"/a\"], no_key = 1 }}"),
    ] {
        let keys = keys(&text);
        assert!(keys.len() > 1, "{keys:?}");
        for key in keys {
            let named = [
                format!(".B {key}\n"),
                format!(".BR {key} "),
                format!("or \" {key}\n"),
            ];
            assert!(named.iter().any(|name| PAGE.contains(name)), "{key}");
        }
    }
}

#[test]
fn its_example_is_a_policy() {
    let (_, example) = PAGE.split_once(".EX\n").unwrap();
    let (example, _) = example.split_once(".EE\n").unwrap();
    Policy::parse(&example.replace('\\', ""), Path::new("holdpoint-policy.5")).unwrap();
}
