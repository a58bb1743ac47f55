//! The log of a running approver.

use holdpoint_evidence::{Resource, VerifierKey, audit::Source};
use holdpoint_proto::v1::{
    GetCheckpointRequest, GetTileRequest, SearchEventsRequest, audit_client::AuditClient,
};
use tokio::runtime::Runtime;
use tonic::Code;

use super::{
    AuditError,
    check::Checked,
    history::{Page, Pages},
};
use crate::{
    contexts::Context,
    failure::Failure,
    reviews::{self, Authorized, LARGEST_MESSAGE, Peer, Reviews, timed},
};

/// Records asked for at a time.
const PAGE: u32 = 1_000;

/// A connection to the log.
pub(super) struct Live {
    runtime: Runtime,
    client: AuditClient<Authorized>,
    peer: Peer,
    name: String,
    context: Context,
}

impl Live {
    pub(super) fn connect(name: &str, context: &Context) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::Start)?;
        let (channel, peer) = runtime.block_on(reviews::connect(name, context))?;
        Ok(Self {
            client: AuditClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE),
            runtime,
            peer,
            name: name.to_owned(),
            context: context.clone(),
        })
    }

    /// The newest checkpoint as the approver gives it, and the key it says is
    /// the log's.
    pub(super) fn checkpoint(&mut self) -> Result<(String, VerifierKey), AuditError> {
        let call = self.client.get_checkpoint(timed(GetCheckpointRequest {}));
        let answer = self.runtime.block_on(call);
        let answer = answer
            .map_err(|status| self.peer.failed(&status))?
            .into_inner();
        let key = answer.verifier_key.parse();
        let key = key.map_err(|_| AuditError::ServedKey(answer.verifier_key))?;
        Ok((answer.checkpoint, key))
    }

    /// The indices of all records about a request, oldest first.
    pub(super) fn records_about(&mut self, id: &str) -> Result<Vec<u64>, Failure> {
        let (name, context) = (&self.name, &self.context);
        // The approver looks abbreviated ids up.
        let id = self.runtime.block_on(async {
            let mut reviews = Reviews::connect(name, context).await?;
            let request = reviews.get(id).await?;
            Ok::<_, Failure>(request.id)
        })?;
        let mut indices = Vec::new();
        let mut page_token = String::new();
        loop {
            let query = SearchEventsRequest {
                query: format!("request:{id}"),
                page_size: PAGE,
                page_token,
            };
            let answer = self
                .runtime
                .block_on(self.client.search_events(timed(query)));
            let page = answer
                .map_err(|status| AuditError::from(self.peer.failed(&status)))?
                .into_inner();
            indices.extend(page.records.iter().map(|record| record.log_index));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        if indices.is_empty() {
            return Err(AuditError::NoRecords { id }.into());
        }
        indices.sort_unstable();
        Ok(indices)
    }
}

impl Source for Live {
    type Error = AuditError;

    fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, AuditError> {
        let path = resource.to_string();
        let call = self.client.get_tile(timed(GetTileRequest { path }));
        match self.runtime.block_on(call) {
            Ok(answer) => Ok(Some(answer.into_inner().data)),
            Err(status) if matches!(status.code(), Code::NotFound | Code::DataLoss) => Ok(None),
            Err(status) => Err(self.peer.failed(&status).into()),
        }
    }
}

impl Checked for Live {}

impl Pages for Live {
    type Error = AuditError;

    fn page(&mut self, token: &str, most: u64) -> Result<Result<Page, String>, AuditError> {
        let everything = SearchEventsRequest {
            query: String::new(),
            page_size: u32::try_from(most).map_or(PAGE, |most| most.min(PAGE)),
            page_token: token.to_owned(),
        };
        let call = self.client.search_events(timed(everything));
        match self.runtime.block_on(call) {
            Ok(answer) => {
                let answer = answer.into_inner();
                let records = answer.records.into_iter();
                Ok(Ok(Page {
                    records: records.map(|one| (one.log_index, one.json)).collect(),
                    next: answer.next_page_token,
                }))
            }
            Err(status) if status.code() == Code::DataLoss => Ok(Err(status.message().to_owned())),
            Err(status) => Err(self.peer.failed(&status).into()),
        }
    }
}
