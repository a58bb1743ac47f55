//! Grants, flags and keys in the store: what happens together, and what the
//! hosts' word may change.

use super::*;
use crate::{
    domain::{
        audit::Actor,
        grant::Scope,
        request::{State as RequestState, Verdict},
    },
    store::{
        decisions::{CallKey, Decided, Decision, Effects, UsedKey},
        open::tests::store,
        requests::{
            Opened,
            tests::{context, decision, enrolled, get, id, open},
        },
    },
};

fn with_grant(mut decision: Decision, grant: &str) -> Decision {
    decision.grant = Some(Grant {
        id: grant.into(),
        terms: Terms {
            scope: Scope::Session,
            ttl: Duration::from_millis(40),
            max_uses: 3,
        },
        expires_at: Millis::new(45),
    });
    decision
}

async fn recorded(store: &Store, decision: &Decision) -> Effects {
    match store.decide(decision, None).await.unwrap() {
        Decided::Recorded(effects) => effects,
        other => panic!("{other:?}"),
    }
}

async fn state(store: &Store, grant: &str) -> State {
    store.grant(grant).await.unwrap().unwrap().state
}

async fn tell(store: &Store, host: Uuid, grant: &str, change: GrantChange, uses: u64) {
    let event = GrantEvent {
        grant_id: grant.into(),
        change: change.into(),
        uses,
        ..GrantEvent::default()
    };
    let mut transaction = store.begin().await.unwrap();
    told(&mut transaction, &host.to_string(), &event, Millis::new(9))
        .await
        .unwrap();
    transaction.commit().await.unwrap();
}

fn eve() -> Actor {
    Actor::Person("eve".into())
}

fn by_eve(eve: &Actor) -> Revocation<'_> {
    Revocation {
        by: eve,
        reason: "enough",
        at: Millis::new(7),
    }
}

#[tokio::test]
async fn a_grant_reads_back_as_it_was_signed() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    let decision = with_grant(decision(1, "bob", Verdict::Approve, 5), "a");
    recorded(&store, &decision).await;
    assert_eq!(get(&store, 1).await.decision, Some(decision.clone()));
    let issued = store.grant("a").await.unwrap().unwrap();
    assert_eq!(Some(issued.signed), decision.grant);
    assert_eq!(
        (issued.request_id, issued.host_id, issued.since),
        (id(1), host, Millis::new(5))
    );
    assert_eq!((issued.state, issued.uses), (State::Active, 0));
}

#[tokio::test]
async fn time_ends_grants() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    recorded(
        &store,
        &with_grant(decision(1, "bob", Verdict::Approve, 5), "a"),
    )
    .await;
    assert_eq!(store.next_grant_end().await.unwrap(), Some(Millis::new(45)));
    assert!(store.end_grants(Millis::new(44)).await.unwrap().is_empty());
    assert_eq!(store.end_grants(Millis::new(45)).await.unwrap(), ["a"]);
    assert_eq!(state(&store, "a").await, State::Ended);
    assert!(!store.revoke_grant("a", by_eve(&eve())).await.unwrap());
    assert_eq!(
        store
            .honoured(host, &["a".into()], Millis::new(46))
            .await
            .unwrap(),
        ["a"],
        "a host that still honours it is told"
    );
    let page = store.grants(true, i64::MAX, 50).await.unwrap();
    assert!(page.grants.is_empty() && !page.more);
    assert_eq!(
        store
            .grants(false, i64::MAX, 50)
            .await
            .unwrap()
            .grants
            .len(),
        1
    );
}

#[tokio::test]
async fn a_revocation_is_repeated_until_the_host_names_it_no_more() {
    let (store, _directory) = store().await;
    let (host, other) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    open(&store, host, 1, &context()).await;
    recorded(
        &store,
        &with_grant(decision(1, "bob", Verdict::Approve, 5), "a"),
    )
    .await;
    let named = ["a".to_owned()];
    let wrong =
        async |host, named: &[String]| store.honoured(host, named, Millis::new(9)).await.unwrap();
    assert!(wrong(host, &named).await.is_empty());
    assert_eq!(wrong(other, &named).await, ["a"], "not that host's");
    assert!(store.revoke_grant("a", by_eve(&eve())).await.unwrap());
    assert!(!store.revoke_grant("a", by_eve(&eve())).await.unwrap());
    assert_eq!(wrong(host, &named).await, ["a"]);
    assert_eq!(wrong(other, &[]).await, Vec::<String>::new());
    assert_eq!(state(&store, "a").await, State::Revoking);
    assert!(wrong(host, &[]).await.is_empty());
    assert_eq!(state(&store, "a").await, State::Revoked);
    let issued = store.grant("a").await.unwrap().unwrap();
    assert_eq!(issued.revoked_by.as_deref(), Some("eve"));
}

#[tokio::test]
async fn what_hosts_tell_of_grants_only_counts_up() {
    let (store, _directory) = store().await;
    let (host, other) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    open(&store, host, 1, &context()).await;
    recorded(
        &store,
        &with_grant(decision(1, "bob", Verdict::Approve, 5), "a"),
    )
    .await;
    tell(&store, host, "a", GrantChange::Used, 2).await;
    tell(&store, host, "a", GrantChange::Used, 1).await;
    tell(&store, host, "nothing", GrantChange::Ended, 0).await;
    tell(&store, other, "a", GrantChange::Ended, 9).await;
    let issued = store.grant("a").await.unwrap().unwrap();
    assert_eq!((issued.uses, issued.state), (2, State::Active));
    tell(&store, host, "a", GrantChange::Ended, 3).await;
    tell(&store, host, "a", GrantChange::Active, 0).await;
    let issued = store.grant("a").await.unwrap().unwrap();
    assert_eq!((issued.uses, issued.state), (3, State::Ended));
}

#[tokio::test]
async fn a_flag_takes_everything_with_it_that_is_the_same_operation() {
    let (store, _directory) = store().await;
    let (host, other) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    // The kit gives requests of odd numbers one operation, even ones another.
    for (n, at) in [(1, host), (2, host), (3, other), (5, other), (7, host)] {
        open(&store, at, n, &context()).await;
    }
    recorded(
        &store,
        &with_grant(decision(5, "bob", Verdict::Approve, 5), "a"),
    )
    .await;
    let effects = recorded(&store, &decision(1, "bob", Verdict::Flag, 6)).await;
    assert_eq!(effects.flagged, [(other, id(3)), (host, id(7))]);
    assert_eq!(effects.revoked, [(other, "a".to_owned())]);
    assert_eq!(state(&store, "a").await, State::Revoking);
    for (n, expected) in [
        (1, RequestState::Flagged),
        (2, RequestState::Pending),
        (3, RequestState::Flagged),
        (5, RequestState::Approved),
        (7, RequestState::Flagged),
    ] {
        assert_eq!(get(&store, n).await.state, expected, "{n}");
    }
    let with_it = get(&store, 3).await;
    assert_eq!(with_it.decision, None);
    assert!(
        with_it.outcome_detail.contains("flagged by bob at"),
        "{}",
        with_it.outcome_detail
    );

    let Opened::Flagged(said) = open(&store, other, 9, &context()).await else {
        panic!("it is flagged from the first")
    };
    assert!(said.contains("because"), "{said}");
    assert_eq!(get(&store, 9).await.state, RequestState::Flagged);
    assert_eq!(open(&store, other, 4, &context()).await, Opened::New);

    let flags = store.flags().await.unwrap();
    let [flag] = flags.as_slice() else {
        panic!("{flags:?}")
    };
    assert_eq!(
        (flag.request_id.as_str(), flag.reviewer.as_str()),
        (id(1).as_str(), "bob")
    );
    let lift = async || {
        store
            .lift_flag(&[1; 32], "root", "checked", Millis::new(9))
            .await
            .unwrap()
    };
    assert!(lift().await);
    assert!(!lift().await);
    assert!(store.flags().await.unwrap().is_empty());
    assert_eq!(open(&store, other, 11, &context()).await, Opened::New);
    assert_eq!(
        get(&store, 9).await.state,
        RequestState::Flagged,
        "refused is refused"
    );
    // And once more from the beginning.
    recorded(&store, &decision(11, "bob", Verdict::Flag, 10)).await;
    assert_eq!(store.flags().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_is_good_for_one_decision_of_its_reviewer() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    for n in 1..4 {
        open(&store, host, n, &context()).await;
    }
    let key = CallKey {
        key: "k".into(),
        content: [9; 32],
    };
    let decide = async |decision: Decision| store.decide(&decision, Some(&key)).await.unwrap();
    let first = decide(decision(1, "bob", Verdict::Deny, 5)).await;
    assert_eq!(first, Decided::Recorded(Effects::default()));
    let used = UsedKey {
        request_id: id(1),
        content: vec![9; 32],
    };
    let again = decide(decision(2, "bob", Verdict::Deny, 5)).await;
    assert_eq!(again, Decided::KeyUsed(used.clone()));
    assert_eq!(get(&store, 2).await.state, RequestState::Pending);
    assert_eq!(store.used_key("bob", "k").await.unwrap(), Some(used));
    assert_eq!(store.used_key("eve", "k").await.unwrap(), None);
    let other = decide(decision(3, "eve", Verdict::Deny, 5)).await;
    assert_eq!(other, Decided::Recorded(Effects::default()));
}

#[tokio::test]
async fn grants_are_listed_newest_first_in_pages() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    for n in 0..3 {
        open(&store, host, n, &context()).await;
        let grant = format!("{n}aaa");
        let decision = with_grant(decision(n, "bob", Verdict::Approve, 5), &grant);
        recorded(&store, &decision).await;
    }
    let ids = |page: &Page| {
        let ids = page.grants.iter().map(|one| one.signed.id.clone());
        ids.collect::<Vec<_>>()
    };
    let first = store.grants(true, i64::MAX, 2).await.unwrap();
    assert_eq!(
        (ids(&first), first.more),
        (vec!["2aaa".into(), "1aaa".into()], true)
    );
    let last = store.grants(true, first.grants[1].seq, 2).await.unwrap();
    assert_eq!((ids(&last), last.more), (vec!["0aaa".to_owned()], false));
    assert_eq!(store.grant_ids("1a").await.unwrap(), ["1aaa"]);

    assert!(
        store
            .revoke_host(host, &Actor::Local, Millis::new(6))
            .await
            .unwrap()
    );
    for id in ["0aaa", "1aaa", "2aaa"] {
        assert_eq!(state(&store, id).await, State::Revoking, "its host is out");
    }
}
