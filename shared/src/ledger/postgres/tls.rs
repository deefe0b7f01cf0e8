//! TLS to Postgres: rustls, with the certificates that the configuration names or those of the system.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Fault, chain};
use crate::config::TlsFiles;

/// Certificate chain and host name are always checked where TLS is used.
pub(super) fn connector(files: &TlsFiles) -> Result<MakeRustlsConnect, Fault> {
    // Named here, so that it does not depend on what the process has installed as its default.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Invalid(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots(files.ca.as_deref())?);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|error| unusable(cert, &error))?,
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(Fault::Invalid("TLS needs both a certificate and its key, or neither".into())),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| unusable(file, &error))?;
            }
        }
        // Some of them may be unreadable, or there may be none: whoever then uses TLS is told that the server is unknown.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| unusable(file, &error))?;
    if certificates.is_empty() {
        return Err(Fault::Invalid(format!("{} holds no certificate in PEM", file.display())));
    }
    Ok(certificates)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &dyn std::error::Error) -> Fault {
    Fault::Invalid(format!("{} cannot be used for TLS: {}", file.display(), chain(error)))
}
