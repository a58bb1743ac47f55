//! Grants and flags at the approver.

use holdpoint_proto::v1::{
    Flag, IssuedGrant, LiftFlagRequest, ListFlagsRequest, ListGrantsRequest, RevokeGrantRequest,
};
use tonic::{Code, Status};

use super::{PAGE, Reviews, ReviewsError, timed};

impl Reviews {
    /// Up to `limit` grants, newest first, and whether there are more.
    pub(crate) async fn grants(
        &mut self,
        active_only: bool,
        limit: usize,
    ) -> Result<(Vec<IssuedGrant>, bool), ReviewsError> {
        let mut grants = Vec::new();
        let mut page_token = String::new();
        loop {
            let wanted = limit - grants.len();
            let query = ListGrantsRequest {
                active_only,
                page_size: u32::try_from(wanted).unwrap_or(PAGE).min(PAGE),
                page_token,
            };
            let answer = self.client.list_grants(timed(query)).await;
            let page = answer.map_err(|status| self.refused(&status))?.into_inner();
            let cut = page.grants.len() > wanted;
            grants.extend(page.grants.into_iter().take(wanted));
            page_token = page.next_page_token;
            if grants.len() >= limit || page_token.is_empty() {
                return Ok((grants, cut || !page_token.is_empty()));
            }
        }
    }

    /// Takes the grant with this id back, or the only one whose id begins so.
    pub(crate) async fn revoke_grant(
        &mut self,
        id: &str,
        reason: &str,
    ) -> Result<IssuedGrant, ReviewsError> {
        let request = RevokeGrantRequest {
            id: id.to_owned(),
            reason: reason.to_owned(),
        };
        let answer = self.client.revoke_grant(timed(request)).await;
        let answer = answer.map_err(|status| self.refused(&status))?;
        Ok(answer.into_inner().grant.unwrap_or_default())
    }

    /// The flags in force.
    pub(crate) async fn flags(&mut self) -> Result<Vec<Flag>, ReviewsError> {
        let mut flags = Vec::new();
        let mut page_token = String::new();
        loop {
            let query = ListFlagsRequest {
                page_size: PAGE,
                page_token,
            };
            let answer = self.client.list_flags(timed(query)).await;
            let page = answer.map_err(|status| self.refused(&status))?.into_inner();
            flags.extend(page.flags);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(flags);
            }
        }
    }

    /// Lifts the flag on an operation.
    pub(crate) async fn lift_flag(
        &mut self,
        operation_digest: Vec<u8>,
        reason: &str,
    ) -> Result<(), ReviewsError> {
        let request = LiftFlagRequest {
            operation_digest,
            reason: reason.to_owned(),
        };
        let answer = self.client.lift_flag(timed(request)).await;
        answer.map(drop).map_err(|status| self.refused(&status))
    }

    /// The approver says itself what there is not and how to find what there is.
    fn refused(&self, status: &Status) -> ReviewsError {
        match status.code() {
            Code::NotFound => ReviewsError::Refused {
                message: status.message().to_owned(),
            },
            _ => self.explain(status),
        }
    }
}
