//! How to connect, as far as a URL does not say it.

use super::credentials::CredentialsProvider;
#[cfg(feature = "tls")]
use super::tls::Tls;

/// How to connect, as far as the URL does not say it.
#[derive(Clone, Default)]
pub(crate) struct Access {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
    pub(crate) credentials: Option<CredentialsProvider>,
    /// Addresses that nodes of a cluster announce, and where they are reached instead.
    pub(crate) node_addresses: Vec<(String, String)>,
}
