//! Servers, faults and forced races for the black-box tests.
//!
//! `cargo xtask test` starts the shared servers and says where they and their programs are (see
//! [`env`]). A missing server fails a test; it is never skipped in silence.

mod cluster_set;
mod crowd;
mod data;
mod env;
mod fault_proxy;
mod gate;
mod hostile;
mod log;
mod near_crowd;
mod panics;
mod port;
mod probe;
mod sentinel_set;
mod server;
mod test_store;
mod worker;
mod world;

pub use cluster_set::{ClusterSet, NODE_TIMEOUT, PRIMARIES, SlotMove, home_of, node_id, slot_of};
pub use crowd::{Crowd, Message, Tally, crowd_main};
pub use data::Data;
pub use env::{FOREVER, PATIENCE, ServerKind, prometheus, run, until, varnish};
pub use fault_proxy::{Fault, FaultProxy};
pub use gate::Gate;
pub use hostile::hostile_texts;
pub use log::{Log, LogGuard};
pub use near_crowd::{NearCrowd, NearRun, NearTally, near_main};
pub use panics::count_panics;
pub use probe::Probe;
pub use sentinel_set::{DOWN_AFTER, PRIMARY, SentinelSet};
pub use server::{Server, ServerOptions};
pub use test_store::{Raw, TestStore, ready};
pub use worker::{Worker, worker_main};
pub use world::{COMMIT, COMMITTED, PAUSE, Source, World};

/// The driver, for assertions on what really is in a server.
pub use redis;

/// Runs each test body on every store: `claim::embedded`, `claim::redis` and `claim::valkey`.
///
/// Every run has a namespace of its own and fails after three minutes instead of
/// hanging. Bodies run on a current-thread runtime; `#![multi_thread]` as the first line
/// gives them two worker threads.
///
/// ```
/// use cache_tests::{TestStore, each_store};
///
/// each_store! {
///     /// Why this matters.
///     async fn a_claim_that_holds_everywhere(store: TestStore) {
///         assert!(!store.namespace().is_empty());
///     }
/// }
/// ```
#[macro_export]
macro_rules! each_store {
    ($($tests:tt)*) => { $crate::__tests! { [embedded redis valkey] $($tests)* } };
}

/// As [`each_store!`], and on stores with several partitions: `claim::four_partitions`,
/// `claim::sixteen_partitions`, `claim::redis_cluster` and `claim::valkey_cluster`. For claims
/// about what is stale, which a protocol of several partitions could break.
#[macro_export]
macro_rules! each_layout {
    ($($tests:tt)*) => {
        $crate::__tests! { [embedded four_partitions sixteen_partitions redis valkey redis_cluster valkey_cluster] $($tests)* }
    };
}

/// As [`each_server!`], and on clusters: `claim::redis_cluster` and `claim::valkey_cluster`. For
/// claims about what servers decide, which several nodes could decide otherwise.
#[macro_export]
macro_rules! each_deployment {
    ($($tests:tt)*) => { $crate::__tests! { [redis valkey redis_cluster valkey_cluster] $($tests)* } };
}

/// Runs each test body on every server, for claims about several processes or about bytes:
/// `claim::redis` and `claim::valkey`. Otherwise like [`each_store!`].
#[macro_export]
macro_rules! each_server {
    ($($tests:tt)*) => { $crate::__tests! { [redis valkey] $($tests)* } };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ($stores:tt #![multi_thread] $($tests:tt)*) => { $crate::__tests! { @each $stores 2 $($tests)* } };
    (@each $stores:tt $workers:tt) => {};
    (@each $stores:tt $workers:tt
        $(#[$attribute:meta])* async fn $name:ident($store:ident: $type:ty) $body:block $($rest:tt)*
    ) => {
        $(#[$attribute])*
        async fn $name($store: $type) $body
        $crate::__tests! { @one $stores $workers $name }
        $crate::__tests! { @each $stores $workers $($rest)* }
    };
    (@one [$($kind:ident)*] $workers:tt $name:ident) => {
        mod $name {
            $(
                #[test]
                fn $kind() {
                    $crate::run($workers, async { super::$name($crate::TestStore::$kind()).await });
                }
            )*
        }
    };
    ($stores:tt $($tests:tt)*) => { $crate::__tests! { @each $stores 0 $($tests)* } };
}
