//! How a TLS connection proves who is on either end. Nothing is sent here.

mod authorities;
mod fault;
mod verifier;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

pub use self::fault::TlsFault;
use self::verifier::{Unverified, Verifier};
use crate::files::whole_file::{self, Links};

/// What some editors put in front of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The longest file of certificates or of a key that is read, in bytes: a bundle of all public authorities has a quarter
/// of a MiB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Whether the other side has to prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// It has.
    #[default]
    Full,
    /// The registry's own host has not: the user said so. Any other host has.
    Off,
}

/// Whom to trust, and who to be.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// Whether the registry has to prove who it is.
    pub verification: Verification,
    trusted: Vec<CertificateDer<'static>>,
    identity: Option<Arc<CertifiedKey>>,
}

/// Why a file of certificates or keys cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsFileError {
    /// It holds something else.
    #[error("`{}` does not hold {expected} in PEM form", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl TlsOptions {
    /// Trusts the certificates in a file too, beside the system's: those of authorities, and those of servers themselves.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or holds no certificate.
    pub fn trust_file(&mut self, path: &Path) -> Result<(), TlsFileError> {
        let content = || TlsFileError::Content { path: path.to_owned(), expected: "certificates" };
        let found = certificates(&read(path)?).ok_or_else(content)?;
        let mut store = RootCertStore::empty();
        for certificate in &found {
            store.add(certificate.clone()).map_err(|_| content())?;
        }
        self.trusted.extend(found);
        Ok(())
    }

    /// Shows the registry a certificate, and proves with its key that it is ours.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read, or the two hold no certificate and key.
    pub fn identify(&mut self, certificate: &Path, key: &Path) -> Result<(), TlsFileError> {
        let content = || TlsFileError::Content {
            path: certificate.to_owned(),
            expected: "a certificate whose key is in the other file, both",
        };
        let chain = certificates(&read(certificate)?).ok_or_else(content)?;
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| content())?;
        let own = CertifiedKey::from_der(chain, key, &provider()).map_err(|_| content())?;
        self.identity = Some(Arc::new(own));
        Ok(())
    }

    /// Whether the registry's own host is met differently from all others.
    pub(super) fn is_particular(&self) -> bool {
        self.identity.is_some() || self.verification == Verification::Off
    }

    /// How to talk to any host.
    ///
    /// # Errors
    ///
    /// Where this machine trusts nobody.
    pub(super) fn for_others(&self) -> Result<ClientConfig, TlsFault> {
        self.config(Verification::Full, None)
    }

    /// How to talk to the registry's own host.
    ///
    /// # Errors
    ///
    /// Where this machine trusts nobody.
    pub(super) fn for_registry(&self) -> Result<ClientConfig, TlsFault> {
        self.config(self.verification, self.identity.as_ref())
    }

    fn config(
        &self,
        verification: Verification,
        identity: Option<&Arc<CertifiedKey>>,
    ) -> Result<ClientConfig, TlsFault> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(|_| TlsFault::NothingInCommon)?;
        let builder = builder.dangerous();
        let builder = match verification {
            Verification::Off => {
                builder.with_custom_certificate_verifier(Arc::new(Unverified::new(provider)))
            }
            Verification::Full => {
                authorities::check_lists(MAX_FILE_BYTES)?;
                let verifier =
                    Verifier::new(self.trusted.clone(), provider).map_err(|_| TlsFault::NobodyTrusted)?;
                builder.with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = match identity {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(own)))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions").field("verification", &self.verification).finish_non_exhaustive()
    }
}

/// What the program has chosen for its cryptography.
fn provider() -> Arc<CryptoProvider> {
    match CryptoProvider::get_default() {
        Some(chosen) => Arc::clone(chosen),
        None => Arc::new(rustls::crypto::ring::default_provider()),
    }
}

/// The certificates of a file in PEM form; `None` where there are none, or damaged ones.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    let mut content = whole_file::read(path, MAX_FILE_BYTES, Links::Follow)
        .map_err(|source| TlsFileError::Read { path: path.to_owned(), source })?;
    if content.starts_with(BYTE_ORDER_MARK) {
        content.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(content)
}
