//! Certificates for tests, and a server that speaks TLS in front of another one that does not.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

/// Signs certificates, and keeps them as files.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, that nobody knows.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are sound names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each has a name of its own: a certificate says by name who signed it.
        params.distinguished_name.push(DnType::CommonName, Uuid::new_v4().to_string());
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("it can sign itself");
        let folder = TempDir::with_prefix("upbeat-authority-").expect("a folder can be made");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file can be written");
        Self { issuer, folder }
    }

    /// Its own certificate, in PEM.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Signs a certificate for a host or an address.
    pub fn certificate(&self, name: &str) -> Certificate {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a host's name or an address");
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("it can sign");
        let file = |kind: &str| self.folder.path().join(format!("{name}.{kind}.pem"));
        let files = Certificate { cert: file("cert"), key: file("key") };
        std::fs::write(&files.cert, certificate.pem()).expect("a file can be written");
        std::fs::write(&files.key, key.serialize_pem()).expect("a file can be written");
        files
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is randomness")
}

/// Speaks TLS on a port of its own, and passes on to `behind` until the test ends.
///
/// With an authority of `clients`, those must show a certificate that it signed.
pub async fn tls_in_front_of(
    behind: SocketAddr,
    certificate: &Certificate,
    clients: Option<&Authority>,
) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(certificate, clients)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not like the certificate hangs up.
                let Ok(mut client) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(behind).await.expect("the server behind listens");
                // It ends when either side does, however it does.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

fn server_config(certificate: &Certificate, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider knows them");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.issuer.der().clone()).expect("it is an authority's");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("it has an authority"))
        }
    };
    let chain = CertificateDer::pem_slice_iter(&read(&certificate.cert)).collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_slice(&read(&certificate.key));
    let config = builder.with_single_cert(chain.expect("it is PEM"), key.expect("it is PEM"));
    config.expect("the key is the certificate's")
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).expect("the file can be read")
}
