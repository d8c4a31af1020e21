//! What the server's facts mean.

use std::time::Duration;

use super::Facts;
use super::finding::{Finding, Severity};
use super::server::Info;

/// The clocks of hosts differ by a few milliseconds; lifetimes are seconds.
const SKEW_MAX: Duration = Duration::from_secs(1);
/// No script of the library holds the server longer than 2 ms, whatever the size of a tag.
const SCRIPT_MEAN_US_MAX: f64 = 2_000.0;
const SCRIPT_P99_US_MAX: f64 = 10_000.0;
/// Fewer calls tell nothing.
const SCRIPT_CALLS_MIN: f64 = 10.0;
const FULL_PERCENT: u64 = 95;
const CLIENTS_PERCENT: u64 = 90;
/// The oldest server that the cache uses.
const VERSION_MIN: (u64, u64) = (7, 0);

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let found = [
        version(facts),
        role(&facts.server, &facts.replication),
        policy(&facts.memory),
        fullness(&facts.memory),
        limit(&facts.memory),
        clients(&facts.clients),
        scripts(facts),
        skew(facts),
        bookkeeping(facts),
    ];
    found.into_iter().flatten().collect()
}

fn version(facts: &Facts) -> Option<Finding> {
    let mut numbers = facts.server.text("redis_version")?.split('.').map(|number| number.parse().unwrap_or(0));
    let version: (u64, u64) = (numbers.next()?, numbers.next()?);
    (version < VERSION_MIN).then(|| {
        Finding::new(
            "version",
            Severity::Critical,
            format!("the server is Redis {}.{}", version.0, version.1),
            "the cache does not use it: every call loads",
            "use Redis 7.0 or later, or Valkey",
        )
    })
}

fn role(server: &Info, replication: &Info) -> Option<Finding> {
    let means = "the cache does not use it: every call loads";
    // Valkey calls it otherwise.
    if server.text("redis_mode").or(server.text("server_mode")) == Some("cluster") {
        let title = "the server is a node of a Redis Cluster";
        return Some(Finding::new(
            "cluster",
            Severity::Critical,
            title,
            means,
            "give the URL of the cluster: redis-cluster:// and one of its nodes",
        ));
    }
    (replication.text("role") == Some("slave")).then(|| {
        let to_do = "give the URL of the primary, or of its sentinels";
        Finding::new("replica", Severity::Critical, "the server is a replica", means, to_do)
    })
}

fn policy(memory: &Info) -> Option<Finding> {
    let policy = memory.text("maxmemory_policy").filter(|policy| policy.starts_with("allkeys-"))?;
    Some(Finding::new(
        "eviction_policy",
        Severity::Critical,
        format!("the eviction policy is {policy}"),
        "the server may evict an index and keep the entries that only it leads to: an invalidation misses them, and \
         old values are served",
        "CONFIG SET maxmemory-policy volatile-lru (or noeviction)",
    ))
}

fn fullness(memory: &Info) -> Option<Finding> {
    let (used, max) = (memory.number("used_memory")?, memory.number("maxmemory").filter(|max| *max > 0)?);
    (used * 100 >= max * FULL_PERCENT).then(|| {
        Finding::new(
            "memory_full",
            Severity::Warning,
            format!("{used} bytes of {max} are used"),
            "fills are refused or entries are evicted early: calls load more often than they need to",
            "raise maxmemory, or choose shorter lifetimes; `memory` below says which prefix takes most",
        )
    })
}

fn limit(memory: &Info) -> Option<Finding> {
    (memory.number("maxmemory") == Some(0)).then(|| {
        Finding::new(
            "no_memory_limit",
            Severity::Note,
            "the server has no memory limit",
            "if it outgrows its machine, the system ends it",
            "CONFIG SET maxmemory, with maxmemory-policy volatile-lru",
        )
    })
}

fn clients(clients: &Info) -> Option<Finding> {
    let (connected, max) = (clients.number("connected_clients")?, clients.number("maxclients")?);
    (connected * 100 >= max * CLIENTS_PERCENT).then(|| {
        Finding::new(
            "clients",
            Severity::Warning,
            format!("{connected} clients are connected, of {max} at most"),
            "new processes get no connection, and their calls load",
            "raise maxclients, or lower the cache's `connections`",
        )
    })
}

fn scripts(facts: &Facts) -> Option<Finding> {
    let calls = facts.commands.part("cmdstat_evalsha", "calls")?;
    let mean = facts.commands.part("cmdstat_evalsha", "usec_per_call")?;
    let p99 = facts.latencies.part("latency_percentiles_usec_evalsha", "p99").unwrap_or_default();
    let is_slow = mean > SCRIPT_MEAN_US_MAX || p99 > SCRIPT_P99_US_MAX;
    (calls >= SCRIPT_CALLS_MIN && is_slow).then(|| {
        Finding::new(
            "slow_scripts",
            Severity::Warning,
            format!("scripts take {mean:.0} µs on average, and one in a hundred {p99:.0} µs"),
            "while a script runs, the server answers nobody. Those of the cache are bounded to about 2 ms: the \
             machine is too busy, or other programs run longer ones",
            "look at SLOWLOG GET, and at whether the machine swaps or shares its cores",
        )
    })
}

fn skew(facts: &Facts) -> Option<Finding> {
    let (skew_ms, round_trip) = (facts.skew_ms?, facts.round_trip);
    let at_least = Duration::from_millis(skew_ms.unsigned_abs()).saturating_sub(round_trip);
    (at_least > SKEW_MAX).then(|| {
        Finding::new(
            "clock",
            Severity::Warning,
            format!("the server's clock is {skew_ms} ms ahead of this machine's"),
            "entries are judged by the clocks of the hosts: on one that is ahead they are stale too early, on one \
             that is behind too late. What was invalidated is never served for it",
            "let chrony or ntpd keep the clocks of all hosts",
        )
    })
}

fn bookkeeping(facts: &Facts) -> Option<Finding> {
    let kind = facts.clock_type.as_deref().filter(|kind| !matches!(*kind, "zset" | "none"))?;
    Some(Finding::new(
        "bookkeeping",
        Severity::Critical,
        format!("another program has written a {kind} over the cache's clock"),
        "every process refuses its fills until one has replaced it, and it may happen again",
        "give that program keys outside of the namespace",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(server: &str) -> Facts {
        let info = Info::read(server);
        Facts {
            server: info.clone(),
            memory: info.clone(),
            clients: info.clone(),
            replication: info.clone(),
            commands: info.clone(),
            latencies: info,
            ..Facts::default()
        }
    }

    fn ids(facts: &Facts) -> Vec<&'static str> {
        findings(facts).iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn each_fault_is_found_and_a_sound_server_has_none() {
        let sound = "redis_version:7.0.15\nredis_mode:standalone\nrole:master\nmaxmemory:100\nused_memory:94\n\
                     maxmemory_policy:volatile-lru\nconnected_clients:89\nmaxclients:100\n\
                     cmdstat_evalsha:calls=10,usec_per_call=2000\nlatency_percentiles_usec_evalsha:p99=10000";
        assert_eq!(ids(&facts(sound)), [""; 0]);
        for (was, is, id) in [
            ("7.0.15", "6.2.14", "version"),
            ("standalone", "cluster", "cluster"),
            ("role:master", "role:slave", "replica"),
            ("volatile-lru", "allkeys-lfu", "eviction_policy"),
            ("used_memory:94", "used_memory:95", "memory_full"),
            ("maxmemory:100", "maxmemory:0", "no_memory_limit"),
            ("clients:89", "clients:90", "clients"),
            ("call=2000", "call=2001", "slow_scripts"),
            ("p99=10000", "p99=10001", "slow_scripts"),
        ] {
            assert!(sound.contains(was), "{was}");
            assert_eq!(ids(&facts(&sound.replace(was, is))), [id], "{is}");
        }
        assert_eq!(ids(&facts("")), [""; 0], "a server that says nothing");
    }

    #[test]
    fn a_clock_is_wrong_by_more_than_the_answer_took() {
        let with = |skew_ms, round_trip_ms| Facts {
            skew_ms: Some(skew_ms),
            round_trip: Duration::from_millis(round_trip_ms),
            ..Facts::default()
        };
        assert_eq!(ids(&with(1_001, 0)), ["clock"]);
        assert_eq!(ids(&with(-5_000, 100)), ["clock"]);
        assert_eq!((ids(&with(1_000, 0)), ids(&with(1_500, 600))), (vec![], vec![]));
    }

    #[test]
    fn a_clock_of_another_type_is_found() {
        let with = |kind: &str| Facts { clock_type: Some(kind.to_owned()), ..Facts::default() };
        assert_eq!((ids(&with("zset")), ids(&with("none")), ids(&with("list"))), (vec![], vec![], vec!["bookkeeping"]));
    }
}
