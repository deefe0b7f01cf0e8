//! Certificates for servers and clients of a test: an authority, and what it signs.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// A certificate and its key, in PEM.
#[derive(Debug)]
pub struct Signed {
    /// The certificate.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

/// An authority that nobody knows but the test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, in PEM.
    pub cert: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let cert = params.self_signed(&key).expect("a certificate can be made").pem();
        Self { issuer: Issuer::new(params, key), cert }
    }

    /// A server's certificate for these names.
    pub fn server(&self, names: &[&str]) -> Signed {
        self.sign(params(names), "a server", ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate.
    pub fn client(&self, name: &str) -> Signed {
        self.sign(params(&[]), name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The files from which `tests/servers` makes a TLS listener.
    pub fn server_files(&self, names: &[&str]) -> [(&'static str, String); 3] {
        let Signed { cert, key } = self.server(names);
        [("tls/ca.pem", self.cert.clone()), ("tls/server.pem", cert), ("tls/server.key", key)]
    }

    fn sign(&self, mut params: CertificateParams, name: &str, purpose: ExtendedKeyUsagePurpose) -> Signed {
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().expect("a key can be made");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate can be signed").pem();
        Signed { cert, key: key.serialize_pem() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names of hosts");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}
