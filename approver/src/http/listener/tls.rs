//! TLS for browsers: HTTP/2 where they can, HTTP/1.1 where they can't, no client
//! certificates.

use std::sync::Arc;

use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};

use crate::ca::ServerIdentity;

/// Why there is no TLS with a certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or its key can't be read.
    #[error("cannot read the server's certificate")]
    Pem(#[from] pem::Error),
    /// The certificate and its key can't be used.
    #[error("cannot use the server's certificate")]
    Rustls(#[from] rustls::Error),
}

/// Proves `identity` to those who connect.
pub(crate) fn configure(identity: &ServerIdentity) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
