//! Why two sides found no encryption that both trust, in words for people.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription as Alert, CertificateError};
use thiserror::Error;

use crate::files::whole_file::FileFault;

/// Why there is no trusted connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// A file of trusted authorities, which the environment names, is none that can be read.
    #[error("the list of trusted authorities, {}, cannot be read: {fault}", path.display())]
    AuthoritiesFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: FileFault,
    },
    /// The server shows the certificate of an authority, which is not trusted itself.
    #[error("the certificate that it shows is meant for an authority, not for a server")]
    Authority,
    /// The certificate is over.
    #[error("its certificate has expired{}", on(*.since))]
    Expired {
        /// Since when, in seconds of the Unix epoch, where that is known.
        since: Option<u64>,
    },
    /// The server wants a certificate of this side, or another one.
    #[error("it wants a certificate of ours that it trusts")]
    IdentityWanted,
    /// The certificate is for other names.
    #[error("its certificate is for {}", names(.presented))]
    Name {
        /// Which.
        presented: Vec<String>,
    },
    /// There is no version of TLS, or no cipher, that both sides know.
    #[error("it speaks no version of TLS that is safe enough: 1.2 or 1.3 is needed")]
    NothingInCommon,
    /// This machine knows no authority.
    #[error("this machine has no list of trusted authorities")]
    NobodyTrusted,
    /// The certificate is not valid yet.
    #[error("its certificate is not valid yet, by the clock of this machine")]
    NotYet,
    /// The other side does not speak TLS at all.
    #[error("it does not speak TLS")]
    NoTls,
    /// The certificate was taken back.
    #[error("its certificate was revoked")]
    Revoked,
    /// Nobody who is trusted has signed the certificate.
    #[error("its certificate is signed by nobody who is trusted here")]
    UnknownAuthority,
    /// The certificate is of a kind or an age that is not taken.
    #[error("its certificate cannot be used: it is damaged, too old in its form, or made for something else")]
    Unusable,
}

impl TlsFault {
    /// What is wrong where a connection failed because of TLS; `None` where it failed for something else.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Self::of_rustls(error);
            }
            // An `io::Error` hides what it wraps from `source`, and may wrap another one.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        None
    }

    fn of_rustls(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::InvalidCertificate(fault) => Some(Self::of_certificate(fault)),
            rustls::Error::InvalidMessage(_) => Some(Self::NoTls),
            rustls::Error::AlertReceived(Alert::ProtocolVersion | Alert::InsufficientSecurity)
            | rustls::Error::PeerIncompatible(_) => Some(Self::NothingInCommon),
            rustls::Error::AlertReceived(alert) if is_about_certificates(*alert) => {
                Some(Self::IdentityWanted)
            }
            _ => None,
        }
    }

    fn of_certificate(fault: &CertificateError) -> Self {
        match fault {
            CertificateError::Expired => Self::Expired { since: None },
            CertificateError::ExpiredContext { not_after, .. } => {
                Self::Expired { since: Some(UnixTime::as_secs(not_after)) }
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYet,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownAuthority,
            CertificateError::NotValidForName => Self::Name { presented: Vec::new() },
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::Name { presented: presented.iter().map(|name| plain(name)).collect() }
            }
            CertificateError::Revoked => Self::Revoked,
            CertificateError::Other(other)
                if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
            {
                Self::Authority
            }
            _ => Self::Unusable,
        }
    }
}

/// Whether the other side broke off for want of a certificate of ours that it trusts.
fn is_about_certificates(alert: Alert) -> bool {
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

/// A name of a certificate without the kind that stands around it, as in `DnsName("r.example")`.
fn plain(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    crate::text::harmless(inner.trim_matches('"'))
}

fn names(presented: &[String]) -> String {
    match presented {
        [] => "another name".to_owned(),
        [name] => format!("another name, {name}"),
        several => {
            format!("other names: {}", several.iter().take(10).cloned().collect::<Vec<_>>().join(", "))
        }
    }
}

fn on(since: Option<u64>) -> String {
    let date = since.and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    date.map(|date| format!(" on {}", date.strftime("%Y-%m-%d"))).unwrap_or_default()
}
