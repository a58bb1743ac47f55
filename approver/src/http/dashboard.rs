//! The dashboard's files, which are part of the binary. Nothing here reads the
//! disk, so no path leads anywhere but to a file that was built in.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::{Code, Problem};

const INDEX: &str = "index.html";
/// Where the build puts files whose names change with their content.
const HASHED: &str = "assets/";

/// The page of a build that has no dashboard.
const NONE: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
     <title>Holdpoint</title>\n<h1>Holdpoint</h1>\n\
     <p>This build has no dashboard; <code>cargo xtask build</code> makes it. \
     The API is at <a href=\"/api/v1/openapi.json\">/api/v1</a>.</p>\n</html>\n";

#[derive(RustEmbed)]
#[folder = "ui/dist"]
#[allow_missing = true]
struct Files;

/// The file that a path names. A path without a dot is a page of the dashboard,
/// which finds its own way from the one document there is.
pub(super) async fn serve(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return Problem::new(Code::MethodNotAllowed, format!("{method} is for the API"))
            .into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return Problem::new(Code::NotFound, "the API has no such route")
            .with_mend("see /api/v1/openapi.json")
            .into_response();
    }
    if let Some(file) = Files::get(path).filter(|_| path != INDEX) {
        return answer(path, file, &headers);
    }
    if path != INDEX && path.contains('.') {
        let detail = "the dashboard has no such file";
        return Problem::new(Code::NotFound, detail).into_response();
    }
    if let Some(file) = Files::get(INDEX) {
        return answer(INDEX, file, &headers);
    }
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (kind, NONE).into_response()
}

fn answer(path: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let caching = if path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else if path == INDEX {
        "no-store"
    } else {
        "no-cache"
    };
    let tag = format!(
        "\"{}\"",
        HEXLOWER.encode(&file.metadata.sha256_hash()[..16])
    );
    let known = asked
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let (status, body) = if known {
        (StatusCode::NOT_MODIFIED, Body::empty())
    } else {
        (StatusCode::OK, Body::from(file.data))
    };
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = match kind.type_() {
        mime_guess::mime::TEXT => format!("{kind}; charset=utf-8"),
        _ => kind.to_string(),
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    for (name, value) in [(header::CONTENT_TYPE, kind), (header::ETAG, tag)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &str) -> Response {
        serve(Method::GET, path.parse().unwrap(), HeaderMap::new()).await
    }

    #[tokio::test]
    async fn pages_are_the_document_and_files_are_files() {
        for page in ["/", "/requests/0192", "/index.html"] {
            let response = get(page).await;
            assert_eq!(response.status(), StatusCode::OK, "{page}");
            let kind = &response.headers()[header::CONTENT_TYPE];
            assert_eq!(kind, "text/html; charset=utf-8", "{page}");
        }
        for none in [
            "/nothing.js",
            "/../Cargo.toml",
            "/..%2f..%2fCargo.toml",
            "/%2e%2e/Cargo.toml",
            "//etc/passwd.txt",
            "/api/v1/nothing",
            "/api",
        ] {
            assert_eq!(get(none).await.status(), StatusCode::NOT_FOUND, "{none}");
        }
    }

    #[tokio::test]
    async fn nothing_is_posted_here() {
        let response = serve(Method::POST, Uri::from_static("/"), HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
