//! What the approver records of itself. A record is stored together with the
//! change it tells of, or neither is: see `store::events::append`.

pub use holdpoint_history::audit::{Actor, AuditRecord, HostRef, RequestRef};
