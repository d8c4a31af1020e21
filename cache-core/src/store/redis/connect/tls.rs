//! TLS: whom a connection trusts, and what it shows of this process.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::distrust::SelfSigned;
use super::fault::Fault;

/// What a connection by TLS trusts, and what it shows of this process.
///
/// Certificates are always verified: they must be valid now, be for the host of the URL (a name or
/// an IP address), and come from a trusted authority. Those are Mozilla's, unless authorities are
/// named here: then only these are trusted.
///
/// TLS 1.2 and 1.3. Everything is read by [`Builder::build`](crate::Builder::build), and a text
/// that is no PEM is an error there. The parameters `ca`, `cert` and `key` of a `rediss://` URL
/// name files, and add to what is said here.
///
/// # Example
/// ```
/// use cache_core::{Cache, Tls};
///
/// # fn open(ca: &str, certificate: &str, key: &str) -> Result<Cache, cache_core::Error> {
/// Cache::builder()
///     .url("rediss://cache.internal:6380")
///     .tls(Tls::new().ca_pem(ca).client_pem(certificate, key))
///     .build()
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "it is given to the builder"]
pub struct Tls {
    authorities: Vec<Vec<u8>>,
    native_roots: bool,
    identity: Option<Identity>,
}

#[derive(Clone)]
struct Identity {
    certificates: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// Settings of TLS that nothing would use are a mistake: the connection would be in plain text.
    pub(crate) const UNUSED: &str = "the builder says whom to trust by TLS, but the URL is not of rediss://";

    /// Trusts Mozilla's authorities, and shows no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities: one PEM text with one certificate or more. Each call adds to the
    /// ones before. A certificate that signs itself is its own authority.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    /// Trusts the authorities that this machine trusts, as its system says.
    #[cfg(feature = "tls-native-roots")]
    pub fn native_roots(mut self) -> Self {
        self.native_roots = true;
        self
    }

    /// Shows this certificate to servers that ask for one (mutual TLS). PEM: the certificate first,
    /// then those between it and its authority; and its private key (PKCS #8, PKCS #1 or SEC 1)
    /// without a password.
    pub fn client_pem(mut self, certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Identity { certificates: certificates.into(), key: key.into() });
        self
    }

    pub(super) fn connector(&self) -> Result<TlsConnector, Fault> {
        // A provider of our own: the process-wide provider may be missing, and the application
        // chooses it.
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new(self.roots()?, provider.clone())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| Fault::config("no TLS version can be used"))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &self.identity {
            None => config.with_no_client_auth(),
            Some(Identity { certificates, key }) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|_| Fault::config("the client's private key for TLS is no PEM without a password"))?;
                let certificates = parsed(certificates, "the client's certificate for TLS")?;
                config.with_client_auth_cert(certificates, key).map_err(|_| {
                    Fault::config("the client's certificate and private key for TLS do not belong together")
                })?
            }
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, Fault> {
        let mut roots = RootCertStore::empty();
        for pem in &self.authorities {
            for certificate in parsed(pem, "an authority for TLS")? {
                roots.add(certificate).map_err(|_| Fault::config("an authority for TLS is no certificate"))?;
            }
        }
        if self.native_roots {
            add_native_roots(&mut roots)?;
        }
        if self.authorities.is_empty() && !self.native_roots {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Ok(roots)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities.len())
            .field("native_roots", &self.native_roots)
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

fn parsed(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Fault::config(format!("{what} is no PEM with a certificate"))),
    }
}

#[cfg(feature = "tls-native-roots")]
fn add_native_roots(roots: &mut RootCertStore) -> Result<(), Fault> {
    // A system keeps some that are damaged or too old: the others count.
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match added {
        0 => Err(Fault::config("no authority for TLS was found on this machine: install its CA certificates")),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "tls-native-roots"))]
fn add_native_roots(_: &mut RootCertStore) -> Result<(), Fault> {
    Ok(())
}

/// The name that the certificate of a host must have.
pub(super) fn name_of(host: &str) -> Result<ServerName<'static>, Fault> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| Fault::config("the host of the rediss:// URL is not a name that a certificate can have"))
}

/// Verifies as rustls does, and finds out in addition whether a certificate that nobody vouches for
/// signs itself.
#[derive(Debug)]
struct Verifier {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Self, Fault> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|_| Fault::config("no authority for TLS is trusted"))?;
        Ok(Self { verifier, provider })
    }

    /// Whether the certificate verifies once it is trusted itself.
    fn signs_itself(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
        let mut roots = RootCertStore::empty();
        let trusted = roots.add(certificate.clone().into_owned()).is_ok();
        let itself = trusted.then(|| Self::new(roots, self.provider.clone())).and_then(Result::ok);
        itself.is_some_and(|itself| {
            let verdict = itself.verifier.verify_server_cert(certificate, &[], name, &[], now);
            !matches!(verdict, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)))
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.verifier.verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        verdict.map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
                if self.signs_itself(certificate, name, now) =>
            {
                CertificateError::Other(OtherError(Arc::new(SelfSigned))).into()
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
