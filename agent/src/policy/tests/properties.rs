//! Properties over generated policies and attempts. The alphabets are small so
//! that rules overlap and attempts hit them.

use std::fmt::Write as _;

use proptest::{prelude::*, sample::select};

use super::*;

const EXES: &[&str] = &["/a/x", "/a/y", "/b/x", "/b/c/x"];
const WORDS: &[&str] = &["p", "q", "r"];

#[derive(Clone, Debug)]
struct Written {
    verdict: &'static str,
    on_deny: &'static str,
    deadline: u32,
    matcher: String,
}

fn list(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(select(of), 1..3).prop_map(|items| format!("[{}]", items.join(", ")))
}

fn table(
    kind: &'static str,
    keys: Vec<(&'static str, BoxedStrategy<String>)>,
) -> BoxedStrategy<String> {
    let parts: Vec<BoxedStrategy<Option<String>>> = keys
        .into_iter()
        .map(|(key, value)| {
            prop::option::of(value.prop_map(move |value| format!("{key} = {value}"))).boxed()
        })
        .collect();
    parts
        .prop_filter_map("an empty table is an error", move |parts| {
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            (!parts.is_empty()).then(|| format!("{kind} = {{ {} }}", parts.join(", ")))
        })
        .boxed()
}

fn written() -> impl Strategy<Value = Written> {
    let exe = || list(&["'/a/x'", "'/a/*'", "'/b/**'", "'/**'"]).boxed();
    let argv = list(&["'p'", "['p', 'q']", "'r'"]).boxed();
    let cidr = list(&["'10.0.0.0/8'", "'10.0.0.1/32'", "'::/0'", "'127.0.0.0/8'"]).boxed();
    let port = list(&["80", "'80-81'", "0"]).boxed();
    let protocol = list(&["'tcp'", "6", "'udp'"]).boxed();
    let matcher = prop_oneof![
        table("exec", vec![("exe", exe()), ("argv", argv)]),
        table(
            "connect",
            vec![
                ("cidr", cidr),
                ("port", port),
                ("protocol", protocol),
                ("exe", exe())
            ],
        ),
    ];
    (
        select(&["allow", "hold", "deny"][..]),
        select(&["errno", "kill"][..]),
        1..4_u32,
        matcher,
    )
        .prop_map(|(verdict, on_deny, deadline, matcher)| Written {
            verdict,
            on_deny,
            deadline,
            matcher,
        })
}

fn write(default: &str, rules: &[Written]) -> Policy {
    let mut text = format!("default = \"{default}\"\n");
    for (index, rule) in rules.iter().enumerate() {
        let Written {
            verdict,
            on_deny,
            deadline,
            matcher,
        } = rule;
        let head = format!(
            "name = \"r{index}\"
verdict = \"{verdict}\""
        );
        writeln!(
            text,
            "[[rules]]
{head}
{matcher}"
        )
        .unwrap();
        if *verdict != "allow" {
            writeln!(text, "on_deny = \"{on_deny}\"").unwrap();
        }
        if *verdict == "hold" {
            writeln!(text, "deadline = \"{deadline}m\"").unwrap();
        }
    }
    parse(&text)
}

fn default() -> impl Strategy<Value = &'static str> {
    select(&["allow", "hold", "deny"][..])
}

/// An attempt that owns its parts.
#[derive(Clone, Debug)]
enum Tried {
    Exec {
        exe: &'static str,
        hosts: bool,
        single: bool,
        argv: Vec<Vec<u8>>,
    },
    Connect {
        address: IpAddr,
        port: u16,
        protocol: u32,
        exe: &'static str,
        hosts: bool,
    },
}

impl Tried {
    fn attempt(&self) -> Attempt<'_> {
        match self {
            Self::Exec {
                exe,
                hosts,
                single,
                argv,
            } => Attempt::Exec {
                exe: exe.as_bytes(),
                exe_is_hosts: *hosts,
                single_link: *single,
                argv,
            },
            Self::Connect {
                address,
                port,
                protocol,
                exe,
                hosts,
            } => Attempt::Connect {
                address: *address,
                port: *port,
                protocol: *protocol,
                exe: exe.as_bytes(),
                exe_is_hosts: *hosts,
                listener: None,
            },
        }
    }
}

fn argv() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = prop_oneof![
        4 => select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(word, 0..4)
}

fn tried() -> impl Strategy<Value = Tried> {
    let address = prop_oneof![
        select(
            &[
                "10.0.0.1",
                "10.9.9.9",
                "::1",
                "0.0.0.0",
                "::ffff:10.0.0.1",
                "192.0.2.1"
            ][..]
        )
        .prop_map(|address| address.parse().unwrap()),
        any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
    ];
    prop_oneof![
        (select(EXES), any::<bool>(), any::<bool>(), argv()).prop_map(
            |(exe, hosts, single, argv)| Tried::Exec {
                exe,
                hosts,
                single,
                argv
            }
        ),
        (
            address,
            79..83_u16,
            select(&[6, 17, 262][..]),
            select(EXES),
            any::<bool>()
        )
            .prop_map(|(address, port, protocol, exe, hosts)| Tried::Connect {
                address,
                port,
                protocol,
                exe,
                hosts
            }),
    ]
}

fn rules() -> impl Strategy<Value = Vec<Written>> {
    prop::collection::vec(written(), 0..6)
}

proptest! {
    #[test]
    fn the_strictest_matching_rule_wins(default in default(), rules in rules(), tried in tried()) {
        let policy = write(default, &rules);
        let attempt = tried.attempt();
        let alone = rules.iter().map(|rule| write(default, std::slice::from_ref(rule)));
        let strictest = alone
            .filter_map(|policy| {
                let judgement = policy.judge(&attempt);
                judgement.rule.map(|_| judgement.verdict)
            })
            .max();
        let judgement = policy.judge(&attempt);
        prop_assert_eq!(judgement.rule.is_some(), strictest.is_some());
        prop_assert_eq!(judgement.verdict, strictest.unwrap_or(policy.default_verdict()));
    }

    #[test]
    fn order_carries_no_meaning(
        default in default(),
        (rules, shuffled) in rules().prop_flat_map(|rules| {
            (Just(rules.clone()), Just(rules).prop_shuffle())
        }),
        tried in tried(),
    ) {
        let (one, other) = (write(default, &rules), write(default, &shuffled));
        let (one, other) = (one.judge(&tried.attempt()), other.judge(&tried.attempt()));
        prop_assert_eq!(one.verdict, other.verdict);
        prop_assert_eq!(one.on_deny, other.on_deny);
        prop_assert_eq!(one.deadline, other.deadline);
        prop_assert_eq!(one.settled, other.settled);
    }

    #[test]
    fn settled_means_that_the_uncached_part_changes_nothing(
        default in default(),
        rules in rules(),
        tried in tried(),
        others in prop::collection::vec((argv(), select(EXES), any::<bool>()), 16),
    ) {
        let policy = write(default, &rules);
        let first = policy.judge(&tried.attempt());
        prop_assume!(first.settled);
        prop_assert_ne!(first.verdict, Verdict::Hold);
        for (other_argv, other_exe, other_hosts) in others {
            let mut varied = tried.clone();
            match &mut varied {
                Tried::Exec { exe, hosts, single, argv } => {
                    *argv = other_argv;
                    if !*single || !*hosts {
                        (*exe, *hosts, *single) = (other_exe, other_hosts, false);
                    }
                }
                Tried::Connect { exe, hosts, .. } => (*exe, *hosts) = (other_exe, other_hosts),
            }
            let judgement = policy.judge(&varied.attempt());
            prop_assert_eq!(judgement.verdict, first.verdict, "{:?}", varied);
            prop_assert_eq!(judgement.on_deny, first.on_deny, "{:?}", varied);
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address(
        default in default(),
        rules in rules(),
        address in prop_oneof![Just([10, 0, 0, 1]), Just([0, 0, 0, 0]), any::<[u8; 4]>()],
        port in 79..83_u16,
    ) {
        let policy = write(default, &rules);
        let v4 = std::net::Ipv4Addr::from(address);
        let judge = |address| {
            let attempt = Attempt::Connect {
                address, port, protocol: 6, exe: b"/a/x", exe_is_hosts: true, listener: None,
            };
            let judgement = policy.judge(&attempt);
            (judgement.verdict, named(&judgement), judgement.settled)
        };
        prop_assert_eq!(judge(v4.into()), judge(v4.to_ipv6_mapped().into()));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = Policy::parse(&text, Path::new("p.toml")).map_err(|error| error.to_string());
    }

    #[test]
    fn no_change_to_a_policy_makes_the_parser_panic(
        at in any::<prop::sample::Index>(),
        length in 0..12_usize,
        inserted in "[ -~\n]{0,6}|.{0,3}",
    ) {
        const VALID: &str = "default = \"allow\"\ndeadline = \"5m\"\n[[rules]]\nname = \"a\"\n\
            verdict = \"hold\"\nexec = { exe = [\"/a/*\"], argv = [[\"x\"], \"y\"] }\n\
            match = [[\"/a/b\", \"x\", \"y\"]]\n[[rules]]\nname = \"b\"\nverdict = \"deny\"\n\
            connect = { cidr = [\"10.0.0.0/8\"], port = [1, \"2-3\"], protocol = [\"tcp\", 17] }\n\
            not_match = [\"tcp 1.1.1.1 1\"]\n";
        parse(VALID);
        let start = at.index(VALID.len());
        let end = (start + length).min(VALID.len());
        let text = format!("{}{inserted}{}", &VALID[..start], &VALID[end..]);
        let _ = Policy::parse(&text, Path::new("p.toml")).map_err(|error| error.to_string());
    }
}
