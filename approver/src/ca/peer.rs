//! Reads who a peer is from its certificate.
//!
//! The TLS handshake has already proved that our CA signed the certificate for
//! client use and that the peer holds its key. Whether that host is still
//! welcome is for the store to say.

use data_encoding::HEXLOWER;
use uuid::Uuid;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::HOST_URI;

/// A host as its certificate names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Peer {
    pub(crate) host_id: Uuid,
    /// Lower-case hexadecimal.
    pub(crate) serial: String,
}

/// Why a certificate names no host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("the client certificate cannot be read")]
    Unreadable,
    #[error("the client certificate names no Holdpoint host")]
    NoHost,
}

impl Peer {
    /// The host that `der` was issued to.
    pub(crate) fn of(der: &[u8]) -> Result<Self, PeerError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| PeerError::Unreadable)?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| PeerError::Unreadable)?
            .ok_or(PeerError::NoHost)?;
        let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
            return Err(PeerError::NoHost);
        };
        let host_id = uri
            .strip_prefix(HOST_URI)
            .and_then(|id| Uuid::try_parse(id).ok())
            .ok_or(PeerError::NoHost)?;
        Ok(Self {
            host_id,
            serial: HEXLOWER.encode(certificate.raw_serial()),
        })
    }
}
