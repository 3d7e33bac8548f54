//! How a TLS connection proves who is on either end. Nothing is sent here.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Identity};
use thiserror::Error;

/// Whether the other side has to prove who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    authorities: Vec<Certificate>,
    identity: Option<Identity>,
}

/// Why a file of certificates or keys cannot be used.
#[derive(Debug, Error)]
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
    /// Trusts the certificates in a file too, beside the system's.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or holds no certificate.
    pub fn trust_file(&mut self, path: &Path) -> Result<(), TlsFileError> {
        let content = || TlsFileError::Content { path: path.to_owned(), expected: "certificates" };
        let found = Certificate::from_pem_bundle(&read(path)?).map_err(|_| content())?;
        if found.is_empty() {
            return Err(content());
        }
        self.authorities.extend(found);
        Ok(())
    }

    /// Shows the registry a certificate, and proves with its key that it is ours.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read, or the two hold no certificate and key.
    pub fn identify(&mut self, certificate: &Path, key: &Path) -> Result<(), TlsFileError> {
        let (mut pem, key_pem) = (read(certificate)?, read(key)?);
        pem.push(b'\n');
        pem.extend(key_pem);
        let identity = Identity::from_pem(&pem).map_err(|_| TlsFileError::Content {
            path: certificate.to_owned(),
            expected: "a certificate whose key is in the other file, both",
        })?;
        self.identity = Some(identity);
        Ok(())
    }

    /// Whether the registry's own host is met differently from all others.
    pub(super) fn is_particular(&self) -> bool {
        self.identity.is_some() || self.verification == Verification::Off
    }

    /// Sets up a client for any host.
    pub(super) fn for_others(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        if self.authorities.is_empty() { builder } else { builder.tls_certs_merge(self.authorities.clone()) }
    }

    /// Sets up a client for the registry's own host.
    pub(super) fn for_registry(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let builder = self.for_others(builder);
        let builder = match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        };
        match self.verification {
            Verification::Full => builder,
            Verification::Off => builder.tls_danger_accept_invalid_certs(true),
        }
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions").field("verification", &self.verification).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    fs::read(path).map_err(|source| TlsFileError::Read { path: path.to_owned(), source })
}
