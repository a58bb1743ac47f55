//! The web side, with a client that sends whatever it is told to.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::kit::{Approver, PASSWORD, within};

#[path = "web/access.rs"]
mod access;
#[path = "web/admin.rs"]
mod admin;
#[path = "web/attack.rs"]
mod attack;
#[path = "web/document.rs"]
mod document;
#[path = "web/login.rs"]
mod login;
#[path = "web/monitor.rs"]
mod monitor;
#[path = "web/requests.rs"]
mod requests;
#[path = "web/stream.rs"]
mod stream;

pub(crate) const COOKIE: &str = "__Host-holdpoint";

/// A client of one approver, with the headers it sends each time.
#[derive(Clone)]
pub(crate) struct Client {
    address: std::net::SocketAddr,
    ca: String,
    headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.json());
        self.json()
    }

    /// A problem with this status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        for key in ["type", "title", "detail", "mend"] {
            assert!(!body[key].as_str().unwrap().is_empty(), "{key}: {body}");
        }
        assert_eq!(body["status"], status);
        body
    }
}

impl Client {
    /// Nobody.
    pub(crate) fn of(approver: &Approver) -> Self {
        Self {
            address: approver.config.web.listen,
            ca: approver.ca.clone(),
            headers: Vec::new(),
        }
    }

    /// `name`, in a browser.
    pub(crate) async fn browser(approver: &Approver, name: &str) -> Self {
        let nobody = Self::of(approver);
        let body = json!({ "username": name, "password": PASSWORD });
        let answer = nobody.post("/login", &body).await;
        let cookie = set_cookie(&answer).expect("a cookie");
        let csrf = answer.ok()["csrf_token"].as_str().unwrap().to_owned();
        nobody
            .with("cookie", &format!("{COOKIE}={cookie}"))
            .with("x-csrf-token", &csrf)
            .with("sec-fetch-site", "same-origin")
    }

    /// Whoever has `token`.
    pub(crate) fn bearer(approver: &Approver, token: &str) -> Self {
        Self::of(approver).with("authorization", &format!("Bearer {token}"))
    }

    /// The same, with another header or another value of it.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.without(name);
        other.headers.push((name.to_owned(), value.to_owned()));
        other
    }

    /// A header that it sends.
    pub(crate) fn header(&self, name: &str) -> (String, String) {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known == name).unwrap().clone()
    }

    pub(crate) fn without(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.headers.retain(|(known, _)| known != name);
        other
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Calls a route of the API.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let bytes = body.map(|body| body.to_string().into_bytes());
        self.raw(method, &format!("/api/v1{path}"), bytes).await
    }

    /// Calls any path, with any body.
    pub(crate) async fn raw(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Answer {
        let response = self.open(method, path, body).await;
        let (parts, body) = response.into_parts();
        let body = within(body.collect()).await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Calls and leaves the body to be read.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Response<Incoming> {
        let stream = within(self.connect()).await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.host());
        if body.is_some() && !self.headers.iter().any(|(name, _)| name == "content-type") {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).unwrap();
        within(sender.send_request(request)).await.unwrap()
    }

    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_with(&[b"http/1.1"]).await
    }

    /// A connection on which one of `protocols` is spoken.
    pub(crate) async fn connect_with(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await.unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap()
    }
}

/// The value that an answer sets the cookie to.
pub(crate) fn set_cookie(answer: &Answer) -> Option<String> {
    let header = answer.headers.get(header::SET_COOKIE)?.to_str().unwrap();
    let (name, rest) = header.split_once('=')?;
    assert_eq!(name, COOKIE);
    Some(rest.split(';').next()?.to_owned())
}
