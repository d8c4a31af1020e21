//! The codec and the seal that the page `codecs.md` shows, at work.

use std::collections::HashMap;

use cache_core::{
    Cache, Codec, CodecError, CodecId, ErrorKind, Format, OpenError, Seal, SealedValue, TakeDecoded, cached,
    erased_serde,
};
use cache_tests::{TestStore, each_server, ready};
use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::de::{Deserialize, IgnoredAny};
use serde::{Deserialize as Derived, Serialize};

/// MessagePack without the names of fields.
struct Compact;

impl Codec for Compact {
    fn id(&self) -> CodecId {
        const { CodecId::new(1) }
    }

    fn is_self_describing(&self) -> bool {
        false // fields are known by their place
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, CodecError> {
        Ok(rmp_serde::to_vec(value)?)
    }

    fn decode<'de>(&self, bytes: &'de [u8], take: TakeDecoded<'_, 'de>) -> Result<(), CodecError> {
        let mut packed = rmp_serde::Deserializer::from_read_ref(bytes);
        packed.set_max_depth(128);
        take(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut packed))?;
        match IgnoredAny::deserialize(&mut packed) {
            Ok(_) => Err("there is more than one value".into()),
            Err(_) => Ok(()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Derived)]
struct Place {
    latitude: i32,
    longitude: i32,
}

#[cached(prefix = "place", ttl = "1h", codec = Compact)]
async fn place(id: u64) -> Place {
    Place { latitude: id as i32, longitude: 2 }
}

/// It has no form for anything.
struct Refusing;

impl Codec for Refusing {
    fn id(&self) -> CodecId {
        const { CodecId::new(2) }
    }

    fn is_self_describing(&self) -> bool {
        true
    }

    fn encode(&self, _: &dyn erased_serde::Serialize) -> Result<Vec<u8>, CodecError> {
        Err("it refuses".into())
    }

    fn decode<'de>(&self, _: &'de [u8], _: TakeDecoded<'_, 'de>) -> Result<(), CodecError> {
        Err("it refuses".into())
    }
}

#[cached(prefix = "refused", ttl = "1h", codec = Refusing)]
async fn refused(id: u64) -> Place {
    place(id).await
}

#[cached(prefix = "town", ttl = "1h")]
async fn town(id: u64) -> Place {
    place(id).await
}

/// The keys that open, by their ids, and the id of the one that seals.
struct Keyring {
    now: u32,
    keys: HashMap<u32, XChaCha20Poly1305>,
}

impl Seal for Keyring {
    fn seal(&self, plain: &[u8], bound_to: &[u8]) -> Result<SealedValue, CodecError> {
        let key = self.keys.get(&self.now).ok_or("no key to seal with")?;
        // 24 random bytes never come twice.
        let nonce = XNonce::try_generate()?;
        let sealed = key.encrypt(&nonce, Payload { msg: plain, aad: bound_to }).map_err(|_| "it does not seal")?;
        Ok(SealedValue { key_id: self.now, bytes: [&nonce[..], &sealed].concat() })
    }

    fn open(&self, key_id: u32, sealed: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, OpenError> {
        let key = self.keys.get(&key_id).ok_or(OpenError::UnknownKey)?;
        let (nonce, sealed) = sealed.split_first_chunk::<24>().ok_or(OpenError::Damaged)?;
        key.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound_to }).map_err(|_| OpenError::Damaged)
    }
}

type Secret = Key<XChaCha20Poly1305>;

fn keyring(now: u32, secrets: &[(u32, &Secret)]) -> Keyring {
    let keys = secrets.iter().map(|(id, secret)| (*id, XChaCha20Poly1305::new(secret))).collect();
    Keyring { now, keys }
}

#[cached(prefix = "patient", ttl = "1h", negative_ttl = "1h")]
async fn patient(id: u64) -> Option<String> {
    (id != 0).then(|| format!("the secret of {id}"))
}

/// Why the cache did not serve what was stored.
fn reasons(cache: &Cache, prefix: &str) -> Vec<(&'static str, u64)> {
    cache.stats().prefix(prefix).bad_entries_by_reason().map(|reason| (reason.reason, reason.count)).collect()
}

async fn stored(store: &TestStore, key: &str) -> Vec<u8> {
    store.raw().await.get(&format!("{}:{key}", store.namespace())).await.expect("an entry")
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

each_server! {
    async fn a_codec_of_a_users_own_is_read_by_all_who_have_it(store: TestStore) {
        let cache = store.cache().await;
        assert_eq!(cache.scope(place(7)).await.latitude, 7);
        let bytes = stored(&store, "place:7").await;
        assert_eq!(bytes[1], 129, "the header says which codec it is");
        assert!(!holds(&bytes, "latitude"), "no names of fields");

        let other = store.another_process().await;
        assert_eq!(other.scope(place(7)).await.latitude, 7);
        assert_eq!(other.peek(place::key(&7)).await.unwrap(), Some(Place { latitude: 7, longitude: 2 }));
        assert_eq!((other.stats().prefix("place").loads, other.stats().prefix("place").hits), (0, 1));
        // Who only knows the text of the key knows no codec, unless the cache is told of it.
        assert_eq!(other.peek::<Place>("place:7").await.unwrap(), None);
        assert_eq!(reasons(&other, "place"), [("unknown_codec", 1)]);
        let told = ready(store.builder().read_codec(&Compact)).await;
        assert!(told.peek::<Place>("place:7").await.unwrap().is_some());
        // In their places they are something else.
        #[derive(Debug, Derived)]
        #[allow(dead_code)]
        struct Turned { longitude: i32, latitude: i32 }
        assert!(told.peek::<Turned>("place:7").await.unwrap().is_none());
        assert_eq!(reasons(&told, "place"), [("undecodable", 1)]);
    }

    async fn a_codec_of_a_users_own_may_be_that_of_a_cache(store: TestStore) {
        let with = || ready(store.builder().codec(Format::Own(&Compact)));
        let (one, other) = (with().await, with().await);
        one.scope(town(7)).await;
        assert_eq!(stored(&store, "town:7").await[1], 129);
        assert_eq!(other.scope(town(7)).await, Place { latitude: 7, longitude: 2 });
        assert_eq!((other.stats().prefix("town").hits, other.stats().prefix("town").loads), (1, 0));
    }

    async fn a_value_that_a_codec_refuses_is_returned_and_not_stored(store: TestStore) {
        let cache = store.cache().await;
        for _ in 0..2 {
            assert_eq!(cache.scope(refused(7)).await.latitude, 7);
        }
        let stats = cache.stats().prefix("refused");
        assert_eq!((stats.loads, stats.hits, stats.unstored), (2, 0, 2));
        let why = cache.explain("refused:7").await.unwrap().unstored.expect("a reason");
        assert_eq!(why.reason, "it cannot be encoded");
    }

    async fn a_sealed_value_is_read_by_who_has_the_key_and_old_keys_open(store: TestStore) {
        let (first, second) = (Secret::generate(), Secret::generate());
        let with = |seal: Keyring| ready(store.builder().seal(seal));
        let before = with(keyring(1, &[(1, &first)])).await;
        assert_eq!(before.scope(patient(7)).await.unwrap(), "the secret of 7");
        assert_eq!(before.scope(patient(0)).await, None);
        let bytes = stored(&store, "patient:7").await;
        assert!(!holds(&bytes, "secret"), "nobody reads it in the server");
        assert!(before.explain("patient:7").await.unwrap().entry.unwrap().is_sealed);

        // The second key is there to open, then to seal, and the first one still opens.
        let between = with(keyring(1, &[(1, &first), (2, &second)])).await;
        let after = with(keyring(2, &[(1, &first), (2, &second)])).await;
        for cache in [&between, &after] {
            assert_eq!(cache.scope(patient(7)).await.unwrap(), "the secret of 7");
            assert_eq!(cache.scope(patient(0)).await, None);
            let stats = cache.stats().prefix("patient");
            assert_eq!((stats.hits, stats.loads), (2, 0));
        }
        after.scope(patient(8)).await;
        assert!(between.scope(patient(8)).await.is_some());
        assert_eq!(between.stats().prefix("patient").loads, 0);

        // Without the key it is a miss that says why.
        let late = with(keyring(2, &[(2, &second)])).await;
        let unread = late.explain("patient:7").await.unwrap().unreadable;
        assert_eq!(unread, None);
        assert!(late.scope(patient(7)).await.is_some());
        assert_eq!(reasons(&late, "patient"), [("unknown_key", 1)]);
        assert_eq!(late.stats().prefix("patient").loads, 1);
        assert!(after.scope(patient(7)).await.is_some());
        assert_eq!(after.stats().prefix("patient").loads, 1, "that of 8: the key of now opens for all");
    }

    /// Whoever may write to the server can neither make up a value nor move one.
    async fn what_was_put_into_the_server_by_others_is_not_served(store: TestStore) {
        let secret = Secret::generate();
        let cache = ready(store.builder().seal(keyring(1, &[(1, &secret)]))).await;
        cache.scope(patient(1)).await;
        let mut raw = store.raw().await;
        let other = format!("{}:patient:2", store.namespace());
        raw.set(&other, &stored(&store, "patient:1").await).await;
        assert_eq!(cache.scope(patient(2)).await.unwrap(), "the secret of 2");
        assert_eq!(reasons(&cache, "patient"), [("unopened", 1)]);

        // The same key of another namespace, sealed with the same secret.
        let neighbour = format!("{}-other", store.namespace());
        let apart = ready(store.builder().namespace(&*neighbour).seal(keyring(1, &[(1, &secret)]))).await;
        apart.scope(patient(3)).await;
        let theirs = raw.get(&format!("{neighbour}:patient:3")).await.expect("an entry");
        raw.set(&format!("{}:patient:3", store.namespace()), &theirs).await;
        cache.scope(patient(3)).await;
        assert_eq!(reasons(&cache, "patient"), [("unopened", 2)]);
    }

    /// Not even as it is: who asked for a seal does not want that in the server.
    async fn a_value_that_cannot_be_sealed_is_returned_and_not_stored(store: TestStore) {
        let cache = ready(store.builder().seal(keyring(1, &[]))).await;
        for _ in 0..2 {
            assert_eq!(cache.scope(patient(7)).await.unwrap(), "the secret of 7");
        }
        assert_eq!(store.raw().await.get(&format!("{}:patient:7", store.namespace())).await, None);
        let stats = cache.stats().prefix("patient");
        assert_eq!((stats.loads, stats.hits, stats.unstored), (2, 0, 2));
        let why = cache.explain("patient:7").await.unwrap().unstored.expect("a reason");
        assert_eq!(why.reason, "its seal failed");
        let error = cache.put("note", &"a secret".to_owned()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
        assert!(error.to_string().contains("sealed"), "{error}");
    }

    /// While the seal is rolled out neither stores over the other's entries.
    async fn processes_with_and_without_a_seal_have_entries_beside_each_other(store: TestStore) {
        let secret = Secret::generate();
        let (open, sealed) = (store.cache().await, ready(store.builder().seal(keyring(1, &[(1, &secret)]))).await);
        for _ in 0..10 {
            assert!(open.scope(patient(5)).await.is_some());
            assert!(sealed.scope(patient(5)).await.is_some());
        }
        let loads = |cache: &Cache| cache.stats().prefix("patient").loads;
        assert_eq!((loads(&open), loads(&sealed)), (1, 1));
        open.invalidate_key(patient::key(&5)).await.unwrap();
        assert!(sealed.scope(patient(5)).await.is_some());
        assert_eq!(loads(&sealed), 2, "an invalidation reaches both");
    }
}
