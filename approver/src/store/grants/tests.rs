//! Grants, flags and keys in the store: what happens together, and what the
//! hosts' word may change.

use std::collections::HashSet;

use super::{hello::Honoured, *};
use crate::{
    domain::{
        account::Role,
        audit::Actor,
        grant::Scope,
        request::{Event as RequestEvent, Outcome, State as RequestState, Verdict},
    },
    service::kit::login,
    store::{
        decisions::{CallKey, Decided, Decision, UsedKey},
        flags::Lifted,
        open::tests::store,
        requests::{
            Opened, Report,
            tests::{account, context, decision, enrolled, get, id, open, open_of},
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

/// Records `decision`, and says which grants were revoked with it.
async fn recorded(store: &Store, decision: &Decision) -> Vec<(Uuid, String)> {
    match store.decide(decision, None).await.unwrap() {
        Decided::Recorded { revoked } => revoked,
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

/// What a Hello shows that names `named`.
async fn hello(store: &Store, host: Uuid, named: &[&str]) -> Honoured {
    let named: HashSet<String> = named.iter().map(|id| (*id).to_owned()).collect();
    let honoured = store.honoured(host, &named, false, Millis::new(9));
    honoured.await.unwrap()
}

async fn released(store: &Store, host: Uuid, n: u32) {
    let report = Report {
        outcome: Outcome::Released,
        detail: "",
        closes: RequestEvent::Withdrawn,
    };
    let state = store
        .report_outcome(&id(n), host, &report, Millis::new(6))
        .await
        .unwrap();
    assert_eq!(state, Some(RequestState::Approved));
}

/// The records whose text holds `part`.
async fn records(store: &Store, part: &str) -> usize {
    let records = store.records(0, 10_000).await.unwrap();
    let text = |record: &events::Record| String::from_utf8_lossy(&record.json).contains(part);
    records.iter().filter(|record| text(record)).count()
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
        hello(&store, host, &["a"]).await.wrong,
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
    let wrong = async |host, named: &[&str]| hello(&store, host, named).await.wrong;
    assert!(wrong(host, &["a"]).await.is_empty());
    assert_eq!(wrong(other, &["a"]).await, ["a"], "not that host's");
    assert!(store.revoking(host).await.unwrap().is_empty());
    assert!(store.revoke_grant("a", by_eve(&eve())).await.unwrap());
    assert!(!store.revoke_grant("a", by_eve(&eve())).await.unwrap());
    assert_eq!(wrong(host, &["a"]).await, ["a"]);
    assert_eq!(store.revoking(host).await.unwrap(), ["a"]);
    assert!(store.revoking(other).await.unwrap().is_empty());
    assert_eq!(wrong(other, &[]).await, Vec::<String>::new());
    assert_eq!(state(&store, "a").await, State::Revoking);
    let confirmed = hello(&store, host, &[]).await;
    assert!(confirmed.wrong.is_empty());
    assert_eq!(confirmed.over, ["a"]);
    assert_eq!(state(&store, "a").await, State::Revoked);
    assert!(store.revoking(host).await.unwrap().is_empty());
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
    let revoked = recorded(&store, &decision(1, "bob", Verdict::Flag, 6)).await;
    assert_eq!(revoked, [(other, "a".to_owned())]);
    let refused = store.refuse_flagged(Millis::new(6)).await.unwrap();
    assert_eq!(refused, [(other, id(3)), (host, id(7))]);
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

    let flags = store.flags(i64::MAX, 50).await.unwrap();
    let [flag] = flags.flags.as_slice() else {
        panic!("{flags:?}")
    };
    assert_eq!(
        (flag.request_id.as_str(), flag.reviewer.as_str()),
        (id(1).as_str(), "bob")
    );
    let lift = async || {
        store
            .lift_flag(&[1; 32], &login("root"), "checked", Millis::new(9))
            .await
            .unwrap()
    };
    assert_eq!(lift().await, Lifted::Done);
    assert_eq!(lift().await, Lifted::None);
    assert!(store.flags(i64::MAX, 50).await.unwrap().flags.is_empty());
    assert_eq!(open(&store, other, 11, &context()).await, Opened::New);
    assert_eq!(
        get(&store, 9).await.state,
        RequestState::Flagged,
        "refused is refused"
    );
    // And once more from the beginning.
    recorded(&store, &decision(11, "bob", Verdict::Flag, 10)).await;
    assert_eq!(store.flags(i64::MAX, 50).await.unwrap().flags.len(), 1);
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
    let recorded = || Decided::Recorded { revoked: vec![] };
    let first = decide(decision(1, "bob", Verdict::Deny, 5)).await;
    assert_eq!(first, recorded());
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
    assert_eq!(other, recorded());
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

#[tokio::test]
async fn an_active_grant_that_its_host_must_know_and_does_not_name_is_over() {
    let (store, _directory) = store().await;
    let (host, other) = (enrolled(&store, 1).await, enrolled(&store, 2).await);
    for (n, at, grant) in [(1, host, "a"), (2, host, "b"), (3, other, "c")] {
        open(&store, at, n, &context()).await;
        recorded(
            &store,
            &with_grant(decision(n, "bob", Verdict::Approve, 5), grant),
        )
        .await;
        released(&store, at, n).await;
    }
    let said = hello(&store, host, &["a"]).await;
    assert!(said.wrong.is_empty());
    assert_eq!(said.over, ["b"], "the other host's is none of its business");
    assert_eq!(state(&store, "a").await, State::Active);
    assert_eq!(state(&store, "b").await, State::Ended);
    assert_eq!(state(&store, "c").await, State::Active);
    assert_eq!(records(&store, "its host honours it no more").await, 1);
    assert_eq!(hello(&store, host, &["a"]).await, Honoured::default());
    assert_eq!(
        hello(&store, host, &["a", "b"]).await.wrong,
        ["b"],
        "what is over stays over"
    );
}

#[tokio::test]
async fn a_grant_that_was_given_while_its_host_was_away_waits_for_it() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    open(&store, host, 1, &context()).await;
    recorded(
        &store,
        &with_grant(decision(1, "bob", Verdict::Approve, 5), "a"),
    )
    .await;
    assert_eq!(hello(&store, host, &[]).await, Honoured::default());
    assert_eq!(state(&store, "a").await, State::Active);
    released(&store, host, 1).await;
    assert_eq!(hello(&store, host, &[]).await.over, ["a"]);
}

#[tokio::test]
async fn no_grant_outlives_a_boot_that_does_not_name_it() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    for (n, grant) in [(1, "a"), (2, "b")] {
        open(&store, host, n, &context()).await;
        recorded(
            &store,
            &with_grant(decision(n, "bob", Verdict::Approve, 5), grant),
        )
        .await;
    }
    let named = HashSet::from(["b".to_owned()]);
    let said = store.honoured(host, &named, true, Millis::new(9));
    assert_eq!(said.await.unwrap().over, ["a"]);
    assert_eq!(state(&store, "a").await, State::Ended);
    assert_eq!(state(&store, "b").await, State::Active);
}

#[tokio::test]
async fn grants_that_are_over_at_once_end_a_few_at_a_time() {
    const MANY: u32 = TOGETHER + 3;
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    let mut named = HashSet::new();
    for n in 0..MANY {
        open_of(&store, host, n, &context(), MANY).await;
        let decision = with_grant(decision(n, "bob", Verdict::Approve, 5), &id(n));
        recorded(&store, &decision).await;
        named.insert(id(n));
    }
    let due = store.end_grants(Millis::new(45)).await.unwrap();
    assert_eq!(due.len(), 64);
    let due = store.end_grants(Millis::new(45)).await.unwrap();
    assert_eq!(due.len(), 3);
    assert!(store.end_grants(Millis::new(45)).await.unwrap().is_empty());
    let wrong = store.honoured(host, &named, false, Millis::new(46));
    assert_eq!(wrong.await.unwrap().wrong.len(), MANY as usize);
}

#[tokio::test]
async fn the_owner_of_a_flagged_operation_does_not_lift_the_flag() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    account(&store, "ada", Role::Administrator).await;
    // Owned by ada, as all of the kit.
    open(&store, host, 1, &context()).await;
    recorded(&store, &decision(1, "bob", Verdict::Flag, 5)).await;
    let lift = async |who| {
        let login = login(who);
        let lifted = store.lift_flag(&[1; 32], &login, "it is fine", Millis::new(6));
        lifted.await.unwrap()
    };
    assert_eq!(lift("ada").await, Lifted::Own);
    assert_eq!(store.flags(i64::MAX, 50).await.unwrap().flags.len(), 1);
    assert_eq!(records(&store, "it is fine").await, 0);
    assert_eq!(lift("eve").await, Lifted::Done);
    assert_eq!(records(&store, "it is fine").await, 1);
    assert_eq!(lift("ada").await, Lifted::None);
}

#[tokio::test]
async fn a_flag_voids_what_was_approved_before_it_and_stays_so() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    for n in [1, 3, 5] {
        open(&store, host, n, &context()).await;
    }
    let since = async |at| {
        store
            .flagged_since(&[1; 32], Millis::new(at))
            .await
            .unwrap()
    };
    recorded(&store, &decision(1, "bob", Verdict::Approve, 5)).await;
    assert_eq!(since(5).await, None);
    recorded(&store, &decision(3, "eve", Verdict::Flag, 6)).await;
    let said = since(5).await.unwrap();
    assert!(said.contains("flagged by eve at"), "{said}");
    assert_eq!(
        store.flagged_since(&[0; 32], Millis::new(5)).await.unwrap(),
        None,
        "another operation"
    );
    store
        .lift_flag(&[1; 32], &login("root"), "checked", Millis::new(7))
        .await
        .unwrap();
    assert!(since(5).await.is_some(), "what was refused stays refused");
    recorded(&store, &decision(5, "bob", Verdict::Approve, 8)).await;
    assert_eq!(since(8).await, None, "approved after the flag was lifted");
}

#[tokio::test]
async fn flags_are_listed_newest_first_in_pages() {
    let (store, _directory) = store().await;
    let host = enrolled(&store, 1).await;
    for n in [1, 2] {
        open(&store, host, n, &context()).await;
        recorded(&store, &decision(n, "bob", Verdict::Flag, 5)).await;
    }
    let ids = |page: &crate::store::flags::Page| {
        let ids = page.flags.iter().map(|one| one.request_id.clone());
        ids.collect::<Vec<_>>()
    };
    let first = store.flags(i64::MAX, 1).await.unwrap();
    assert_eq!((ids(&first), first.more), (vec![id(2)], true));
    let last = store.flags(first.flags[0].seq, 1).await.unwrap();
    assert_eq!((ids(&last), last.more), (vec![id(1)], false));
}
