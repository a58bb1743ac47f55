//! Who a person is: login, bearer tokens, wrong passwords.

use holdpoint_approver::domain::account::Role;
use holdpoint_proto::v1::{
    DecideRequest, GetRequestRequest, ListRequestsRequest, LoginRequest, LogoutRequest,
    WatchRequestsRequest, WhoAmIRequest, reviews_client::ReviewsClient,
};
use tonic::Code;

use crate::kit::{Approver, PASSWORD, assert_status};

fn login(username: &str, password: &str) -> LoginRequest {
    LoginRequest {
        username: username.into(),
        password: password.into(),
    }
}

#[tokio::test]
async fn a_login_says_who_and_lasts_until_the_logout() {
    let approver = Approver::start().await;
    let mut bob = approver.login("bob").await;
    let who = bob.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
    assert_eq!(
        (who.username.as_str(), who.role.as_str()),
        ("bob", "reviewer")
    );
    bob.logout(LogoutRequest {}).await.unwrap();
    assert_status(
        bob.who_am_i(WhoAmIRequest {}).await,
        Code::Unauthenticated,
        "holdpoint login",
    );
}

#[tokio::test]
async fn nothing_but_login_works_without_a_token() {
    let approver = Approver::start().await;
    let mut nobody = ReviewsClient::new(approver.channel().await);
    let mut guest = approver.person("bm90IGEgdG9rZW4").await;
    macro_rules! refused {
        ($($method:ident($request:expr)),+ $(,)?) => {$(
            assert_status(nobody.$method($request).await, Code::Unauthenticated, "Bearer");
            assert_status(guest.$method($request).await, Code::Unauthenticated, "not logged in");
        )+};
    }
    refused!(
        logout(LogoutRequest {}),
        who_am_i(WhoAmIRequest {}),
        list_requests(ListRequestsRequest::default()),
        get_request(GetRequestRequest::default()),
        watch_requests(WatchRequestsRequest {}),
        decide(DecideRequest::default()),
    );
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_look_the_same() {
    let approver = Approver::start().await;
    let mut client = ReviewsClient::new(approver.channel().await);
    let long = "x".repeat(2000);
    for request in [
        login("bob", "wrong password"),
        login("nobody", PASSWORD),
        login("BOB", PASSWORD),
        login("", ""),
        login("bob", &long),
        login(&long, PASSWORD),
    ] {
        let refused = client.login(request).await;
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.message(), "wrong user name or password");
    }
}

#[tokio::test]
async fn guessing_ends_after_a_few_tries_for_that_account_alone() {
    let approver = Approver::start().await;
    let mut client = ReviewsClient::new(approver.channel().await);
    for _ in 0..5 {
        let refused = client.login(login("bob", "wrong password")).await;
        assert_status(
            refused,
            Code::Unauthenticated,
            "wrong user name or password",
        );
    }
    let refused = client.login(login("bob", PASSWORD)).await;
    assert_status(refused, Code::ResourceExhausted, "try again in");
    client
        .login(login("eve", PASSWORD))
        .await
        .expect("others are not affected");
}

#[tokio::test]
async fn a_new_password_or_removal_ends_logins_at_once() {
    let approver = Approver::start().await;
    let mut bob = approver.login("bob").await;
    let mut eve = approver.login("eve").await;
    let name = |name: &str| name.parse().unwrap();
    approver
        .admin
        .set_password(&name("bob"), "another password")
        .await
        .unwrap();
    assert_status(
        bob.who_am_i(WhoAmIRequest {}).await,
        Code::Unauthenticated,
        "not logged in",
    );
    approver.admin.remove_user(&name("eve")).await.unwrap();
    assert_status(
        eve.who_am_i(WhoAmIRequest {}).await,
        Code::Unauthenticated,
        "not logged in",
    );
}

#[tokio::test]
async fn accounts_are_checked_by_the_operators_commands() {
    let approver = Approver::start().await;
    let name = |name: &str| name.parse().unwrap();
    let admin = &approver.admin;
    for (result, message) in [
        (
            admin.add_user(&name("bob"), Role::Viewer, PASSWORD).await,
            "user bob exists already",
        ),
        (
            admin.add_user(&name("kim"), Role::Viewer, "short").await,
            "5 characters",
        ),
        (
            admin.set_password(&name("kim"), PASSWORD).await,
            "there is no user kim",
        ),
        (
            admin.remove_user(&name("kim")).await,
            "there is no user kim",
        ),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} lacks {message:?}");
    }
    let users: Vec<_> = admin
        .users()
        .await
        .unwrap()
        .into_iter()
        .map(|user| (user.name, user.role))
        .collect();
    assert_eq!(
        users,
        [
            ("ada".to_owned(), "viewer"),
            ("bob".to_owned(), "reviewer"),
            ("eve".to_owned(), "reviewer")
        ]
    );
}
