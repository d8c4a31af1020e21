//! Which store a URL leads to: schemes are read here and nowhere else.

use crate::error::{Error, ErrorKind};

/// Where entries live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Memory,
    Redis,
    RedisTls,
    RedisUnix,
    RedisSentinel,
    RedisSentinelTls,
    RedisCluster,
    RedisClusterTls,
}

impl Scheme {
    #[cfg(feature = "redis")]
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::RedisTls | Self::RedisSentinelTls | Self::RedisClusterTls)
    }

    #[cfg(feature = "redis")]
    pub(crate) fn is_sentinel(self) -> bool {
        matches!(self, Self::RedisSentinel | Self::RedisSentinelTls)
    }

    #[cfg(feature = "redis")]
    pub(crate) fn is_cluster(self) -> bool {
        matches!(self, Self::RedisCluster | Self::RedisClusterTls)
    }

    /// Valkey is Redis here, and upper case is lower case, as in any URL.
    ///
    /// # Errors
    /// `Config`, without repeating anything: the rest of the URL may hold a password.
    pub(crate) fn of(url: &str) -> Result<Self, Error> {
        let (scheme, _) = url.split_once("://").unwrap_or_default();
        Ok(match &*scheme.to_ascii_lowercase() {
            "memory" => Self::Memory,
            "redis" | "valkey" => Self::Redis,
            "rediss" | "valkeys" => Self::RedisTls,
            "unix" | "redis+unix" | "valkey+unix" => Self::RedisUnix,
            "redis-sentinel" | "valkey-sentinel" => Self::RedisSentinel,
            "rediss-sentinel" | "valkeys-sentinel" => Self::RedisSentinelTls,
            "redis-cluster" | "valkey-cluster" => Self::RedisCluster,
            "rediss-cluster" | "valkeys-cluster" => Self::RedisClusterTls,
            _ => {
                return Err(Error::new(
                    ErrorKind::Config,
                    "unknown scheme in the cache URL: it starts with memory://, redis://, rediss://, redis+unix://, \
                     redis-sentinel:// or redis-cluster://, and with TLS rediss-sentinel:// or rediss-cluster://",
                ));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_leads_somewhere_whatever_its_case() {
        for (schemes, expected) in [
            (&["memory"][..], Scheme::Memory),
            (&["redis", "valkey"], Scheme::Redis),
            (&["rediss", "valkeys"], Scheme::RedisTls),
            (&["unix", "redis+unix", "valkey+unix"], Scheme::RedisUnix),
            (&["redis-sentinel", "valkey-sentinel"], Scheme::RedisSentinel),
            (&["rediss-sentinel", "valkeys-sentinel"], Scheme::RedisSentinelTls),
            (&["redis-cluster", "valkey-cluster"], Scheme::RedisCluster),
            (&["rediss-cluster", "valkeys-cluster"], Scheme::RedisClusterTls),
        ] {
            for scheme in schemes {
                assert_eq!(Scheme::of(&format!("{scheme}://x")).unwrap(), expected);
                assert_eq!(Scheme::of(&format!("{}://x", scheme.to_uppercase())).unwrap(), expected);
            }
        }
    }

    #[test]
    fn anything_else_is_refused_and_not_repeated() {
        for url in ["", "s3cr3t", "s3cr3t://x", "redis:/x", "redis+tls://x", "http://ann:s3cr3t@x", "://x"] {
            let error = Scheme::of(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
    }
}
