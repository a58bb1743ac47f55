//! What records say of requests and hosts, read in the change they tell of.

use holdpoint_proto::v1::RequestContext;
use prost::Message as _;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{StoreError, decode};
use crate::domain::audit::{HostRef, RequestRef};

/// The request `id`, as a record names it.
pub(super) async fn request(
    conn: &mut SqliteConnection,
    id: &str,
) -> Result<RequestRef, StoreError> {
    type Row = (String, String, Vec<u8>, Option<Vec<u8>>, Vec<u8>);
    let (host_id, hostname, digest, operation_digest, context): Row = sqlx::query_as(
        "SELECT requests.host_id, hosts.hostname, requests.digest, requests.operation_digest,
             requests.context
         FROM requests JOIN hosts ON hosts.id = requests.host_id WHERE requests.id = ?",
    )
    .bind(id)
    .fetch_one(&mut *conn)
    .await?;
    let context = RequestContext::decode(context.as_slice());
    Ok(RequestRef {
        id: id.to_owned(),
        host: HostRef {
            id: host_id,
            hostname,
        },
        digest,
        operation_digest: operation_digest.unwrap_or_default(),
        context: context.map_err(|error| decode("context", error))?,
    })
}

/// The host `id`, as a record names it.
pub(super) async fn host(conn: &mut SqliteConnection, id: Uuid) -> Result<HostRef, StoreError> {
    let hostname = sqlx::query_scalar("SELECT hostname FROM hosts WHERE id = ?")
        .bind(id.to_string())
        .fetch_one(&mut *conn)
        .await?;
    Ok(HostRef {
        id: id.to_string(),
        hostname,
    })
}
