//! The scripts: Lua files, put together from shared parts.

use std::borrow::Cow;
use std::sync::LazyLock;

/// A script and the digest that Redis knows it by.
pub(in crate::store::redis) struct Script {
    pub(in crate::store::redis) source: &'static str,
    /// Begins with `time.lua`: its second argument is the mark of the primary, which the connection
    /// knows.
    pub(in crate::store::redis) knows_the_clock: bool,
    sha1: LazyLock<String>,
}

impl Script {
    const fn new(source: &'static str, knows_the_clock: bool, sha1: fn() -> String) -> Self {
        Self { source, knows_the_clock, sha1: LazyLock::new(sha1) }
    }

    /// What is sent.
    #[cfg(not(cache_ablation))]
    pub(in crate::store::redis) fn text(&self) -> Cow<'static, str> {
        self.source.into()
    }

    #[cfg(cache_ablation)]
    pub(in crate::store::redis) fn text(&self) -> Cow<'static, str> {
        super::ablation::in_force(self.source)
    }

    /// Hex SHA-1 of the source, as `EVALSHA` takes it.
    pub(in crate::store::redis) fn sha1(&self) -> &str {
        &self.sha1
    }
}

macro_rules! scripts {
    ($(#[$doc:meta])* $all:ident; $($name:ident = $($file:literal)+;)+) => {
        $(pub(in crate::store::redis) static $name: Script = {
            const SOURCE: &str = concat!($(include_str!(concat!("lua/", $file, ".lua"))),+);
            const KNOWS_THE_CLOCK: bool = matches!([$($file),+][0].as_bytes(), b"time");
            Script::new(SOURCE, KNOWS_THE_CLOCK, || sha1_smol::Sha1::from(&*$name.text()).digest().to_string())
        };)+
        $(#[$doc])*
        pub(in crate::store::redis) static $all: &[&Script] = &[$(&$name),+];
    };
}

scripts! {
    /// For the handshake to load.
    ALL;
    TRIAL = "trial";
    TAKE_LEASE = "time" "grant" "clock" "reading" "take_lease";
    RENEW_LEASE = "renew_lease";
    RELEASE_LEASE = "release_lease";
    DISCARD = "time" "clock" "guard" "indexes" "discard";
    READ_CLOCK = "time" "clock" "reading" "read_clock";
    MEET = "time" "clock" "meet";
    MAKE_GOOD = "time" "clock" "make_good";
    FILL = "time" "filling" "registering" "fill_new" "clock" "guard" "fences" "indexes" "reaping" "storing" "closings" "fill";
    WRITE = "time" "opening" "filling" "write_alone" "registering" "write_usual" "clock" "guard" "fences" "indexes" "closings" "cascade" "reaping" "storing" "partitions" "encounter" "write";
    INVALIDATE = "time" "invalidate_key" "clock" "guard" "fences" "indexes" "closings" "cascade" "partitions" "encounter" "invalidate";
    CLOSE = "time" "clock" "guard" "closings" "close" "invalidate_key" "fences" "indexes" "cascade" "partitions" "encounter" "invalidate";
    OPEN = "time" "clock" "guard" "closings" "open" "invalidate_key" "fences" "indexes" "cascade" "partitions" "encounter" "invalidate";
    SWEEP = "time" "clock" "guard" "fences" "indexes" "closings" "cascade" "partitions" "encounter" "sweep";
    EXPLAIN = "time" "indexes" "closings" "explain";
    PREVIEW = "time" "indexes" "preview";
    FOLLOWED = "followed";
    REAP = "time" "clock" "guard" "fences" "indexes" "reaping" "reap";
}

scripts! {
    /// Those that several partitions need beside the others.
    OF_PARTITIONS;
    REGISTER = "time" "clock" "guard" "closings" "partitions" "marking" "register";
    SETTLE = "time" "clock" "guard" "settle";
    LOOK = "time" "clock" "guard" "fences" "partitions" "look";
    ASK = "time" "clock" "guard" "fences" "ask";
    STATE = "time" "clock" "guard" "partitions" "state";
    ADOPT = "time" "clock" "guard" "partitions" "adopt";
    LIST = "time" "clock" "guard" "list";
    NOTE_LISTED = "time" "clock" "guard" "partitions" "marking" "note_listed";
}

/// What the handshake loads on nodes of a cluster.
pub(in crate::store::redis) fn of_partitions() -> &'static [&'static Script] {
    static EACH: LazyLock<Vec<&Script>> = LazyLock::new(|| [ALL, OF_PARTITIONS].concat());
    &EACH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FENCES_MAX, INVALIDATE_MEMBERS_PER_CHUNK, REACHED_NAMES_MAX};

    /// They are no arguments, because each argument costs a call as much as a small command.
    #[test]
    fn limits_of_the_scripts_are_those_of_the_configuration() {
        let limits = format!("local fences_max, visits_max = {FENCES_MAX}, {INVALIDATE_MEMBERS_PER_CHUNK}\n");
        assert!(INVALIDATE.source.contains(&limits), "{limits}");
        let reached = format!("local reached_max = {REACHED_NAMES_MAX}\n");
        assert!(INVALIDATE.source.contains(&reached), "{reached}");
    }
}
