//! Enrolment and who may open a host's stream.

use std::time::Duration;

use holdpoint_proto::v1::EnrolRequest;
use holdpoint_proto::v1::enrolment_client::EnrolmentClient;
use holdpoint_proto::v1::host_message::Message as Up;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};
use tonic::{Code, transport::Identity};

use crate::kit::{Approver, assert_status, connect, enrol, raw_stream, request};

#[tokio::test]
async fn a_token_carries_all_a_host_needs_and_works_once() {
    let approver = Approver::start().await;
    let token = approver.token().await;
    let port = approver.config.listen.port();
    assert_eq!(token.approver, format!("https://localhost:{port}"));
    assert_eq!(token.ca, approver.ca);

    let key = KeyPair::generate().unwrap();
    let enrolled = enrol(&approver.config, &token, &key).await.unwrap();
    assert_eq!(enrolled.decision_key.len(), 32);
    let again = enrol(&approver.config, &token, &key).await;
    assert_status(again, Code::Unauthenticated, "works only once");

    let [host] = approver.admin.hosts().await.unwrap().try_into().unwrap();
    assert_eq!(
        (host.id, host.hostname.as_str()),
        (enrolled.host_id, "build-7")
    );
    assert_eq!(approver.admin.tokens().await.unwrap()[0].state, "used");
}

#[tokio::test]
async fn of_racing_enrolments_one_wins() {
    let approver = Approver::start().await;
    let (token, key) = (approver.token().await, KeyPair::generate().unwrap());
    let race = || enrol(&approver.config, &token, &key);
    let (a, b, c, d) = tokio::join!(race(), race(), race(), race());
    let won = [a, b, c, d].into_iter().flatten().count();
    assert_eq!((won, approver.admin.hosts().await.unwrap().len()), (1, 1));
}

#[tokio::test]
async fn bad_tokens_and_requests_are_refused_and_cost_nothing() {
    let approver = Approver::start().await;
    let key = KeyPair::generate().unwrap();

    let mut unknown = approver.token().await;
    unknown.secret.push('x');
    let refused = enrol(&approver.config, &unknown, &key).await;
    assert_status(refused, Code::Unauthenticated, "not known here");

    let brief = approver
        .admin
        .create_token(Duration::from_millis(1), "")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let refused = enrol(&approver.config, &brief, &key).await;
    assert_status(refused, Code::Unauthenticated, "expired at");

    let token = approver.token().await;
    let mut client = EnrolmentClient::new(approver.channel().await);
    let mut request = EnrolRequest {
        secret: token.secret.clone(),
        csr: b"rubbish".to_vec(),
        hostname: "h".into(),
    };
    let refused = client.enrol(request.clone()).await;
    assert_status(
        refused,
        Code::InvalidArgument,
        "certificate signing request is invalid",
    );
    request.csr = CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .der()
        .to_vec();
    request.hostname = "two\nlines".into();
    let refused = client.enrol(request).await;
    assert_status(refused, Code::InvalidArgument, "host name");

    enrol(&approver.config, &token, &key)
        .await
        .expect("the token was not used up");
}

#[tokio::test]
async fn a_stream_needs_a_certificate() {
    let approver = Approver::start().await;
    let refused = raw_stream(approver.channel().await).await.map(|_| ());
    assert_status(refused, Code::Unauthenticated, "client certificate");
}

#[tokio::test]
async fn a_certificate_of_another_ca_ends_in_the_handshake() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let uri = format!("spiffe://holdpoint/host/{}", host.id);
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let forged = params.self_signed(&key).unwrap();
    let identity = Identity::from_pem(forged.pem(), key.serialize_pem());
    // With TLS 1.3 the client learns of it with its first call at the latest.
    if let Ok(channel) = connect(&approver.config, &approver.ca, Some(identity)).await {
        assert!(raw_stream(channel).await.is_err());
    }
}

#[tokio::test]
async fn an_approver_of_another_ca_is_not_believed() {
    let (one, two) = tokio::join!(Approver::start(), Approver::start());
    assert!(connect(&one.config, &two.ca, None).await.is_err());
}

#[tokio::test]
async fn the_first_message_is_hello() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let channel = connect(&approver.config, &approver.ca, Some(host.identity()))
        .await
        .unwrap();
    let mut stream = raw_stream(channel).await.unwrap();
    stream.send(Up::Open(request())).await;
    let status = stream.end().await;
    assert_eq!(status.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_revoked_host_is_out() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut stream = host.connect().await;
    stream.open(&request()).await.unwrap();
    approver
        .admin
        .revoke_host(host.id.parse().unwrap())
        .await
        .unwrap();

    stream.send(Up::Open(request())).await;
    let status = stream.end().await;
    assert_eq!(status.code(), Code::PermissionDenied);
    let refused = host.try_connect().await.map(|_| ());
    assert_status(refused, Code::PermissionDenied, "was revoked");
}

#[tokio::test]
async fn a_second_stream_of_a_host_takes_over() {
    let approver = Approver::start().await;
    let host = approver.enrol().await;
    let mut old = host.connect().await;
    let mut new = host.connect().await;
    assert_eq!(old.end().await.code(), Code::Aborted);
    new.open(&request()).await.unwrap();
}
