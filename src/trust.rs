//! The certificates that are trusted, for every connection that the service opens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{error, io};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, InvalidMessage, OtherError, RootCertStore,
    SignatureScheme,
};

/// The error of TLS among the causes of `error`. Adapters wrap it in I/O errors, one in another, and what
/// an I/O error wraps is not its `source`.
pub fn tls_error<'e>(error: &'e (dyn error::Error + 'static)) -> Option<&'e Error> {
    let cause = |error: &'e (dyn error::Error + 'static)| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn error::Error + 'static)),
            None => error.source(),
        }
    };
    let mut causes = std::iter::successors(Some(error), |&error| cause(error));
    causes.find_map(|cause| cause.downcast_ref())
}

/// What an error of TLS means, if its own words don't say it.
pub fn meaning(error: &Error) -> Option<&'static str> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(why)) if is_of_authority(why) => {
            Some("the certificate is a CA's, and not trusted by itself")
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some("the server speaks plain HTTP, or something else that is not TLS")
        }
        _ => None,
    }
}

/// Whether webpki rejected a server's certificate because it is also a CA's.
fn is_of_authority(why: &OtherError) -> bool {
    why.to_string() == "CaUsedAsEndEntity"
}

/// Why there are no trusted certificates.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be used.
    #[error("cannot read the certificates in {0}: {1}")]
    File(PathBuf, String),
    /// The system has no root certificates.
    #[error("the system has no root certificates: install them, or set a CA file")]
    NoRoots,
    /// rustls rejects the certificates.
    #[error("cannot use the certificates: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// Verifies servers by the certificates in `file` (PEM), or by the system's if there is no file.
///
/// A certificate in the file may be a root, or the server's own.
pub fn verifier(file: Option<&Path>) -> Result<Arc<dyn ServerCertVerifier>, TrustError> {
    let named = file.map(from_file).transpose()?.unwrap_or_default();
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in &named {
                let added = roots.add(certificate.clone());
                added.map_err(|error| TrustError::File(file.to_owned(), error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(TrustError::NoRoots);
    }
    let provider = Arc::new(default_provider());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    Ok(Arc::new(Trusted { chain, named }))
}

fn from_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unusable = |error: String| TrustError::File(file.to_owned(), error);
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(error.to_string()))?;
    match found.is_empty() {
        true => Err(unusable("it contains no certificate".to_owned())),
        false => Ok(found),
    }
}

/// Verifies a chain up to a trusted root, or a server whose own certificate is trusted.
#[derive(Debug)]
struct Trusted {
    chain: Arc<WebPkiServerVerifier>,
    /// The certificates in the operator's file.
    named: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// webpki rejects a server's certificate that is also a CA's, as self-signed certificates
    /// usually are, and OpenSSL accepts it if it is trusted itself. Validity in time was checked
    /// before (`check_issuer_independent_properties` in `verify_cert.rs`), the name was not.
    fn is_named(&self, end_entity: &CertificateDer<'_>, why: &OtherError) -> bool {
        is_of_authority(why) && self.named.iter().any(|named| named == end_entity)
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = &self.chain;
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(CertificateError::Other(why)))
                if self.is_named(end_entity, &why) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// A self-signed certificate for `localhost` that is also a CA's, as `openssl req -x509` makes
    /// it, valid until this year.
    fn self_signed(until: i32) -> rcgen::Certificate {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        parameters.self_signed(&key).expect("signed")
    }

    /// What a server with `presented` gets if `trusted` is in the file.
    fn verify(trusted: &rcgen::Certificate, presented: &rcgen::Certificate, name: &str) -> String {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(trusted.pem().as_bytes()).expect("written");
        let verifier = verifier(Some(file.path())).expect("usable");
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        // 2026-07-01
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_782_864_000));
        match verifier.verify_server_cert(presented.der(), &[], &name, &[], now) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_server_may_present_the_very_certificate_that_is_trusted() {
        let (own, other, expired) = (self_signed(2040), self_signed(2040), self_signed(2021));
        assert_eq!(verify(&own, &own, "localhost"), "");
        for (refused, why) in [
            (verify(&own, &own, "example.com"), "not valid for"),
            (verify(&own, &other, "localhost"), "CaUsedAsEndEntity"),
            (verify(&expired, &expired, "localhost"), "expired"),
        ] {
            assert!(refused.contains(why), "{refused}");
        }
    }
}
