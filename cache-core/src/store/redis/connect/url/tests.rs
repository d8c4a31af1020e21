use proptest::prelude::*;

use super::*;
use crate::error::{Error, ErrorKind};

const SECRET: &str = "s3cr3t";

fn parse(url: &str) -> ServerUrl {
    ServerUrl::parse(url).unwrap_or_else(|fault| panic!("{url}: {}", fault.message))
}

fn place_of(host: &str, port: u16) -> HostPort {
    HostPort { host: host.to_owned(), port }
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { place: place_of(host, port), tls: false }
}

#[test]
fn addresses_and_databases() {
    for (url, address, database) in [
        ("redis://localhost", tcp("localhost", 6379), 0),
        ("redis://localhost/", tcp("localhost", 6379), 0),
        ("redis://127.0.0.1:7000/3", tcp("127.0.0.1", 7000), 3),
        ("redis://[::1]:7000", tcp("::1", 7000), 0),
        ("valkey://cache.example/15", tcp("cache.example", 6379), 15),
        ("redis://localhost?protocol=resp3", tcp("localhost", 6379), 0),
        ("redis://localhost/2?protocol=3", tcp("localhost", 6379), 2),
        ("redis+unix:///run/redis.sock", Address::Unix("/run/redis.sock".into()), 0),
        ("REDIS://localhost", tcp("localhost", 6379), 0),
        ("Valkey+Unix:///run/Redis.sock", Address::Unix("/run/Redis.sock".into()), 0),
        ("unix:///run/redis.sock?db=4", Address::Unix("/run/redis.sock".into()), 4),
    ] {
        let target = parse(url);
        assert_eq!((target.address, target.database), (address, database), "{url}");
    }
}

#[test]
fn users_and_passwords_are_percent_decoded() {
    for (url, user, password) in [
        ("redis://localhost", None, None),
        ("redis://:pw@localhost", None, Some("pw")),
        ("redis://ann:pw@localhost", Some("ann"), Some("pw")),
        ("redis://ann:p%40%3A%2F%3F%23w@localhost:1/1", Some("ann"), Some("p@:/?#w")),
        ("redis+unix:///run/redis.sock?user=ann&pass=p%40w", Some("ann"), Some("p@w")),
    ] {
        let target = parse(url);
        assert_eq!((target.user.as_deref(), target.password.as_deref()), (user, password), "{url}");
    }
}

#[test]
fn wrong_urls_are_configuration_errors_that_repeat_nothing() {
    for (url, expected) in [
        ("", "unknown scheme"),
        ("localhost:6379", "unknown scheme"),
        ("http://ann:s3cr3t@localhost", "unknown scheme"),
        ("s3cr3t://localhost", "unknown scheme"),
        ("redis:/localhost", "unknown scheme"),
        ("redis://ann:s3cr3t@localhost:70000", "malformed"),
        ("redis://ann:s3cr3t@localhost:port", "malformed"),
        ("redis://ann:s3cr3t@localhost:0", "malformed"),
        ("redis://ann:s3cr3t@", "malformed"),
        ("redis://", "malformed"),
        ("redis-sentinel://ann:s3cr3t@s1", "names the primary"),
        ("redis-sentinel://ann:s3cr3t@s1/", "names the primary"),
        ("redis-sentinel://ann:s3cr3t@s1,,s2/main", "malformed"),
        ("redis-sentinel://ann:s3cr3t@s1/main/x", "database"),
        ("redis://ann:s3cr3t@s1/0?sentinel_pass=s3cr3t", "unknown parameter"),
        ("redis://ann:s3cr3t%@loc alhost", "malformed"),
        ("redis://ann:s3cr3t%ff@localhost", "malformed"),
        ("redis://ann:s3cr3t/with-slash@localhost", "`/` is %2F"),
        ("redis://ann:s3cr3t#with-hash@localhost", "`#` is %23"),
        ("redis://:#s3cr3t@localhost:1/1", "`#` is %23"),
        ("redis://ann:s3cr3t?@localhost", "`?` is %3F"),
        ("redis://ann:s3cr3t@0.0.0.0", "wildcard"),
        ("redis://ann:s3cr3t@localhost/one", "database"),
        ("redis://ann:s3cr3t@localhost/-1", "database"),
        ("redis://ann:s3cr3t@localhost/1/2", "database"),
        ("redis://ann:s3cr3t@localhost/99999999999999999999", "database"),
        ("redis://ann:s3cr3t@localhost?db=1", "database"),
        ("redis+unix:///run/redis.sock?db=s3cr3t", "database"),
        ("redis+unix://host/run/redis.sock?pass=s3cr3t", "malformed"),
        ("redis://ann:s3cr3t@localhost?protocol=resp2", "resp3"),
        ("redis://ann:s3cr3t@localhost?s3cr3t=1", "unknown parameter"),
        ("redis://ann:s3cr3t@localhost#insecure", "fragment"),
        ("redis://ann:s3cr3t@localhost#s3cr3t", "fragment"),
    ] {
        let error = match ServerUrl::parse(url) {
            Ok(_) => panic!("{url} was accepted"),
            Err(fault) => Error::from(fault),
        };
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(expected), "{url}: {shown}");
        assert!(!shown.contains(SECRET), "{url}: {shown}");
    }
}

#[test]
fn nothing_shows_a_password() {
    let target = parse("redis://ann:s3cr3t@localhost/1");
    let shown = format!("{target:?} {}", target.address);
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!format!("{target:?}").contains("ann"));
}

#[cfg(not(feature = "tls"))]
#[test]
fn tls_without_its_feature_names_the_feature() {
    let fault = ServerUrl::parse("rediss://ann:s3cr3t@localhost").unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Config);
    assert!(fault.message.contains("feature `tls`") && !fault.message.contains(SECRET), "{}", fault.message);
}

#[cfg(feature = "tls")]
#[test]
fn tls_urls_are_the_same_with_encryption() {
    for scheme in ["rediss", "valkeys", "RedisS"] {
        let target = parse(&format!("{scheme}://ann:s3cr3t@cache.example/2"));
        assert_eq!(target.address, Address::Tcp { place: place_of("cache.example", 6379), tls: true });
        assert_eq!((target.database, target.password.as_deref()), (2, Some(SECRET)));
    }
    ServerUrl::parse("rediss://localhost#insecure").unwrap_err();
}

#[test]
fn sentinels_and_the_primary_that_they_know() {
    let of = |sentinels: &[(&str, u16)], primary: &str| Address::Sentinel {
        sentinels: sentinels.iter().map(|(host, port)| place_of(host, *port)).collect(),
        primary: primary.to_owned(),
        tls: false,
    };
    for (url, address, database) in [
        ("redis-sentinel://s1/main", of(&[("s1", 26379)], "main"), 0),
        ("redis-sentinel://s1:1,s2,[::1]:3/main", of(&[("s1", 1), ("s2", 26379), ("::1", 3)], "main"), 0),
        ("valkey-sentinel://s1,s2/my%20main/4", of(&[("s1", 26379), ("s2", 26379)], "my main"), 4),
    ] {
        let target = parse(url);
        assert_eq!((target.address, target.database), (address, database), "{url}");
    }
    let url = "redis-sentinel://ann:pw@s1/main?sentinel_user=bob&sentinel_pass=p%40w";
    let target = parse(url);
    assert_eq!((target.user.as_deref(), target.password.as_deref()), (Some("ann"), Some("pw")));
    assert_eq!(target.sentinel_login, (Some("bob".to_owned()), Some("p@w".to_owned())));
    assert_eq!(target.address.to_string(), "the primary \"main\" of the sentinels");
}

#[test]
fn the_nodes_of_a_cluster() {
    let of = |seeds: &[(&str, u16)]| Address::Cluster {
        seeds: seeds.iter().map(|(host, port)| place_of(host, *port)).collect(),
        tls: false,
    };
    for (url, address) in [
        ("redis-cluster://n1", of(&[("n1", 6379)])),
        ("redis-cluster://n1:1,n2,[::1]:3/", of(&[("n1", 1), ("n2", 6379), ("::1", 3)])),
        ("valkey-cluster://n1/0?partitions=1", of(&[("n1", 6379)])),
        ("redis-cluster://n1/?partitions=1&protocol=resp3", of(&[("n1", 6379)])),
    ] {
        let target = parse(url);
        assert_eq!((target.address, target.database), (address, 0), "{url}");
    }
    let target = parse("redis-cluster://ann:p%40w@n1,n2");
    assert_eq!((target.user.as_deref(), target.password.as_deref()), (Some("ann"), Some("p@w")));
    assert_eq!(target.address.to_string(), "the cluster of n1:6379, n2:6379");
    let many: Vec<String> = (0..=CLUSTER_SEEDS_MAX).map(|number| format!("n{number}")).collect();
    for (url, expected) in [
        ("redis-cluster://n1/1", "database 0"),
        ("redis-cluster://n1/?partitions=3", "power of two"),
        ("redis-cluster://n1/?partitions=0", "power of two"),
        ("redis-cluster://n1/?partitions=2048", "power of two"),
        ("redis-cluster://n1/?partitions=x", "power of two"),
        ("redis://n1/?partitions=1", "redis-cluster://"),
        ("redis-cluster://n1/?db=1", "path"),
        ("redis-cluster://n1,", "malformed"),
        (&format!("redis-cluster://{}", many.join(",")), "32 nodes"),
    ] {
        let fault = ServerUrl::parse(url).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::Config, "{url}");
        assert!(fault.message.contains(expected), "{url}: {}", fault.message);
    }
}

#[test]
fn no_name_of_a_place_begins_another_line() {
    for url in [
        "redis://a%0Ab",
        "redis+unix:///run/a%0d.sock",
        "redis-sentinel://s1%1B,s2/main",
        "redis://s1%00",
        "redis-cluster://n1,n%0A2",
    ] {
        assert!(ServerUrl::parse(url).is_err(), "{url}");
    }
    assert!(ServerUrl::parse("redis-sentinel://s1/main%0A").is_err());
    let fault = Fault::unavailable(["failed: ", "a\nb"].concat());
    assert_eq!(fault.message, r"failed: a\nb");
}

/// Nothing says one of the credentials, also if a character of the URL is one that has a meaning
/// there.
fn says_no_credential(url: &str) -> Result<(), TestCaseError> {
    let said = match ServerUrl::parse(url) {
        Ok(target) => format!("{target:?} {}", target.address),
        Err(fault) => {
            let debug = format!("{fault:?}");
            let error = Error::from(fault);
            format!("{debug} {error} {error:?} {:?}", std::error::Error::source(&error))
        }
    };
    prop_assert!(!said.contains(SECRET), "{}: {}", url, said);
    let said = format!("{:?}", crate::Cache::builder().url(url));
    prop_assert!(!said.contains(SECRET), "{}: {}", url, said);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_url_is_repeated_with_its_credentials(
        shape in prop::sample::select(vec![
            "redis://ann:s3cr3t@localhost:6379/1?protocol=resp3",
            "redis://s3cr3t:pw@localhost/1",
            "rediss://:s3cr3t@[::1]:7000",
            "redis+unix:///run/redis.sock?db=1&user=ann&pass=s3cr3t",
            "unix:///run/redis.sock?pass=s3cr3t&user=s3cr3t&db=1",
            "redis-sentinel://ann:s3cr3t@a:1,b:2/main/0?sentinel_user=bob&sentinel_pass=s3cr3t",
            "redis-cluster://ann:s3cr3t@a:1,b:2/?partitions=4",
            "memory://ann:s3cr3t@",
        ]),
        inserted in "[:/?#\\[\\]%&= \\n,@\\PC\u{202e}]{0,3}|%0A|%00|://|%40",
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(shape.len() + 1);
        says_no_credential(&[&shape[..at], &inserted, &shape[at..]].concat())?;
    }
}
