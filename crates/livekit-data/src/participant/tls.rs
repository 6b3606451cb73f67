//! TLS, and whose certificates it trusts.

use super::dial::Io;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

/// The certificates that a server's own must lead to.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RootCertificates {
    own: Vec<CertificateDer<'static>>,
    without_system: bool,
}

/// A root certificate that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot use a root certificate: {reason}; it has to be X.509 in PEM")]
pub struct CertificateError {
    reason: String,
}

impl RootCertificates {
    /// Those of the operating system: what is trusted unless something else is said.
    pub fn system() -> Self {
        RootCertificates::default()
    }

    /// None, to add to: for a server with a certificate of one's own, and for no other.
    pub fn none() -> Self {
        RootCertificates {
            own: Vec::new(),
            without_system: true,
        }
    }

    /// These and the certificates of a text in PEM, such as a self-signed one.
    ///
    /// # Errors
    ///
    /// If the text holds none, or one that cannot be read.
    pub fn with_pem(mut self, pem: &str) -> Result<Self, CertificateError> {
        let refused = |reason: String| CertificateError { reason };
        let before = self.own.len();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| refused(error.to_string()))?;
            rustls::RootCertStore::empty()
                .add(certificate.clone())
                .map_err(|error| refused(error.to_string()))?;
            self.own.push(certificate);
        }
        match self.own.len() > before {
            true => Ok(self),
            false => Err(refused("the text holds no certificate".into())),
        }
    }
}

impl fmt::Debug for RootCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootCertificates")
            .field("system", &!self.without_system)
            .field("own", &self.own.len())
            .finish()
    }
}

/// Encrypts connections; reads the system's roots when it does so for the first time.
#[derive(Debug)]
pub(super) struct Tls {
    roots: RootCertificates,
    config: OnceLock<Arc<rustls::ClientConfig>>,
}

impl Tls {
    pub(super) fn new(roots: RootCertificates) -> Self {
        Tls {
            roots,
            config: OnceLock::new(),
        }
    }

    /// Encrypts a connection to this host, and checks that the host is who it says.
    pub(super) async fn encrypt(&self, host: &str, stream: Io) -> io::Result<Io> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::other("the host is not a valid name for TLS"))?;
        let connector = tokio_rustls::TlsConnector::from(self.config()?);
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    fn config(&self) -> io::Result<Arc<rustls::ClientConfig>> {
        // Most participants of a process trust the same, and the system's roots take 100 kB.
        static SYSTEM: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
        let cache = match self.roots == RootCertificates::system() {
            true => &SYSTEM,
            false => &self.config,
        };
        if let Some(config) = cache.get() {
            return Ok(config.clone());
        }
        let mut roots = rustls::RootCertStore::empty();
        if !self.roots.without_system {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        roots.add_parsable_certificates(self.roots.own.iter().cloned());
        if roots.is_empty() {
            let reason = "no root certificates found";
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        // The cryptography is named rather than taken from the process-wide default, which an
        // application may have set to something else or not at all.
        let config = rustls::ClientConfig::builder_with_provider(crate::crypto::tls())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(cache.get_or_init(|| Arc::new(config)).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for text in ["", "nonsense", pem, &pem.replace("AAAA", "?")] {
            assert!(RootCertificates::none().with_pem(text).is_err(), "{text}");
        }
    }
}
