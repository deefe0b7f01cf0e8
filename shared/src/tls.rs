//! TLS: whom we believe, and who we are. Every mistake in the files is said with the file's name.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::TlsFiles;

/// What a client needs for a handshake. The server's name is always checked.
pub(crate) fn client_config(files: &TlsFiles) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(files)?);
    match (&files.cert, &files.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let unusable = |error| {
                format!(
                    "the certificate {} and the key {} cannot be used: {error}",
                    cert.display(),
                    key.display()
                )
            };
            builder.with_client_auth_cert(certificates(cert)?, private_key(key)?).map_err(unusable)
        }
        (Some(cert), None) => {
            Err(format!("the certificate {} needs its private key (`tls_key`)", cert.display()))
        }
        (None, Some(key)) => Err(format!("the private key {} needs its certificate (`tls_cert`)", key.display())),
    }
}

/// The authorities of the file, in place of the system's.
fn roots(files: &TlsFiles) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    if let Some(ca) = &files.ca {
        for certificate in certificates(ca)? {
            let unusable =
                |error| format!("{} holds what is no authority's certificate: {error}", ca.display());
            store.add(certificate).map_err(unusable)?;
        }
        return Ok(store);
    }
    let found = rustls_native_certs::load_native_certs();
    // Systems carry certificates that nothing can read any more: the others count.
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let reason = found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
        return Err(format!(
            "the system's certificates of authorities cannot be read: {reason}; install them (`ca-certificates`), or name \
             the server's authority in `tls_ca`"
        ));
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(format!("{} holds no certificate in PEM", file.display()))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("{} holds a broken certificate: {error}", file.display())),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| format!("{} holds no private key in PEM: {error}", file.display()))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn a_certificate_without_its_key_is_a_mistake() {
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("ca.pem");
        fs::write(&ca, "no PEM at all").unwrap();
        let files = TlsFiles { ca: Some(ca.clone()), ..TlsFiles::default() };
        assert_eq!(
            client_config(&files).unwrap_err(),
            format!("{} holds no certificate in PEM", ca.display())
        );
        let missing = TlsFiles { ca: Some(PathBuf::from("nowhere.pem")), ..TlsFiles::default() };
        assert!(client_config(&missing).unwrap_err().starts_with("cannot read nowhere.pem: "));
    }
}
