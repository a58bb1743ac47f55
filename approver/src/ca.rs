//! The approver's own certificate authority.
//!
//! It signs one server certificate for each start and one client certificate for
//! each enrolled host. Of what a host asks for it takes the public key and
//! nothing else: names, purposes and lifetime are ours. It must never sign a
//! certificate that could sign others.

mod files;
mod peer;

use std::time::Duration;

use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
    SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateSigningRequestDer;
use uuid::Uuid;

use crate::{
    domain::time::Millis,
    random::{self, RandomError},
};

pub use files::AuthorityFileError;
pub(crate) use files::load_or_create;
pub(crate) use peer::{Peer, PeerError};

/// What every host's SPIFFE id begins with.
const HOST_URI: &str = "spiffe://holdpoint/host/";

const DAY: Duration = Duration::from_hours(24);
const AUTHORITY_LIFETIME: Duration = Duration::from_hours(3650 * 24);
/// The longest that operating systems trust in a server's certificate is 825 days.
/// It is made anew at every start.
const SERVER_LIFETIME: Duration = Duration::from_hours(800 * 24);
/// Long, because hosts cannot renew theirs yet and one that expires cannot ask
/// anybody any more. What ends a host's access is its revocation, which every
/// stream and every message is checked against.
const HOST_LIFETIME: Duration = Duration::from_hours(5 * 365 * 24);
/// Clocks of hosts differ: certificates are valid from a little before now.
const BACKDATE_MILLIS: i64 = 60 * 60 * 1000;

/// The CA: its certificate and the key to sign with.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate with the key that belongs to it, both PEM.
#[derive(Debug)]
pub(crate) struct ServerIdentity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A host's certificate.
#[derive(Debug)]
pub(crate) struct HostCertificate {
    pub(crate) pem: String,
    /// Lower-case hexadecimal.
    pub(crate) serial: String,
    pub(crate) expires_at: Millis,
}

/// Why a certificate was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The certificate signing request is no good.
    #[error(
        "the certificate signing request is invalid ({0}); it must be PKCS#10 in DER, signed with \
         its own key"
    )]
    Request(rcgen::Error),
    /// The key in the request is of a kind we don't sign.
    #[error("the key of the certificate signing request is not ECDSA P-256 or Ed25519")]
    KeyKind,
    /// Signing failed.
    #[error("cannot sign a certificate: {0}")]
    Sign(rcgen::Error),
    /// No random serial number.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl Authority {
    /// The CA's certificate, PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A new certificate and key for this server.
    ///
    /// The key never leaves the memory of this process and dies with it.
    pub(crate) fn server_identity(
        &self,
        names: Vec<String>,
        now: Millis,
    ) -> Result<ServerIdentity, IssueError> {
        let mut params = CertificateParams::new(names).map_err(IssueError::Sign)?;
        fill(
            &mut params,
            "holdpoint-approver",
            now,
            now.plus(SERVER_LIFETIME),
        )?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(IssueError::Sign)?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(IssueError::Sign)?;
        Ok(ServerIdentity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Signs the public key of `csr` as that of host `id`.
    pub(crate) fn sign_host(
        &self,
        csr: &[u8],
        id: Uuid,
        now: Millis,
    ) -> Result<HostCertificate, IssueError> {
        let csr = CertificateSigningRequestDer::from(csr);
        let key = CertificateSigningRequestParams::from_der(&csr)
            .map_err(IssueError::Request)?
            .public_key;
        let right_kind = (key.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256
            && key.der_bytes().len() == 65)
            || (key.algorithm() == &rcgen::PKCS_ED25519 && key.der_bytes().len() == 32);
        if !right_kind {
            return Err(IssueError::KeyKind);
        }
        let expires_at = now.plus(HOST_LIFETIME);
        let mut params = CertificateParams::default();
        let serial = fill(
            &mut params,
            &format!("holdpoint host {id}"),
            now,
            expires_at,
        )?;
        let uri = format!("{HOST_URI}{id}")
            .try_into()
            .map_err(IssueError::Sign)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(IssueError::Sign)?;
        Ok(HostCertificate {
            pem: certificate.pem(),
            serial,
            expires_at,
        })
    }
}

/// Parameters of the CA's own certificate.
fn authority_params(now: Millis) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::default();
    fill(
        &mut params,
        "Holdpoint CA",
        now,
        now.plus(AUTHORITY_LIFETIME + DAY),
    )?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// What all certificates have in common. Answers the serial number.
fn fill(
    params: &mut CertificateParams,
    name: &str,
    now: Millis,
    expires_at: Millis,
) -> Result<String, IssueError> {
    let mut serial: [u8; 16] = random::bytes()?;
    // Positive, and of full length: both make it read back as it was written.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    let epoch = date_time_ymd(1970, 1, 1);
    let after = |time: Millis| Duration::from_millis(u64::try_from(time.get()).unwrap_or(0));
    params.not_before = epoch + after(Millis::new(now.get().saturating_sub(BACKDATE_MILLIS)));
    params.not_after = epoch + after(expires_at);
    Ok(HEXLOWER.encode(&serial))
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;
    use crate::state_dir::StateDir;

    const NOW: Millis = Millis::new(1_800_000_000_000);

    fn authority() -> Authority {
        let directory = tempfile::tempdir().unwrap();
        load_or_create(&StateDir::open(directory.path()).unwrap(), NOW).unwrap()
    }

    fn der(pem: &str) -> Vec<u8> {
        x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .unwrap()
            .1
            .contents
    }

    fn csr(key: &KeyPair, params: &CertificateParams) -> Vec<u8> {
        params.serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_host_gets_our_names_and_purposes_whatever_it_asks_for() {
        let (authority, id) = (authority(), Uuid::now_v7());
        let mut greedy = CertificateParams::new(vec!["approver.example".to_owned()]).unwrap();
        greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        let issued = authority.sign_host(&csr(&key, &greedy), id, NOW).unwrap();
        let der = der(&issued.pem);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert!(!certificate.is_ca());
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        let names = &certificate
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names;
        assert_eq!(names.len(), 1);
        let lifetime = certificate.validity().not_after.timestamp() - NOW.get() / 1000;
        assert_eq!(lifetime, 5 * 365 * 24 * 60 * 60);

        let peer = Peer::of(&der).unwrap();
        assert_eq!((peer.host_id, peer.serial), (id, issued.serial));
    }

    #[test]
    fn a_request_signed_with_another_key_is_refused() {
        let (authority, key) = (authority(), KeyPair::generate().unwrap());
        let mut forged = csr(&key, &CertificateParams::default());
        let last = forged.len() - 1;
        forged[last] ^= 1;
        for bad in [forged.as_slice(), b"", b"no csr"] {
            let error = authority.sign_host(bad, Uuid::now_v7(), NOW).unwrap_err();
            assert!(matches!(error, IssueError::Request(_)), "{error}");
        }
    }

    #[test]
    fn other_kinds_of_keys_are_refused() {
        let authority = authority();
        for (algorithm, good) in [
            (&rcgen::PKCS_ED25519, true),
            (&rcgen::PKCS_ECDSA_P256_SHA256, true),
            (&rcgen::PKCS_ECDSA_P384_SHA384, false),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let csr = csr(&key, &CertificateParams::default());
            assert_eq!(authority.sign_host(&csr, Uuid::now_v7(), NOW).is_ok(), good);
        }
    }

    #[test]
    fn the_servers_certificate_is_no_hosts() {
        let identity = authority()
            .server_identity(vec!["localhost".into(), "127.0.0.1".into()], NOW)
            .unwrap();
        let der = der(&identity.certificate);
        assert!(matches!(Peer::of(&der), Err(PeerError::NoHost)));
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let lifetime = certificate.validity().not_after.timestamp() - NOW.get() / 1000;
        assert_eq!(lifetime, 800 * 24 * 60 * 60);
    }
}
