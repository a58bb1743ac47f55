//! Hosts: list, shut out.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Web,
    access::Caller,
    body::Segments,
    problem::Problem,
    view::{hex_or_null, time, time_or_null},
};
use crate::service::hosts::SeenHost;

/// A host.
#[derive(Serialize, ToSchema)]
#[schema(as = Host)]
pub(super) struct HostView {
    id: String,
    hostname: String,
    /// Whether its session stream is open now.
    connected: bool,
    /// Whether its kernel denied the canary when it last connected.
    enforcing: bool,
    /// Why not, and how to mend it.
    #[schema(required)]
    not_enforcing_because: Option<String>,
    version: String,
    kernel_release: String,
    boot_id: String,
    enrolled_at: String,
    #[schema(required)]
    last_seen_at: Option<String>,
    certificate_expires_at: String,
    #[schema(required)]
    revoked_at: Option<String>,
    policies: Vec<PolicyView>,
    events: HostEvents,
}

/// How far the approver has a host's events.
#[derive(Serialize, ToSchema)]
pub(super) struct HostEvents {
    /// Number of the last one that is stored.
    last_sequence: String,
    /// Gaps among them: events that were lost and declared so.
    gaps: String,
}

/// The policy a host decides by for one profile.
#[derive(Serialize, ToSchema)]
#[schema(as = HostPolicy)]
pub(super) struct PolicyView {
    profile: String,
    owner: String,
    #[schema(required)]
    policy_sha256: Option<String>,
}

/// Every host, in the order they enrolled.
#[derive(Serialize, ToSchema)]
pub(super) struct HostList {
    hosts: Vec<HostView>,
}

impl From<SeenHost> for HostView {
    fn from(seen: SeenHost) -> Self {
        let host = seen.host;
        let because = Some(host.not_enforcing_because).filter(|text| !text.is_empty());
        let policies = seen.policies.into_iter().map(|policy| PolicyView {
            policy_sha256: hex_or_null(&policy.policy_sha256),
            profile: policy.profile,
            owner: policy.owner,
        });
        Self {
            id: host.id.to_string(),
            hostname: host.hostname,
            connected: seen.connected,
            enforcing: host.enforcing,
            not_enforcing_because: because,
            version: host.version,
            kernel_release: host.kernel_release,
            boot_id: host.boot_id,
            enrolled_at: time(host.enrolled_at),
            last_seen_at: time_or_null(host.last_seen_at),
            certificate_expires_at: time(host.certificate_expires_at),
            revoked_at: time_or_null(host.revoked_at),
            policies: policies.collect(),
            events: HostEvents {
                last_sequence: seen.spool.0.to_string(),
                gaps: seen.spool.1.to_string(),
            },
        }
    }
}

/// List hosts
#[utoipa::path(get, path = "/hosts", tag = "hosts",
    responses((status = 200, description = "In the order they enrolled", body = HostList)))]
pub(super) async fn list(State(web): State<Web>) -> Result<Json<HostList>, Problem> {
    let hosts = web.approver.hosts().await?;
    let hosts = hosts.into_iter().map(HostView::from).collect();
    Ok(Json(HostList { hosts }))
}

/// Shut a host out
#[utoipa::path(delete, path = "/hosts/{id}", tag = "hosts",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "Its certificate is revoked for good")))]
pub(super) async fn revoke(
    State(web): State<Web>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<StatusCode, Problem> {
    web.approver.revoke_host(&caller.login, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
