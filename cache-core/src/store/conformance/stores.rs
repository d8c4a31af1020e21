//! The stores that each test runs on.

macro_rules! on_every_store {
    ($($name:ident)+) => {
        each_of_one_partition! { $($name)+ }
        mod four_partitions {
            $(#[tokio::test] async fn $name() { super::$name(super::Rig::of_partitions(4)).await })+
        }
        mod sixteen_partitions {
            $(#[tokio::test] async fn $name() { super::$name(super::Rig::of_partitions(16)).await })+
        }
        #[cfg(feature = "redis")]
        mod redis_of_four {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Rig::redis_of("CACHE_TEST_REDIS_URL", 4).await).await
            })+
        }
        #[cfg(feature = "redis")]
        mod valkey_of_four {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Rig::redis_of("CACHE_TEST_VALKEY_URL", 4).await).await
            })+
        }
        #[cfg(feature = "redis")]
        mod redis_cluster_of_sixteen {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Rig::redis_of("CACHE_TEST_REDIS_CLUSTER_URL", 16).await).await
            })+
        }
        #[cfg(feature = "redis")]
        mod valkey_cluster_of_sixteen {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Rig::redis_of("CACHE_TEST_VALKEY_CLUSTER_URL", 16).await).await
            })+
        }
    };
}

/// What is about a single script, or about a limit of a single partition.
macro_rules! on_one_partition {
    ($($name:ident)+) => {
        mod one_partition {
            use super::*;
            each_of_one_partition! { $($name)+ }
        }
    };
}

macro_rules! each_of_one_partition {
    ($($name:ident)+) => {
        mod embedded {
            $(#[tokio::test] async fn $name() { super::$name(super::Rig::of_partitions(1)).await })+
        }
        #[cfg(feature = "redis")]
        mod redis {
            $(#[tokio::test] async fn $name() { super::$name(super::Rig::redis("CACHE_TEST_REDIS_URL").await).await })+
        }
        #[cfg(feature = "redis")]
        mod valkey {
            $(#[tokio::test] async fn $name() { super::$name(super::Rig::redis("CACHE_TEST_VALKEY_URL").await).await })+
        }
        #[cfg(feature = "redis")]
        mod redis_cluster {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Rig::redis("CACHE_TEST_REDIS_CLUSTER_URL").await).await
            })+
        }
        #[cfg(feature = "redis")]
        mod valkey_cluster {
            $(#[tokio::test] async fn $name() {
                super::$name(super::Rig::redis("CACHE_TEST_VALKEY_CLUSTER_URL").await).await
            })+
        }
    };
}
