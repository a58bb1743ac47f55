//! What free text is looked for in, and what requests of an older program lack.

use holdpoint_proto::{
    digest,
    v1::{RequestContext, operation::Kind},
};
use prost::Message as _;

use super::{Store, StoreError, decode};

/// Most bytes of one request that text is looked for in: an argument list can be
/// megabytes.
const SEARCH_MAX: usize = 16 * 1024;

/// Requests that are completed at a time.
const BATCH: u32 = 64;

/// The operation, its program and the rule that asked, in lower case.
pub(super) fn text(context: &RequestContext) -> String {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let kind = context.operation.as_ref().and_then(|one| one.kind.as_ref());
    match kind {
        Some(Kind::Exec(exec)) => {
            parts.push(exec.path.clone());
            parts.extend(exec.argv.iter().cloned());
        }
        Some(Kind::Connect(connect)) => {
            let bytes = connect.address.as_slice();
            let address = <[u8; 4]>::try_from(bytes)
                .map(std::net::IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from));
            if let Ok(address) = address {
                parts.push(format!("{address}:{}", connect.port).into_bytes());
            }
            if let Some(local) = &connect.local {
                let name = local.name.strip_prefix(b"\0");
                parts.push(name.map_or_else(|| local.name.clone(), |name| [b"@", name].concat()));
            }
            if let Some(listener) = &connect.listener {
                parts.push(listener.executable.clone());
            }
        }
        None => {}
    }
    if let Some(rule) = &context.rule {
        parts.push(rule.name.clone().into_bytes());
    }
    if let Some(process) = &context.process {
        parts.push(process.executable.clone());
    }
    let mut text = String::new();
    for part in parts {
        let room = SEARCH_MAX.saturating_sub(text.len());
        let part = part.get(..room).unwrap_or(&part);
        text += &String::from_utf8_lossy(part).to_lowercase();
        text.push(' ');
    }
    text
}

impl Store {
    /// Computes what rows that were made by an older program lack.
    pub(in crate::store) async fn complete_requests(&self) -> Result<(), StoreError> {
        loop {
            let mut change = self.begin().await?;
            let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
                "SELECT seq, context FROM requests WHERE operation_digest IS NULL LIMIT ?",
            )
            .bind(BATCH)
            .fetch_all(&mut *change)
            .await?;
            if rows.is_empty() {
                return Ok(());
            }
            for (seq, context) in rows {
                let context = RequestContext::decode(context.as_slice())
                    .map_err(|error| decode("context", error))?;
                let operation =
                    digest::operation(&context).map_or_else(Vec::new, |digest| digest.to_vec());
                sqlx::query("UPDATE requests SET operation_digest = ?, search = ? WHERE seq = ?")
                    .bind(operation)
                    .bind(text(&context))
                    .bind(seq)
                    .execute(&mut *change)
                    .await?;
            }
            change.commit().await?;
        }
    }
}
