//! Local sockets, listeners, and addresses behind translators.

use super::*;

fn unix(name: &str, name_is_hosts: bool) -> Attempt<'_> {
    Attempt::Unix {
        name: name.as_bytes(),
        name_is_hosts,
        exe: b"/usr/bin/docker",
        exe_is_hosts: true,
        listener: None,
    }
}

fn verdict(policy: &Policy, attempt: &Attempt<'_>) -> (Verdict, bool) {
    let judgement = policy.judge(attempt);
    (judgement.verdict, judgement.settled)
}

#[test]
fn a_broker_is_named_by_the_path_it_is_bound_to() {
    let policy = policy(
        "allow",
        &[(
            "b",
            "hold",
            "unix = { path = ['/run/docker.sock', '@/tmp/.X11-unix/*'] }",
        )],
    );
    for (name, expected) in [
        ("/run/docker.sock", (Verdict::Hold, false)),
        ("\0/tmp/.X11-unix/X0", (Verdict::Hold, false)),
        ("@/tmp/.X11-unix/X0", (Verdict::Allow, true)),
        ("/run/other.sock", (Verdict::Allow, true)),
        ("", (Verdict::Allow, true)),
    ] {
        // A rule that holds needs no proof of the path.
        for is_hosts in [true, false] {
            assert_eq!(
                verdict(&policy, &unix(name, is_hosts)),
                expected,
                "{name:?}"
            );
        }
    }
    let internet = connect("10.0.0.1:80", 6);
    assert_eq!(policy.judge(&internet).verdict, Verdict::Allow);
}

#[test]
fn what_every_program_asks_needs_no_rule_and_may_have_one() {
    let strict = policy("deny", &[]);
    assert_eq!(
        verdict(&strict, &unix("/dev/log", true)),
        (Verdict::Allow, true)
    );
    assert_eq!(verdict(&strict, &unix("/dev/log", false)).0, Verdict::Deny);
    assert_eq!(
        verdict(&strict, &unix("/run/docker.sock", true)).0,
        Verdict::Deny
    );
    let silent = policy("allow", &[("s", "deny", "unix = { path = ['/dev/log'] }")]);
    assert_eq!(verdict(&silent, &unix("/dev/log", true)).0, Verdict::Deny);
}

#[test]
fn a_name_that_anybody_may_take_allows_nothing() {
    let policy = policy(
        "deny",
        &[
            ("path", "allow", "unix = { path = ['/run/x', '@x'] }"),
            (
                "both",
                "allow",
                "unix = { path = ['@y'], listener = ['/usr/bin/x'] }",
            ),
        ],
    );
    assert_eq!(verdict(&policy, &unix("/run/x", true)).0, Verdict::Allow);
    assert_eq!(verdict(&policy, &unix("/run/x", false)).0, Verdict::Deny);
    assert_eq!(verdict(&policy, &unix("\0x", false)).0, Verdict::Deny);
    let with = |exe: &'static str, exe_is_hosts| Attempt::Unix {
        name: b"\0y",
        name_is_hosts: false,
        exe: b"/usr/bin/docker",
        exe_is_hosts: true,
        listener: Some(Listener {
            exe: exe.as_bytes(),
            exe_is_hosts,
        }),
    };
    assert_eq!(
        verdict(&policy, &with("/usr/bin/x", true)).0,
        Verdict::Allow
    );
    assert_eq!(
        verdict(&policy, &with("/usr/bin/x", false)).0,
        Verdict::Deny
    );
    assert_eq!(verdict(&policy, &with("/usr/bin/z", true)).0, Verdict::Deny);
}

#[test]
fn a_listener_on_loopback_is_judged_and_never_remembered() {
    let policy = policy(
        "allow",
        &[(
            "proxy",
            "deny",
            "connect = { port = [3128], listener = ['/usr/sbin/squid'] }",
        )],
    );
    let to = |port, exe: Option<&'static str>| Attempt::Connect {
        address: [127, 0, 0, 1].into(),
        port,
        protocol: 6,
        exe: b"/usr/bin/curl",
        exe_is_hosts: true,
        listener: exe.map(|exe| Listener {
            exe: exe.as_bytes(),
            exe_is_hosts: true,
        }),
    };
    let squid = Some("/usr/sbin/squid");
    assert_eq!(verdict(&policy, &to(3128, squid)), (Verdict::Deny, false));
    assert_eq!(verdict(&policy, &to(3128, None)), (Verdict::Allow, false));
    assert_eq!(verdict(&policy, &to(3129, squid)), (Verdict::Allow, true));
}

#[test]
fn translators_do_not_lead_around_a_rule_and_open_none() {
    let metadata = "connect = { cidr = ['169.254.169.254/32'] }";
    let denied = policy("allow", &[("m", "deny", metadata)]);
    for address in ["[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::1]:80"] {
        assert_eq!(
            verdict(&denied, &connect(address, 6)),
            (Verdict::Deny, true)
        );
        let allowed = policy("deny", &[("m", "allow", metadata)]);
        assert_eq!(verdict(&allowed, &connect(address, 6)).0, Verdict::Deny);
    }
    let own = connect("[2001:db8:64::a9fe:a9fe]:80", 6);
    assert_eq!(verdict(&denied, &own), (Verdict::Allow, true));
    let named = parse(
        "default = 'allow'\nnat64 = ['2001:db8:64::/96']\n[[rules]]\nname = 'm'\n\
         verdict = 'deny'\nconnect = { cidr = ['169.254.0.0/16'] }\n",
    );
    assert_eq!(verdict(&named, &own), (Verdict::Deny, true));
    let wrong = "default = 'allow'\nnat64 = ['2001:db8::/32']\n";
    let error = Policy::parse(wrong, Path::new("p.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("p.toml:2") && error.contains("96 bits"),
        "{error}"
    );
}

#[test]
fn examples_of_local_sockets_are_checked() {
    let rule = |unix: &str, example: &str| {
        let text = format!(
            "default = 'allow'\n[[rules]]\nname = 'r'\nverdict = 'hold'\n\
             unix = {{ {unix} }}\nmatch = ['{example}']\n"
        );
        Policy::parse(&text, Path::new("p.toml")).map_err(|error| error.to_string())
    };
    rule("path = ['/run/*.sock']", "/run/docker.sock").unwrap();
    rule("path = ['@x*']", "@xyz").unwrap();
    rule("listener = ['/usr/bin/dockerd']", "/run/d /usr/bin/dockerd").unwrap();
    for (unix, example, wrong) in [
        ("path = ['/run/*.sock']", "/run/docker", "does not match"),
        ("path = ['/run/*.sock']", "docker.sock", "no example"),
        (
            "listener = ['/usr/bin/d']",
            "/run/d",
            "the program that listens",
        ),
        ("path = ['run/x']", "/run/x", "begin it with"),
        ("", "/run/x", "unix is empty"),
    ] {
        let error = rule(unix, example).unwrap_err();
        assert!(error.contains(wrong), "{error}");
    }
}
