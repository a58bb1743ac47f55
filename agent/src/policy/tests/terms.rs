//! Risk and grants: what an approval may give, and that nothing widens it.

use proptest::prelude::*;

use super::*;

fn holding(body: &str) -> Policy {
    policy(
        "allow",
        &[("a", "hold", &format!("exec={{exe=['/x']}}\n{body}"))],
    )
}

fn terms(policy: &Policy) -> Terms {
    let argv = words(&["x"]);
    policy.judge(&exec("/x", &argv)).terms
}

#[test]
fn a_rule_grants_nothing_unless_it_says_so() {
    assert_eq!(terms(&holding("")), Terms::default());
    assert_eq!(terms(&holding("grants=[]")), Terms::default());
    assert_eq!(terms(&policy("hold", &[])), Terms::default());
}

#[test]
fn a_rule_says_risk_scopes_and_the_longest_life() {
    let terms_of = |body| terms(&holding(body));
    let all = terms_of("risk='critical'\ngrants=['session','process']\nmax_ttl='10m'");
    assert_eq!(all.risk, Some(Risk::Critical));
    assert_eq!(all.grants, [Scope::Process, Scope::Session].into());
    assert_eq!(all.max_ttl, Duration::from_mins(10));
    let short = terms_of("grants=['process']");
    assert_eq!(short.max_ttl, Duration::from_hours(1));
}

#[test]
fn where_rules_overlap_only_what_all_of_them_give_is_given() {
    let policy = policy(
        "allow",
        &[
            (
                "wide",
                "hold",
                "risk='low'\ngrants=['process','session']\nmax_ttl='2h'\nexec={exe=['/x']}",
            ),
            (
                "narrow",
                "hold",
                "risk='high'\ngrants=['process']\nmax_ttl='5m'\nexec={exe=['/*']}",
            ),
            ("other", "hold", "exec={exe=['/y']}"),
        ],
    );
    let terms = terms(&policy);
    assert_eq!(terms.risk, Some(Risk::High));
    assert_eq!(terms.grants, [Scope::Process].into());
    assert_eq!(terms.max_ttl, Duration::from_mins(5));
}

#[test]
fn what_is_not_held_has_no_terms() {
    let policy = policy(
        "allow",
        &[
            ("held", "hold", "grants=['session']\nexec={exe=['/x']}"),
            ("denied", "deny", "exec={exe=['/x']}"),
        ],
    );
    assert_eq!(terms(&policy), Terms::default());
}

#[test]
fn the_digest_is_that_of_the_text() {
    let one = parse("default='allow'");
    assert_eq!(one.sha256(), parse("default='allow'").sha256());
    assert_ne!(one.sha256(), parse("default='allow' ").sha256());
    let hex: String = one.sha256().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    // `printf "default='allow'" | sha256sum`
    assert_eq!(
        hex,
        "d16386bd00788a3b23117b4a9cec5f22c3ca7f8851c9b19a52c9fffd91206e19"
    );
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let risk = prop::option::of(prop::sample::select(vec![
        Risk::Low,
        Risk::Medium,
        Risk::High,
        Risk::Critical,
    ]));
    let grants = prop::collection::btree_set(
        prop::sample::select(vec![Scope::Process, Scope::Session]),
        0..=2,
    );
    (risk, grants, 1_u64..100).prop_map(|(risk, grants, ttl)| Terms {
        risk,
        max_ttl: if grants.is_empty() {
            Duration::ZERO
        } else {
            Duration::from_secs(ttl)
        },
        grants,
    })
}

proptest! {
    #[test]
    fn another_rule_never_widens_and_order_carries_no_meaning(
        left in any_terms(),
        right in any_terms(),
    ) {
        let both = left.and(&right);
        prop_assert_eq!(&both, &right.and(&left));
        prop_assert!(both.risk >= left.risk && both.risk >= right.risk);
        prop_assert!(both.grants.is_subset(&left.grants) && both.grants.is_subset(&right.grants));
        prop_assert!(both.max_ttl <= left.max_ttl && both.max_ttl <= right.max_ttl);
        prop_assert_eq!(both.grants.is_empty(), both.max_ttl == Duration::ZERO);
    }
}
