//! Whose certificates are believed, for every connection that the service opens.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file can't be used.
    #[error("the certificates in {0} cannot be read: {1}")]
    File(PathBuf, String),
    /// The system trusts nobody.
    #[error("the system has no certificates to trust; name a file")]
    NoRoots,
}

/// The certificates in `file` (PEM) or, without one, the system's.
pub fn roots(file: Option<&Path>) -> Result<RootCertStore, TrustError> {
    match file {
        Some(file) => of_file(file),
        None => of_the_system(),
    }
}

fn of_file(file: &Path) -> Result<RootCertStore, TrustError> {
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
        return Err(unusable("it holds none".to_owned()));
    }
    Ok(roots)
}

fn of_the_system() -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(TrustError::NoRoots);
    }
    Ok(roots)
}
