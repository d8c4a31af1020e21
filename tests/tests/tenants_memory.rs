//! What a tenant takes of this process's memory.

use std::alloc::System;
use std::convert::Infallible;

use cache_core::Cache;
use cache_tests::{Server, ServerKind, ServerOptions, TestStore, ready};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TENANTS: usize = 500;

fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

async fn use_each(cache: &Cache, calls: usize) {
    for name in 0..TENANTS {
        let tenant = cache.tenant(name.to_string()).unwrap();
        for _ in 0..calls {
            let load = || async { Ok::<_, Infallible>(1) };
            assert_eq!(tenant.get_or_load("answer", load).await, Ok(1));
        }
    }
}

/// One test: the allocator counts the threads of all.
#[tokio::test]
async fn an_open_tenant_takes_so_much() {
    let server = Server::with(ServerKind::Redis, ServerOptions::new());
    let (embedded, redis) = (TestStore::embedded(), TestStore::redis());
    for (name, builder, most) in
        [("embedded", embedded.builder(), 32), ("redis", redis.builder().url(server.url()), 32)]
    {
        let cache = ready(builder).await;
        let before = allocated();
        use_each(&cache, 0).await;
        let open = (allocated() - before) / TENANTS;
        use_each(&cache, 2).await;
        let each = (allocated() - before) / TENANTS;
        println!("{name}: a tenant takes {open} bytes when it is opened, and {each} when it has one entry");
        assert!(each < most << 10, "{name}: {each} bytes for each tenant");
    }
}
