//! Which servers are believed to be who they say they are.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;
use webpki::{EndEntityCert, KeyUsage};

/// Takes whom the system's way takes, with the user's certificates beside the system's; and besides, a server whose own
/// certificate is among the trusted ones, as other tools do.
///
/// `openssl req -x509` makes certificates that are those of an authority and of a server at once, which webpki refuses from
/// a server. Whoever trusts such a one byte for byte means that server: what is left to check are its dates and its name.
#[derive(Debug)]
pub(super) struct Verifier {
    system: rustls_platform_verifier::Verifier,
    named: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Trusts `named` beside the system's.
    ///
    /// # Errors
    ///
    /// Where there is nobody to trust.
    pub(super) fn new(
        named: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let system =
            rustls_platform_verifier::Verifier::new_with_extra_roots(named.clone(), Arc::clone(&provider))?;
        Ok(Self { system, named, provider })
    }

    /// Whether this very certificate was named by the user or is in the system's list.
    fn is_listed(&self, certificate: &CertificateDer<'_>) -> bool {
        let is_it = |listed: &CertificateDer<'static>| listed.as_ref() == certificate.as_ref();
        self.named.iter().any(is_it) || rustls_native_certs::load_native_certs().certs.iter().any(is_it)
    }

    /// Whether a certificate that is trusted itself is in its dates and for that name; else `refused`, or what is wrong.
    fn verify_listed(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
        refused: Error,
    ) -> Result<ServerCertVerified, Error> {
        let Ok(parsed) = EndEntityCert::try_from(certificate) else { return Err(refused) };
        let algorithms = self.provider.signature_verification_algorithms.all;
        let usage = KeyUsage::server_auth();
        // Without anybody to trust it ends where it would look for who has signed.
        match parsed.verify_for_usage(algorithms, &[], &[], now, usage, None, None) {
            // webpki looks at the dates before these two.
            Ok(_) | Err(webpki::Error::CaUsedAsEndEntity | webpki::Error::UnknownIssuer) => {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            Err(webpki::Error::CertExpired { .. }) => Err(CertificateError::Expired.into()),
            Err(webpki::Error::CertNotValidYet { .. }) => Err(CertificateError::NotValidYet.into()),
            Err(_) => Err(refused),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.system.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(refused @ Error::InvalidCertificate(_)) if self.is_listed(end_entity) => {
                self.verify_listed(end_entity, server_name, now, refused)
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}

/// Takes whoever has the key of the certificate that they show, whatever that is: the user said so.
#[derive(Debug)]
pub(super) struct Unverified(Arc<CryptoProvider>);

impl Unverified {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self(provider)
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
