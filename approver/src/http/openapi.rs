//! The document that describes the API, made from the routes themselves.

use axum::{Json, extract::State};
use serde_json::Value;
use utoipa::{
    PartialSchema as _, ToSchema as _,
    openapi::{
        Components, ContentBuilder, Info, License, OpenApi, Ref, RefOr, ResponseBuilder,
        path::{Operation, PathItem},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{Web, access, problem::Problem};

const PROBLEM: &str = "Problem";

/// The frame that the routes are put into.
pub(super) fn frame() -> OpenApi {
    let mut info = Info::new("Holdpoint approver", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Requests of held operations, and what people decide about them. Errors are problem \
         details; `code` tells them apart and `mend` says what to do."
            .to_owned(),
    );
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let mut document = OpenApi::new(info, utoipa::openapi::Paths::new());
    let mut components = Components::new();
    components.add_security_scheme(
        "cookie",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
            access::COOKIE,
            "Set by POST /login. Every method but GET also wants the header X-CSRF-Token.",
        ))),
    );
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(
                    "The token of a login over gRPC, or an API token (`hpt_…`).",
                ))
                .build(),
        ),
    );
    let mut schemas = vec![(PROBLEM.to_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    components.schemas.extend(schemas);
    document.components = Some(components);
    document
}

/// Adds what is true of every operation.
pub(super) fn finish(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let content = ContentBuilder::new()
                .schema(Some(RefOr::Ref(Ref::from_schema_name(PROBLEM))))
                .build();
            let response = ResponseBuilder::new()
                .description("An error")
                .content("application/problem+json", content)
                .build();
            operation
                .responses
                .responses
                .insert("default".to_owned(), RefOr::T(response));
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "api",
    responses((status = 200, description = "OpenAPI 3.1", body = Value)))]
pub(super) async fn show(State(web): State<Web>) -> Json<Value> {
    Json((*web.document).clone())
}
