//! `Enrolment`: open to anybody who holds a token.

use std::sync::Arc;

use holdpoint_proto::v1::{EnrolRequest, EnrolResponse, enrolment_server::Enrolment};
use tonic::{Request, Response, Status};

use crate::service::Approver;

#[derive(Debug)]
pub(super) struct Service {
    approver: Arc<Approver>,
}

impl Service {
    pub(super) fn new(approver: Arc<Approver>) -> Self {
        Self { approver }
    }
}

#[tonic::async_trait]
impl Enrolment for Service {
    async fn enrol(
        &self,
        request: Request<EnrolRequest>,
    ) -> Result<Response<EnrolResponse>, Status> {
        let request = request.into_inner();
        let enrolled = self
            .approver
            .enrol(&request.secret, &request.csr, &request.hostname)
            .await?;
        Ok(Response::new(EnrolResponse {
            host_id: enrolled.host_id.to_string(),
            certificate: enrolled.certificate,
            decision_key: enrolled.decision_key,
        }))
    }
}
