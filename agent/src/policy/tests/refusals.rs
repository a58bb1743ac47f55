//! Bad policies: each is refused with the line, the rule and the mend.

use super::*;

fn refusal(text: &str) -> String {
    Policy::parse(text, Path::new("p.toml"))
        .map(|_| text)
        .unwrap_err()
        .to_string()
}

/// The refusal of a rule with this body, which begins at line 5.
fn of_rule(body: &str) -> String {
    refusal(&format!(
        "default = \"allow\"\n[[rules]]\nname = \"r\"\nverdict = \"hold\"\n{body}\n"
    ))
}

#[test]
fn at_the_top() {
    for (text, wanted) in [
        (
            "",
            "p.toml:1: there is no default; begin the file with default",
        ),
        (
            "default = \"perhaps\"",
            "p.toml:1: \"perhaps\" is no verdict; write \"allow\"",
        ),
        ("default = true", "default is of type boolean; write a text"),
        (
            "\n\ndefault = \"allow\" x",
            "p.toml:3: this is no valid TOML",
        ),
        (
            "default = \"allow\"\nrule = 1",
            "p.toml:2: unknown key \"rule\"; the keys here are default",
        ),
        (
            "default = \"allow\"\nrules = 1",
            "p.toml:2: rules is of type integer",
        ),
        (
            "default = \"allow\"\nrules = [1]",
            "rule number 1: a rule is of type integer",
        ),
        (
            "default = \"allow\"\ndeadline = \"5\"",
            "p.toml:2: \"5\" is no duration; write a whole",
        ),
        (
            "default = \"allow\"\ndeadline = \"0s\"",
            "a deadline can't be \"0s\"",
        ),
        (
            "default = \"allow\"\ndeadline = \"25h\"",
            "a deadline can't be \"25h\"",
        ),
        (
            "default = \"allow\"\ndeadline = \"99999999999999999999h\"",
            "a deadline can't be \"9999",
        ),
        ("default = \"allow\"\ndeadline = \"+5m\"", "no duration"),
        ("default = \"allow\"\ndeadline = \"5µ\"", "no duration"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(wanted), "{text:?}: {refusal}");
    }
}

fn each_of_rule(cases: &[(&str, &str)]) {
    for (body, wanted) in cases {
        let refusal = of_rule(body);
        assert!(refusal.contains(wanted), "{body:?}: {refusal}");
    }
}

#[test]
fn in_exec() {
    each_of_rule(&[
        (
            "",
            "p.toml:2: rule \"r\": it says none of exec, connect and unix; add exec",
        ),
        ("exec = {}", "p.toml:5: rule \"r\": exec is empty; say what"),
        ("connect = {}", "connect is empty"),
        (
            "exec = { exe = [] }",
            "exe is empty and would match nothing",
        ),
        ("exec = { argv = [[]] }", "a list of alternatives is empty"),
        (
            "exec = { argv = [1] }",
            "an argument is of type integer; write a text",
        ),
        ("exec = { argv = [\"a\\u0000\"] }", "zero byte"),
        (
            "exec = { exe = \"/a\" }",
            "exe is of type string; write a list",
        ),
        (
            "exec = { exe = [\"a\"] }",
            "\"a\" is no absolute path; begin it with",
        ),
        ("exec = { exe = [\"{/a,/b}\"] }", "is no absolute path"),
        ("exec = { exe = [\"/a//b\"] }", "would match nothing"),
        ("exec = { exe = [\"/a/../b\"] }", "would match nothing"),
        ("exec = { exe = [\"/a/\"] }", "would match nothing"),
        ("exec = { exe = [\"/a[\"] }", "bad exe pattern"),
        (
            "exec = { exe = [\"/a\"], arg = [] }",
            "unknown key \"arg\"; the keys here are exe, argv",
        ),
    ]);
}

#[test]
fn in_connect() {
    each_of_rule(&[
        (
            "connect = { cidr = [\"10.0.0.0\"] }",
            "is no network; write \"10.0.0.0/32\"",
        ),
        (
            "connect = { cidr = [\"10.0.0.1/8\"] }",
            "behind its prefix; write \"10.0.0.0/8\"",
        ),
        (
            "connect = { cidr = [\"x\"] }",
            "is no network; write it like",
        ),
        ("connect = { cidr = [\"0.0.0.0/32\"] }", "goes to loopback"),
        (
            "connect = { cidr = [\"::ffff:0.0.0.0/128\"] }",
            "goes to loopback",
        ),
        ("connect = { port = [65536] }", "a port is from 0 to 65535"),
        ("connect = { port = [-1] }", "a port is from 0 to 65535"),
        ("connect = { port = [\"9-8\"] }", "\"9-8\" is no range"),
        (
            "connect = { port = [\"443\"] }",
            "\"443\" is no range of ports; write a number such as",
        ),
        ("connect = { port = [true] }", "a port is of type boolean"),
        (
            "connect = { protocol = [\"htttp\"] }",
            "unknown protocol \"htttp\"; use icmp, tcp",
        ),
        ("connect = { protocol = [263] }", "from 0 to 262"),
    ]);
}

#[test]
fn beside_the_matcher() {
    let exec = "exec = { exe = [\"/a\"] }\n";
    each_of_rule(&[
        (
            &format!("{exec}connect = {{ port = [1] }}"),
            "p.toml:6: rule \"r\": it says both",
        ),
        (
            &format!("{exec}x = 1"),
            "p.toml:6: rule \"r\": unknown key \"x\"; the keys here are name",
        ),
        (
            &format!("{exec}on_deny = \"shout\""),
            "on_deny can't be \"shout\"",
        ),
        (
            &format!("{exec}justification = \"\""),
            "the justification is empty",
        ),
        (
            &format!("{exec}justification = \"\\u001b[2J\""),
            "control characters",
        ),
        (
            &format!("{exec}match = [[\"/b\"]]"),
            "p.toml:6: rule \"r\": it does not match its example [\"/b\"]; correct",
        ),
        (
            &format!("{exec}not_match = [[\"/b\"], [\"/a\", \"x\"]]"),
            "it matches [\"/a\", \"x\"]",
        ),
        (
            &format!("{exec}match = [\"tcp 1.1.1.1 1\"]"),
            "no example of an exec; write a list",
        ),
        (&format!("{exec}match = [[\"a\"]]"), "no example of an exec"),
        (
            "connect = { port = [1] }\nmatch = [\"tcp 1.1.1.1 2\"]",
            "does not match its example \"tcp 1.1.1.1 2\"",
        ),
        (
            "connect = { port = [1] }\nmatch = [\"tcp 1.1.1.1\"]",
            "no example of a connect",
        ),
        (
            "connect = { port = [1] }\nmatch = [[\"/a\"]]",
            "no example of a connect",
        ),
        (
            "connect = { exe = [\"/a\"] }\nmatch = [\"tcp 1.1.1.1 2\"]",
            "the rule looks at exe",
        ),
    ]);
}

#[test]
fn names_and_what_goes_with_a_verdict() {
    let rule = |name: &str, verdict: &str, more: &str| {
        format!(
            "[[rules]]\nname = \"{name}\"\nverdict = \"{verdict}\"\n{more}\nexec = {{ exe = [\"/a\"] }}\n"
        )
    };
    let long = "a".repeat(65);
    for (rules, wanted) in [
        (
            rule("A", "hold", ""),
            "rule \"A\": \"A\" is no name for a rule; use 1 to 64",
        ),
        (rule("", "hold", ""), "is no name"),
        (rule(&long, "hold", ""), "is no name"),
        (
            rule("a", "allow", "deadline = \"1m\""),
            "only a hold has a deadline",
        ),
        (
            rule("a", "deny", "deadline = \"1m\""),
            "only a hold has a deadline",
        ),
        (
            rule("a", "allow", "on_deny = \"kill\""),
            "an allow rule never denies",
        ),
        (
            rule("a", "hold", "") + &rule("a", "deny", ""),
            "p.toml:7: rule \"a\": the rule at line 2 has the same name",
        ),
        (
            "[[rules]]\nverdict = \"deny\"".into(),
            "rule number 1: there is no name",
        ),
        (
            "[[rules]]\nname = \"x\"".into(),
            "rule \"x\": there is no verdict",
        ),
    ] {
        let refusal = refusal(&format!("default = \"allow\"\n{rules}"));
        assert!(refusal.contains(wanted), "{rules}: {refusal}");
    }
}

#[test]
fn of_terms() {
    for (body, wanted) in [
        (
            "risk = \"deadly\"",
            "p.toml:5: rule \"r\": risk can't be \"deadly\"; write \"low\"",
        ),
        ("risk = 3", "p.toml:5: rule \"r\": risk is of type integer"),
        (
            "grants = \"session\"",
            "grants is of type string; write a list",
        ),
        (
            "grants = [\"host\"]",
            "an approval can't be given for \"host\"; list \"process\"",
        ),
        (
            "grants = [\"once\"]",
            "an approval can't be given for \"once\"",
        ),
        (
            "grants = [\"session\", \"session\"]",
            "\"session\" stands there twice",
        ),
        (
            "grants = [\"session\"]\nmax_ttl = \"2d\"",
            "p.toml:6: rule \"r\": \"2d\" is no duration",
        ),
        (
            "grants = [\"session\"]\nmax_ttl = \"25h\"",
            "a max_ttl can't be \"25h\"",
        ),
        (
            "max_ttl = \"1h\"",
            "max_ttl limits nothing: this rule gives no grants; add grants",
        ),
    ] {
        let refusal = of_rule(&format!("{body}\nexec = {{ exe = [\"/x\"] }}"));
        assert!(refusal.contains(wanted), "{body}: {refusal}");
    }
    for (verdict, key) in [
        ("allow", "risk = \"low\""),
        ("deny", "grants = [\"session\"]"),
        ("deny", "max_ttl = \"1h\""),
    ] {
        let refusal = refusal(&format!(
            "default = \"allow\"\n[[rules]]\nname = \"r\"\nverdict = \"{verdict}\"\n{key}\n\
             exec = {{ exe = [\"/x\"] }}"
        ));
        let (name, _) = key.split_once(' ').unwrap();
        let wanted = format!("p.toml:5: rule \"r\": only a hold has {name}");
        assert!(refusal.contains(&wanted), "{refusal}");
    }
}

#[test]
fn good_examples_pass() {
    parse(
        r#"
        default = "allow"
        [[rules]]
        name = "a"
        verdict = "hold"
        on_deny = "kill"
        exec = { exe = ["/bin/*"], argv = ["x"] }
        match = [["/bin/a", "x", "y"]]
        not_match = [["/bin/a"], ["/sbin/a", "x"]]
        [[rules]]
        name = "b"
        verdict = "deny"
        connect = { cidr = ["2001:db8::/32"], protocol = ["mptcp"], exe = ["/bin/*"] }
        match = ["mptcp 2001:db8::1 443 /bin/a", "262 2001:db8::1 443 /bin/a b"]
        not_match = ["tcp 2001:db8::1 443 /bin/a", "mptcp 2001:db8::1 443 /a"]
        "#,
    );
}
