//! The commands, one family a file. Each reads, asks or tells; what is printed
//! is made in `render`.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod decide;
pub(crate) mod events;
pub(crate) mod grants;
pub(crate) mod requests;
pub(crate) mod run;
pub(crate) mod status;

/// Drives `future` on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, crate::failure::Failure> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(crate::failure::Failure::Start)?
        .block_on(future))
}
