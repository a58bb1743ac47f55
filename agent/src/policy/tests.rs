//! What the policy promises, as examples. The properties are in `properties`,
//! what is refused at load in `refusals`, what approvals may give in `terms`,
//! the man page in `manual`.

mod local;
mod manual;
mod properties;
mod refusals;
mod terms;

use std::{fmt::Write as _, path::Path};

use super::*;

fn parse(text: &str) -> Policy {
    Policy::parse(text, Path::new("test.toml")).unwrap()
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn exec<'a>(exe: &'a str, argv: &'a [Vec<u8>]) -> Attempt<'a> {
    Attempt::Exec {
        exe: exe.as_bytes(),
        exe_is_hosts: true,
        single_link: true,
        argv,
    }
}

fn connect(destination: &str, protocol: u32) -> Attempt<'static> {
    let destination: std::net::SocketAddr = destination.parse().unwrap();
    Attempt::Connect {
        address: destination.ip(),
        port: destination.port(),
        protocol,
        exe: b"/usr/bin/curl",
        exe_is_hosts: true,
        listener: None,
    }
}

fn named<'a>(judgement: &Judgement<'a>) -> Option<&'a str> {
    judgement.rule.map(|rule| rule.name.as_str())
}

/// One line for each rule: name, verdict, matcher.
fn policy(default: &str, rules: &[(&str, &str, &str)]) -> Policy {
    let mut text = format!("default = \"{default}\"\n");
    for (name, verdict, matcher) in rules {
        let head = format!("name = \"{name}\"\nverdict = \"{verdict}\"");
        writeln!(text, "[[rules]]\n{head}\n{matcher}").unwrap();
    }
    parse(&text)
}

#[test]
fn the_sample_in_the_documentation_is_valid() {
    let source = include_str!("../policy.rs");
    let sample: Vec<&str> = source
        .split("//! ```")
        .nth(1)
        .unwrap()
        .trim_start_matches(
            "toml
",
        )
        .lines()
        .map(|line| line.trim_start_matches("//!"))
        .collect();
    let policy = parse(&sample.join("\n"));
    let argv = words(&["x", "--upload-file", "a"]);
    let judgement = policy.judge(&exec("/usr/bin/curl", &argv));
    assert_eq!(judgement.verdict, Verdict::Hold);
    assert_eq!(judgement.deadline, Duration::from_mins(2));
    assert_eq!(named(&judgement), Some("uploads"));
    let judgement = policy.judge(&connect("169.254.169.254:8080", 6));
    assert_eq!(judgement.verdict, Verdict::Deny);
}

#[test]
fn the_default_decides_where_no_rule_matches_and_only_there() {
    let policy = policy(
        "deny",
        &[("git", "allow", "exec = { exe = [\"/bin/git\"] }")],
    );
    let argv = words(&["git"]);
    let allowed = policy.judge(&exec("/bin/git", &argv));
    assert_eq!(
        (allowed.verdict, named(&allowed)),
        (Verdict::Allow, Some("git"))
    );
    let denied = policy.judge(&exec("/bin/sh", &argv));
    assert_eq!((denied.verdict, named(&denied)), (Verdict::Deny, None));
    assert_eq!(
        policy.judge(&connect("1.1.1.1:1", 6)).verdict,
        Verdict::Deny
    );
}

#[test]
fn globs_stop_at_slashes_and_work_on_any_bytes() {
    let policy = policy(
        "allow",
        &[
            ("star", "hold", "exec = { exe = [\"/bin/*sh\"] }"),
            ("deep", "deny", "exec = { exe = [\"/opt/**\"] }"),
            ("literal", "deny", r"exec = { exe = ['/a/\*'] }"),
        ],
    );
    let argv = words(&["x"]);
    let verdict = |exe: &[u8]| {
        let attempt = Attempt::Exec {
            exe,
            exe_is_hosts: true,
            single_link: true,
            argv: &argv,
        };
        policy.judge(&attempt).verdict
    };
    assert_eq!(verdict(b"/bin/bash"), Verdict::Hold);
    assert_eq!(verdict(b"/bin/\xff\nsh"), Verdict::Hold);
    assert_eq!(verdict(b"/bin/x/sh"), Verdict::Allow);
    assert_eq!(verdict(b"/usr/bin/bash"), Verdict::Allow);
    assert_eq!(verdict(b"/opt/a/\xfe/b"), Verdict::Deny);
    assert_eq!(verdict(b"/a/*"), Verdict::Deny);
    assert_eq!(verdict(b"/a/b"), Verdict::Allow);
    assert_eq!(verdict(b""), Verdict::Allow);
}

#[test]
fn argv_is_a_prefix_behind_argv_0() {
    let policy = policy(
        "allow",
        &[(
            "push",
            "hold",
            "exec = { argv = [[\"push\", \"send\"], \"-f\"] }",
        )],
    );
    let verdict = |argv: &[&str]| policy.judge(&exec("/bin/git", &words(argv))).verdict;
    assert_eq!(verdict(&["anything", "push", "-f", "more"]), Verdict::Hold);
    assert_eq!(verdict(&["", "send", "-f"]), Verdict::Hold);
    assert_eq!(verdict(&["push", "-f"]), Verdict::Allow);
    assert_eq!(verdict(&["git", "push"]), Verdict::Allow);
    assert_eq!(verdict(&["git", "push", "-fx"]), Verdict::Allow);
    assert_eq!(verdict(&[]), Verdict::Allow);
}

#[test]
fn destinations_have_one_spelling() {
    let policy = policy(
        "allow",
        &[
            ("ten", "deny", "connect = { cidr = [\"10.0.0.0/8\"] }"),
            (
                "mapped",
                "deny",
                "connect = { cidr = [\"::ffff:192.0.2.0/120\"] }",
            ),
            (
                "loopback",
                "hold",
                "connect = { cidr = [\"127.0.0.0/8\", \"::1/128\"] }",
            ),
        ],
    );
    for (destination, verdict) in [
        ("10.1.2.3:1", Verdict::Deny),
        ("[::ffff:10.1.2.3]:1", Verdict::Deny),
        ("192.0.2.7:1", Verdict::Deny),
        ("192.0.3.7:1", Verdict::Allow),
        ("127.0.0.1:1", Verdict::Hold),
        ("0.0.0.0:1", Verdict::Hold),
        ("[::]:1", Verdict::Hold),
        ("[::ffff:0.0.0.0]:1", Verdict::Hold),
        ("[2001:db8::1]:1", Verdict::Allow),
    ] {
        let judgement = policy.judge(&connect(destination, 6));
        assert_eq!(judgement.verdict, verdict, "{destination}");
    }
}

#[test]
fn ports_and_protocols() {
    let policy = policy(
        "allow",
        &[(
            "tcp",
            "deny",
            "connect = { port = [80, \"8000-8999\"], protocol = [\"tcp\", 17] }",
        )],
    );
    for (port, protocol, verdict) in [
        (80, 6, Verdict::Deny),
        (80, 17, Verdict::Deny),
        (8000, 6, Verdict::Deny),
        (8999, 6, Verdict::Deny),
        (9000, 6, Verdict::Allow),
        (81, 6, Verdict::Allow),
        (80, 132, Verdict::Allow),
        // One socket option away from TCP, and TCP on the wire.
        (80, 262, Verdict::Deny),
    ] {
        let judgement = policy.judge(&connect(&format!("192.0.2.1:{port}"), protocol));
        assert_eq!(judgement.verdict, verdict, "{port} {protocol}");
    }
}

#[test]
fn a_path_that_is_not_the_hosts_allows_nothing() {
    let policy = policy(
        "hold",
        &[
            ("git", "allow", "exec = { exe = [\"/bin/git\"] }"),
            ("version", "allow", "exec = { argv = [\"--version\"] }"),
            ("sh", "deny", "exec = { exe = [\"/bin/sh\"] }"),
            (
                "web",
                "allow",
                "connect = { port = [443], exe = [\"/bin/curl\"] }",
            ),
        ],
    );
    let judge = |exe: &str, argv: &[&str]| {
        let attempt = Attempt::Exec {
            exe: exe.as_bytes(),
            exe_is_hosts: false,
            single_link: true,
            argv: &words(argv),
        };
        policy.judge(&attempt).verdict
    };
    assert_eq!(judge("/bin/git", &["git"]), Verdict::Hold);
    assert_eq!(judge("/bin/git", &["git", "--version"]), Verdict::Allow);
    assert_eq!(judge("/bin/sh", &["sh"]), Verdict::Deny);
    let web = |exe_is_hosts| Attempt::Connect {
        address: [192, 0, 2, 1].into(),
        port: 443,
        protocol: 6,
        exe: b"/bin/curl",
        exe_is_hosts,
        listener: None,
    };
    assert_eq!(policy.judge(&web(true)).verdict, Verdict::Allow);
    assert_eq!(policy.judge(&web(false)).verdict, Verdict::Hold);
}

#[test]
fn among_equals_the_harsher_effect_wins_and_then_the_first_name() {
    let policy = parse(
        r#"
        default = "allow"
        deadline = "10m"
        [[rules]]
        name = "slow"
        verdict = "hold"
        exec = { exe = ["/a"] }
        [[rules]]
        name = "quick"
        verdict = "hold"
        deadline = "1m"
        exec = { exe = ["/a"] }
        [[rules]]
        name = "quick-too"
        verdict = "hold"
        deadline = "60s"
        exec = { exe = ["/a"] }
        [[rules]]
        name = "refuse"
        verdict = "deny"
        exec = { exe = ["/b"] }
        [[rules]]
        name = "kill"
        verdict = "deny"
        on_deny = "kill"
        exec = { exe = ["/b"] }
        "#,
    );
    let argv = words(&["x"]);
    let a = policy.judge(&exec("/a", &argv));
    assert_eq!(
        (named(&a), a.deadline),
        (Some("quick"), Duration::from_mins(1))
    );
    let b = policy.judge(&exec("/b", &argv));
    assert_eq!((named(&b), b.on_deny), (Some("kill"), OnDeny::Kill));
}

#[test]
fn settled_where_nothing_uncached_can_change_the_verdict() {
    let policy = policy(
        "allow",
        &[
            (
                "curl",
                "hold",
                "exec = { exe = [\"/bin/curl\"], argv = [\"-T\"] }",
            ),
            ("su", "deny", "exec = { exe = [\"/bin/su\"] }"),
            (
                "metadata",
                "deny",
                "connect = { cidr = [\"169.254.169.254/32\"] }",
            ),
            (
                "ssh",
                "hold",
                "connect = { port = [22], exe = [\"/bin/ssh\"] }",
            ),
        ],
    );
    let argv = words(&["x"]);
    let settled = |exe: &str, exe_is_hosts, single_link| {
        let attempt = Attempt::Exec {
            exe: exe.as_bytes(),
            exe_is_hosts,
            single_link,
            argv: &argv,
        };
        policy.judge(&attempt).settled
    };
    assert!(settled("/bin/ls", true, true));
    assert!(!settled("/bin/ls", true, false), "it may be a link to su");
    assert!(
        !settled("/bin/ls", false, true),
        "it may be su by another path"
    );
    assert!(!settled("/bin/curl", true, true), "-T is held");
    assert!(settled("/bin/su", true, true));
    // Nothing is stricter than deny, but elsewhere the same file is allowed.
    assert!(!settled("/bin/su", true, false));
    assert!(policy.judge(&connect("169.254.169.254:80", 6)).settled);
    assert!(policy.judge(&connect("192.0.2.1:80", 6)).settled);
    assert!(!policy.judge(&connect("192.0.2.1:22", 6)).settled);
    assert!(policy.judge(&connect("169.254.169.254:22", 6)).settled);
}

#[test]
fn a_hold_is_never_settled() {
    let policy = policy("hold", &[]);
    assert!(!policy.judge(&exec("/a", &words(&["x"]))).settled);
}

#[test]
fn load_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.toml");
    let error = Policy::load(&missing).unwrap_err().to_string();
    assert!(error.contains("missing.toml"), "{error}");
    let file = directory.path().join("p.toml");
    std::fs::write(&file, "default = \"hold\"").unwrap();
    assert_eq!(
        Policy::load(&file).unwrap().default_verdict(),
        Verdict::Hold
    );
    std::fs::write(&file, b"default = \"hold\"\n# \xff").unwrap();
    let error = Policy::load(&file).unwrap_err().to_string();
    assert!(error.contains("p.toml:2: the text is not UTF-8"), "{error}");
    std::fs::write(&file, vec![b'#'; 2 << 20]).unwrap();
    let error = Policy::load(&file).unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
}
