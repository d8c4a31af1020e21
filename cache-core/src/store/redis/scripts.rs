//! The scripts: Lua files, put together from shared parts.

use std::sync::LazyLock;

/// A script and the digest that Redis knows it by.
pub(in crate::store::redis) struct Script {
    pub(in crate::store::redis) source: &'static str,
    sha1: LazyLock<String>,
}

impl Script {
    const fn new(source: &'static str, sha1: fn() -> String) -> Self {
        Self { source, sha1: LazyLock::new(sha1) }
    }

    /// Hex SHA-1 of the source, as `EVALSHA` takes it.
    pub(in crate::store::redis) fn sha1(&self) -> &str {
        &self.sha1
    }
}

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)+) => {
        $(pub(in crate::store::redis) static $name: Script = {
            const SOURCE: &str = concat!($(include_str!(concat!("lua/", $file, ".lua"))),+);
            Script::new(SOURCE, || sha1_smol::Sha1::from(SOURCE).digest().to_string())
        };)+
        /// Every script, for the handshake to load.
        pub(in crate::store::redis) static ALL: &[&Script] = &[$(&$name),+];
    };
}

scripts! {
    TRIAL = "trial";
    TAKE_LEASE = "clock" "reading" "take_lease";
    RENEW_LEASE = "renew_lease";
    RELEASE_LEASE = "release_lease";
    DISCARD = "clock" "guard" "indexes" "discard";
    READ_CLOCK = "clock" "reading" "read_clock";
    MEET = "clock" "meet";
    MAKE_GOOD = "clock" "make_good";
    FILL = "clock" "guard" "fences" "indexes" "reaping" "admit" "filling" "fill";
    WRITE = "clock" "guard" "fences" "indexes" "cascade" "reaping" "admit" "filling" "write";
    INVALIDATE = "clock" "guard" "fences" "indexes" "cascade" "invalidate";
    SWEEP = "clock" "guard" "fences" "indexes" "cascade" "sweep";
    REAP = "clock" "guard" "fences" "indexes" "reaping" "reap";
}
