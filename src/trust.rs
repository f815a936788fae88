//! The trusted root certificates for every connection that the service opens.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Why there are no trusted certificates.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be used.
    #[error("cannot read the certificates in {0}: {1}")]
    File(PathBuf, String),
    /// The system has no root certificates.
    #[error("the system has no root certificates: install them, or set a CA file")]
    NoRoots,
}

/// The certificates in `file` (PEM), or the system's if there is no file.
pub fn roots(file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    match file {
        Some(file) => from_file(file),
        None => from_system(),
    }
}

fn from_file(file: &Path) -> Result<RootCertStore, TrustError> {
    let unusable = |error: String| TrustError::File(file.to_owned(), error);
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it contains no certificate".to_owned()));
    }
    Ok(roots)
}

fn from_system() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(TrustError::NoRoots);
    }
    Ok(roots)
}
