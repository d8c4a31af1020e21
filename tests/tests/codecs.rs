//! Codecs and compressions, by function, by type and by cache: each entry is read as it was
//! written, by whoever can, and what cannot be read is a miss that says why.

use std::collections::BTreeMap;

use cache_core::{Cache, Cacheable, Compression, Format, cached};
use cache_tests::{TestStore, each_server, each_store, ready};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flight {
    id: u64,
    origin: String,
    stops: Vec<Option<u16>>,
    fares: BTreeMap<u32, f64>,
}

impl Flight {
    fn of(id: u64) -> Self {
        Self { id, origin: "DFW".repeat(4_000), stops: vec![None, Some(1)], fares: BTreeMap::from([(1, 0.1)]) }
    }
}

/// One function in several versions of a program: of one prefix, and each with another option.
macro_rules! versions {
    ($($version:ident($($option:tt)*);)*) => {$(
        mod $version {
            use super::*;

            #[cached(prefix = "flight", ttl = "1h", negative_ttl = "1h", $($option)*)]
            pub(super) async fn flight(id: u64) -> Option<Flight> {
                (id != 0).then(|| Flight::of(id))
            }
        }
    )*};
}

versions! {
    plain();
    json(codec = "json");
    postcard(codec = "postcard");
    rmp(codec = "rmp");
    lz4(compress);
    small(codec = "postcard", compress = "lz4");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "1h", codec = "postcard", compress)]
struct Declared {
    text: String,
}

#[cached(prefix = "declared")]
async fn declared(id: u64) -> Declared {
    Declared { text: format!("{id}").repeat(10_000) }
}

#[cached(prefix = "undeclared", codec = "json", compress = "none")]
async fn declared_otherwise(id: u64) -> Declared {
    Declared { text: format!("{id}").repeat(10_000) }
}

#[cached(prefix = "default", ttl = "1h")]
async fn by_default(id: u64) -> Vec<u64> {
    vec![id; 10_000]
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<u8>,
    other: Option<u8>,
}

#[cached(prefix = "sparse", ttl = "1h", codec = "postcard")]
async fn sparse(id: u8) -> Sparse {
    Sparse { note: (id > 100).then_some(id), other: Some(id) }
}

fn reasons(cache: &Cache, prefix: &str) -> Vec<(&'static str, u64)> {
    cache.stats().prefix(prefix).bad_entries_by_reason().map(|reason| (reason.reason, reason.count)).collect()
}

async fn packing(cache: &Cache, key: &str) -> (String, Option<String>, u64) {
    let entry = cache.explain(key).await.unwrap().entry.expect("an entry");
    (entry.codec, entry.compression, entry.payload_bytes)
}

each_store! {
    /// Every version reads what every other one wrote, so none of them loads.
    async fn versions_of_a_program_with_other_codecs_read_each_other(store: TestStore) {
        let cache = store.cache().await;
        macro_rules! written_by {
            ($($writer:ident)*) => {$({
                cache.clear().await.unwrap();
                let writer = cache.peer();
                for id in [0, 1] {
                    assert_eq!(writer.scope($writer::flight(id)).await, (id != 0).then(|| Flight::of(id)));
                }
                written_by!(@read $writer plain json postcard rmp lz4 small);
            })*};
            (@read $writer:ident $($reader:ident)*) => {$({
                let reader = cache.peer();
                for id in [0, 1] {
                    assert_eq!(reader.scope($reader::flight(id)).await, (id != 0).then(|| Flight::of(id)));
                }
                let stats = reader.stats().prefix("flight");
                let named = concat!(stringify!($writer), " read by ", stringify!($reader));
                assert_eq!((stats.hits, stats.loads, stats.bad_entries), (2, 0, 0), "{named}");
            })*};
        }
        written_by!(plain json postcard rmp lz4 small);
    }

    async fn an_entry_says_how_it_is_written(store: TestStore) {
        let cache = store.cache().await;
        macro_rules! says {
            ($($version:ident: $codec:literal, $compression:expr;)*) => {$({
                cache.clear().await.unwrap();
                cache.peer().scope($version::flight(1)).await;
                let (codec, compression, _) = packing(&cache, "flight:1").await;
                assert_eq!((&*codec, compression.as_deref()), ($codec, $compression), stringify!($version));
            })*};
        }
        says! {
            plain: "json", None;
            postcard: "postcard", None;
            rmp: "rmp", None;
            lz4: "json", Some("lz4");
            small: "postcard", Some("lz4");
        }
    }

    async fn a_type_says_how_its_values_are_written_and_a_function_may_say_otherwise(store: TestStore) {
        let cache = store.cache().await;
        cache.scope(declared(1)).await;
        cache.scope(declared_otherwise(1)).await;
        let (codec, compression, bytes) = packing(&cache, "declared:1").await;
        assert_eq!((&*codec, compression.as_deref()), ("postcard", Some("lz4")));
        assert!(bytes < 500, "{bytes}");
        let (codec, compression, bytes) = packing(&cache, "undeclared:1").await;
        assert_eq!((&*codec, compression), ("json", None));
        assert!(bytes > 10_000, "{bytes}");
        assert_eq!(cache.scope(declared(1)).await.text.len(), 10_000);
        assert_eq!(cache.stats().prefix("declared").loads, 1);
    }

    /// At the threshold, and one byte below.
    async fn a_value_is_compressed_from_the_threshold_on(store: TestStore) {
        let bytes = serde_json::to_vec(&by_default(7).await).unwrap().len();
        for (threshold, is_compressed) in [(bytes, true), (bytes + 1, false)] {
            let builder = store.builder().codec(Format::Json).compress(Compression::Lz4);
            let cache = ready(builder.compress_bytes_min(threshold)).await;
            cache.scope(by_default(7)).await;
            let (_, compression, stored) = packing(&cache, "default:7").await;
            assert_eq!(compression.is_some(), is_compressed, "{threshold}");
            assert_eq!(stored < 1_000, is_compressed, "{stored}");
            cache.clear().await.unwrap();
        }
    }

    /// Larger than what is stored may be, and small when it is compressed; and one byte more than
    /// what a reader would take.
    async fn a_compressed_value_may_inflate_to_the_limit_and_not_beyond(store: TestStore) {
        let bytes = serde_json::to_vec(&by_default(7).await).unwrap().len();
        for (inflated, is_stored) in [(bytes, true), (bytes - 1, false)] {
            let builder = store.builder().compress(Compression::Lz4).value_bytes_max(1_000);
            let cache = ready(builder.inflated_bytes_max(inflated)).await;
            for _ in 0..2 {
                assert_eq!(cache.scope(by_default(7)).await.len(), 10_000);
            }
            let stats = cache.stats().prefix("default");
            assert_eq!((stats.hits == 1, stats.loads == 1), (is_stored, is_stored), "{inflated}");
            cache.clear().await.unwrap();
        }
    }

    /// Nobody would read it compressed.
    async fn a_value_beyond_what_may_inflate_is_stored_as_it_is(store: TestStore) {
        let bytes = serde_json::to_vec(&by_default(7).await).unwrap().len();
        let cache = ready(store.builder().compress(Compression::Lz4).inflated_bytes_max(bytes - 1)).await;
        for _ in 0..2 {
            assert_eq!(cache.scope(by_default(7)).await.len(), 10_000);
        }
        let stats = cache.stats().prefix("default");
        assert_eq!((stats.loads, stats.hits), (1, 1));
        let (_, compression, stored) = packing(&cache, "default:7").await;
        assert_eq!((compression, stored), (None, bytes as u64));
    }

    /// What counts is what would be stored.
    async fn a_value_that_is_too_large_even_compressed_is_not_stored(store: TestStore) {
        for (value_bytes_max, is_stored) in [(1_000, true), (100, false)] {
            let cache = ready(store.builder().compress(Compression::Lz4).value_bytes_max(value_bytes_max)).await;
            cache.scope(by_default(7)).await;
            let explanation = cache.explain("default:7").await.unwrap();
            assert_eq!(explanation.entry.is_some(), is_stored, "{value_bytes_max}");
            let why = explanation.unstored.map(|unstored| unstored.reason);
            assert_eq!(why, (!is_stored).then(|| "it is larger than value_bytes_max".to_owned()));
            cache.clear().await.unwrap();
        }
    }

    /// Its second field would be read as the first one.
    async fn a_value_that_postcard_would_change_is_not_stored(store: TestStore) {
        let cache = store.cache().await;
        for id in [1, 1, 200, 200] {
            assert_eq!(cache.scope(sparse(id)).await.other, Some(id));
        }
        let stats = cache.stats().prefix("sparse");
        assert_eq!((stats.loads, stats.hits, stats.unstored), (3, 1, 2));
        let why = cache.explain("sparse:1").await.unwrap().unstored.expect("a reason");
        assert_eq!(why.reason, "it cannot be encoded");
    }
}

each_server! {
    /// One version of the library to the next: what it wrote without options is what it writes now.
    async fn without_options_an_entry_is_plain_json_byte_for_byte(store: TestStore) {
        let cache = store.cache().await;
        cache.scope(plain::flight(1)).await;
        let bytes = store.raw().await.get(&format!("{}:flight:1", store.namespace())).await.unwrap();
        assert_eq!(bytes[..4], [2, 1, 0, 0]);
        let payload = serde_json::to_vec(&Flight::of(1)).unwrap();
        assert_eq!(bytes[56..bytes.len() - 4], payload, "no names, the payload, the checksum");
    }

    /// The checksum is right, so somebody wrote it so, or a version that knows more.
    async fn what_cannot_be_read_is_a_miss_with_a_reason_and_is_stored_over(store: TestStore) {
        let mut raw = store.raw().await;
        let key = format!("{}:flight:1", store.namespace());
        store.cache().await.peer().scope(lz4::flight(1)).await;
        let good = raw.get(&key).await.unwrap();
        let forged = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good[..good.len() - 4].to_vec();
            change(&mut bytes);
            let checksum = crc32(&bytes);
            [&bytes[..], &checksum.to_le_bytes()].concat()
        };
        let cases: [(&str, Vec<u8>); 6] = [
            ("unknown_codec", forged(&|bytes| bytes[1] = 77)),
            ("unknown_compression", forged(&|bytes| bytes[3] = 77)),
            ("unknown_key", forged(&|bytes| bytes[2] |= 4)),
            ("inflates_too_far", forged(&|bytes| bytes[56..60].fill(0xff))),
            ("uninflatable", forged(&|bytes| bytes[60] ^= 0xff)),
            ("undecodable", forged(&|bytes| bytes[1] = 2)),
        ];
        for (reason, bytes) in cases {
            raw.set(&key, &bytes).await;
            let cache = store.another_process().await;
            assert_eq!(cache.scope(lz4::flight(1)).await, Some(Flight::of(1)));
            assert_eq!(reasons(&cache, "flight"), [(reason, 1)]);
            let stats = cache.stats().prefix("flight");
            assert_eq!((stats.loads, stats.fills, stats.bad_entries), (1, 1, 1), "{reason}");
            assert_eq!(cache.scope(lz4::flight(1)).await, Some(Flight::of(1)));
            assert_eq!(cache.stats().prefix("flight").hits, 1, "{reason}: it was stored over");
            // Nothing is stored over by who only looks, so the reason stays.
            raw.set(&key, &bytes).await;
            assert_eq!(cache.peek(lz4::flight::key(&1)).await.unwrap(), None);
            let explanation = cache.explain("flight:1").await.unwrap();
            assert!(explanation.unreadable.is_some(), "{explanation}");
            assert!(explanation.to_string().contains("stored bytes were not served"), "{explanation}");
        }
    }
}

/// IEEE, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}
