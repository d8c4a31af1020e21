//! Why a connection by TLS failed, in words that name the way out.

use std::fmt;
use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, OtherError};

/// The certificate of a server signs itself, and nobody else vouches for it.
#[derive(Debug)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate signs itself")
    }
}

impl std::error::Error for SelfSigned {}

/// Why TLS failed, if it was for TLS, and the way out; to be read after "the server at ADDRESS".
pub(super) fn reason(error: &io::Error) -> Option<String> {
    let error: &Error = error.get_ref()?.downcast_ref()?;
    Some(match error {
        Error::InvalidMessage(_) => {
            "speaks no TLS: rediss:// wants the server's port for TLS, redis:// the other one".to_owned()
        }
        Error::InvalidCertificate(error) => certificate_reason(error),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "wants a certificate of this client: give one, with `Tls::client_pem` or `?cert=…&key=…`".to_owned()
        }
        Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
            format!(
                "does not accept the certificate of this client ({alert:?}): give one of an authority that it trusts"
            )
        }
        Error::AlertReceived(alert) => format!("ended TLS ({alert:?})"),
        Error::PeerIncompatible(_) => "speaks neither TLS 1.3 nor TLS 1.2 in a way that this client does".to_owned(),
        _ => "broke the rules of TLS".to_owned(),
    })
}

fn certificate_reason(error: &CertificateError) -> String {
    match error {
        CertificateError::Other(OtherError(cause)) if cause.is::<SelfSigned>() => {
            "has a certificate that signs itself: have an authority sign it that you trust (`Tls::ca_pem` or `?ca=…`), \
             or trust the certificate itself in that way if it is no authority (`CA:FALSE`)"
                .to_owned()
        }
        CertificateError::UnknownIssuer => {
            "has a certificate of an authority that is not trusted: name the authority with `Tls::ca_pem` or `?ca=…`"
                .to_owned()
        }
        CertificateError::NotValidForName => "has a certificate for another host".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "has a certificate for another host: connect by a name that it has ({})",
            if presented.is_empty() { "it has none".to_owned() } else { presented.join(", ") }
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has a certificate that has expired: renew it, or set the clock of this machine".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "has a certificate that is not valid yet: set the clock of this machine".to_owned()
        }
        other => format!("has a certificate that does not verify ({other:?})"),
    }
}

fn is_about_our_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}
