//! Certificates for one test: an authority of its own, what it signs, and connections that both protect.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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

/// Whether a certificate is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// It is.
    Still,
    /// It was, up to 3 February 2021.
    NoMore,
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

    /// Makes a certificate that signs itself and says that it is an authority's, as `openssl req -x509` does.
    pub fn certify_itself(&self, names: &[&str], lasts: Lasts) -> Certified {
        let key = KeyPair::generate().expect("a key can be made");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let stem = format!("itself-{lasts:?}-{}", names.join("-"));
        let mut params = CertificateParams::new(names).expect("names and addresses can be certified");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        if lasts == Lasts::NoMore {
            params.not_after = rcgen::date_time_ymd(2021, 2, 3);
        }
        let certificate = params.self_signed(&key).expect("a certificate can be signed");
        let (certificate_file, key_file) = (
            self.folder.path().join(format!("{stem}.certificate.pem")),
            self.folder.path().join(format!("{stem}.key.pem")),
        );
        fs::write(&certificate_file, certificate.pem()).expect("a temporary file can be written");
        fs::write(&key_file, key.serialize_pem()).expect("a temporary file can be written");
        Certified { certificate: certificate_file, key: key_file }
    }

    /// How a client speaks TLS that trusts this authority and no other.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let mut trusted = RootCertStore::empty();
        trusted.add(read_certificate(&self.certificate())).expect("an authority just made can be trusted");
        Arc::new(ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth())
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
    /// How a server speaks TLS that shows this certificate.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key just written can be read");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![read_certificate(&self.certificate)], key);
        Arc::new(config.expect("a certificate and its own key fit"))
    }
}

fn read_certificate(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate just written can be read")
}

/// One end of a connection, encrypted or not. Dropped, it says no farewell of its own: the socket below does.
pub(crate) trait Line: Read + Write + Send {}

impl<T: Read + Write + Send> Line for T {}

/// Speaks to the server at `host` (`127.0.0.1:PORT`), in TLS where there is a `config`.
pub(crate) fn to_server(
    socket: TcpStream,
    host: &str,
    config: Option<&Arc<ClientConfig>>,
) -> io::Result<Box<dyn Line>> {
    let Some(config) = config else { return Ok(Box::new(socket)) };
    let (name, _) = host.rsplit_once(':').unwrap_or((host, ""));
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(connection, socket)))
}

/// Speaks to a client, in TLS where there is a `config`.
pub(crate) fn to_client(socket: TcpStream, config: Option<&Arc<ServerConfig>>) -> io::Result<Box<dyn Line>> {
    let Some(config) = config else { return Ok(Box::new(socket)) };
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(connection, socket)))
}
