//! Certificates for one test: an authority of its own, and what it signs.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Who signs certificates; the files are gone when this is.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in files of its authority's.
#[derive(Debug)]
pub struct Certified {
    certificate: PathBuf,
    key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one that nobody trusts yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        fs::write(folder.path().join("authority.pem"), certificate.pem())
            .expect("a temporary file can be written");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// The file with its own certificate, for those who are to trust it.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Signs a certificate for servers or clients of these names and addresses.
    pub fn certify(&self, names: &[&str]) -> Certified {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let stem = names.first().cloned().unwrap_or_default();
        let key = KeyPair::generate().expect("a key can be made");
        let params = CertificateParams::new(names).expect("names and addresses can be certified");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be signed");
        let (certificate_file, key_file) = (
            self.folder.path().join(format!("{stem}.certificate.pem")),
            self.folder.path().join(format!("{stem}.key.pem")),
        );
        fs::write(&certificate_file, certificate.pem()).expect("a temporary file can be written");
        fs::write(&key_file, key.serialize_pem()).expect("a temporary file can be written");
        Certified { certificate: certificate_file, key: key_file }
    }
}

impl Certified {
    /// The file with the certificate.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The file with its key.
    pub fn key(&self) -> &Path {
        &self.key
    }
}
