//! What the language says, and what it says of mistakes.

use proptest::prelude::*;

use super::{value::Part, *};

const NOW: i64 = 1_800_000_000_000;

fn parse(text: &str) -> Query {
    Query::parse(text, NOW).unwrap_or_else(|error| panic!("{}", error.pointed(text)))
}

fn one(text: &str) -> Term {
    let mut terms = parse(text).terms;
    assert_eq!(terms.len(), 1, "{text}");
    terms.remove(0)
}

#[track_caller]
fn wrong(text: &str, column: usize, problem: &str) {
    let error = Query::parse(text, NOW).unwrap_err();
    assert_eq!(error.column, column, "{error}");
    assert!(error.problem.contains(problem), "{error} lacks {problem:?}");
}

#[test]
fn terms_and_values() {
    let query = parse("outcome:denied,abandoned  -exe:*/curl since:24h upload");
    let keys: Vec<_> = query
        .terms
        .iter()
        .map(|term| (term.negated, term.key))
        .collect();
    assert_eq!(
        keys,
        [
            (false, Key::Outcome),
            (true, Key::Exe),
            (false, Key::Since),
            (false, Key::Text),
        ]
    );
    assert_eq!(query.terms[0].values.len(), 2);
    assert_eq!(query.since(), Some(NOW - 24 * 3_600_000));
    assert_eq!(query.until(), None);
    assert_eq!(parse(""), Query::default());
}

#[test]
fn what_is_quoted_is_literal() {
    let Value::Pattern(pattern) = &one(r#"exe:/opt/"my *, \"x\""/*"#).values[0] else {
        panic!("no pattern");
    };
    assert_eq!(
        pattern.parts,
        [Part::Literal("/opt/my *, \"x\"/".into()), Part::Any]
    );
    assert_eq!(
        one(r#""kind:exec""#).values,
        [Value::Anywhere("kind:exec".into())]
    );
    assert_eq!(
        one(r#"rule:"""#).values.len(),
        1,
        "an empty value on purpose"
    );
}

#[test]
fn patterns_are_like() {
    let Value::Pattern(pattern) = &one(r"exe:100%_\?*").values[0] else {
        panic!("no pattern");
    };
    assert_eq!(pattern.like(), r"100\%\_\\_%");
    assert_eq!(pattern.literal(), None);
}

#[test]
fn networks_and_ports() {
    let subnet = |text: &str| match one(text).values[0] {
        Value::Subnet(subnet) => subnet,
        ref other => panic!("{other:?}"),
    };
    let ten = subnet("dest:10.1.2.3/8");
    assert_eq!(ten.first, 0xffff_0a00_0000);
    assert_eq!(ten.last, 0xffff_0aff_ffff);
    assert_eq!(subnet("dest:::1").first, 1);
    let all = subnet("dest:::/0");
    assert_eq!((all.first, all.last), (0, u128::MAX));
    assert_eq!(
        one("port:8000-8999").values,
        [Value::Ports(Ports {
            first: 8000,
            last: 8999
        })]
    );
}

#[test]
fn times() {
    let day = 1_769_817_600_000;
    assert_eq!(one("since:2026-01-31").values, [Value::Time(day)]);
    assert_eq!(
        one("until:2026-01-31T01:00:00Z").values,
        [Value::Time(day + 3_600_000)]
    );
    assert_eq!(one("since:2w").values, [Value::Time(NOW - 14 * 86_400_000)]);
}

#[test]
fn mistakes_are_pointed_at() {
    wrong("kind:exec outcom:denied", 11, "the keys are kind, outcome,");
    wrong("port:http", 6, "\"http\" is neither a port");
    wrong("port:9-1", 6, "range");
    wrong("port:1,x", 8, "\"x\" is neither");
    wrong("dest:10.0.0.0/33", 6, "neither an address");
    wrong("since:yesterday", 7, "30s, 15m, 24h");
    wrong("severity:bad", 10, "informational");
    wrong("text:\"open", 6, "never closed");
    wrong("exe:", 5, "`exe:` wants a value here");
    wrong("exe:a,,b", 7, "wants a value");
    wrong("-", 2, "missing");
    wrong(&"a ".repeat(65), 129, "too many");
    wrong(&"a".repeat(5000), 1, "5000 bytes");
    let text = "é port:x";
    let error = Query::parse(text, NOW).unwrap_err();
    assert_eq!(
        error.pointed(text).lines().nth(1).unwrap().find('^'),
        Some(7)
    );
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in any::<String>()) {
        if let Err(error) = Query::parse(&text, NOW) {
            prop_assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
        }
    }

    #[test]
    fn any_text_can_be_asked_for_in_quotes(text in any::<String>()) {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let query = Query::parse(&format!("exe:\"{quoted}\""), NOW);
        prop_assume!(text.len() < 1000);
        let query = query.unwrap();
        prop_assert_eq!(query.terms.len(), 1);
        let Value::Pattern(pattern) = &query.terms[0].values[0] else {
            return Err(TestCaseError::fail("no pattern"));
        };
        prop_assert_eq!(pattern.literal(), Some(text.as_str()));
    }

    #[test]
    fn a_subnet_holds_its_own_address(address in any::<u32>(), bits in 0_u32..=32) {
        let address = std::net::IpAddr::V4(address.into());
        let subnet = Subnet::new(address, bits).unwrap();
        let number = value::number(address);
        prop_assert!(subnet.first <= number && number <= subnet.last);
        prop_assert_eq!(subnet.last - subnet.first, (1_u128 << (32 - bits)) - 1);
    }
}
