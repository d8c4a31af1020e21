//! `#[cached]` on methods: what of `self` is in the key, and where companions are found.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cache_core::{Cache, cached, invalidates};
use serde::{Deserialize, Serialize};

struct Repo<T> {
    cache: Cache,
    tenant: String,
    loads: AtomicU32,
    base: T,
}

impl<T: Copy + Into<u64> + Send + Sync> Repo<T> {
    fn new(cache: &Cache, tenant: &str, base: T) -> Arc<Self> {
        Arc::new(Self { cache: cache.clone(), tenant: tenant.to_owned(), loads: AtomicU32::new(0), base })
    }

    fn loads(&self) -> u32 {
        self.loads.swap(0, Ordering::Relaxed)
    }

    #[cached(ttl = "60s", skip(self), cache = self.cache)]
    async fn by_id(&self, id: u64) -> Result<u64, String> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        Ok(id + self.base.into())
    }

    #[cached(
        prefix = "of_tenant",
        ttl = "60s",
        key = "{self.tenant}:{id}",
        cache = self.cache,
        tags = ["tenant:{self.tenant}"]
    )]
    async fn of_tenant(self: &Arc<Self>, id: u64) -> String {
        self.loads.fetch_add(1, Ordering::Relaxed);
        format!("{} {id}", self.tenant)
    }

    #[cached(
        prefix = "both",
        ttl = "60s",
        skip(self),
        cache = self.cache,
        depends_on = [Self::by_id(id), self.of_tenant(id)]
    )]
    async fn both(self: &Arc<Self>, id: u64) -> u64 {
        self.loads.fetch_add(1, Ordering::Relaxed);
        id
    }

    #[invalidates(keys = [Self::by_id(id)], cache = self.cache)]
    async fn change(&self, id: u64) {
        let _ = id;
    }

    #[invalidates(keys = [self.of_tenant(id)], cache = &self.cache)]
    async fn change_of_tenant(self: &Arc<Self>, id: u64) -> Option<u64> {
        (id != 0).then_some(id)
    }
}

#[tokio::test]
async fn types_that_share_a_method_share_no_entry() {
    let cache = Cache::in_memory();
    let (small, large) = (Repo::new(&cache, "a", 0_u8), Repo::new(&cache, "a", 1000_u16));
    assert_eq!(small.by_id(1).await, Ok(1));
    assert_eq!(large.by_id(1).await, Ok(1001));
    assert_eq!(Repo::<u8>::by_id_key(&1).as_str(), "macros_methods.Repo.by_id:1:macros_methods.Repo<u8>");
}

#[tokio::test]
async fn self_is_in_the_key_where_the_template_says() {
    let cache = Cache::in_memory();
    let (a, b) = (Repo::new(&cache, "a", 0_u8), Repo::new(&cache, "b", 0_u8));
    for _ in 0..2 {
        assert_eq!(a.of_tenant(1).await, "a 1");
        assert_eq!(b.of_tenant(1).await, "b 1");
    }
    assert_eq!((a.loads(), b.loads()), (1, 1));
    assert_eq!(cache.invalidate_tag("tenant:a").await.unwrap().entries, 1);
    assert_eq!(cache.peek(b.of_tenant_key(&1)).await.unwrap().as_deref(), Some("b 1"));
}

#[tokio::test]
async fn typed_calls_reach_methods() {
    let cache = Cache::in_memory();
    let repo = Repo::new(&cache, "a", 0_u8);
    let fill = async || {
        repo.by_id(1).await.unwrap();
        repo.of_tenant(1).await;
        repo.both(1).await;
        repo.loads()
    };
    assert_eq!(fill().await, 3);
    repo.change(1).await;
    assert_eq!(fill().await, 2, "`both` depends on `by_id`");
    repo.change_of_tenant(1).await;
    assert_eq!(fill().await, 2, "`both` depends on `of_tenant`");
    assert_eq!(fill().await, 0);
    assert_eq!(repo.by_id_refresh(1).await, Ok(1));
    assert_eq!(repo.of_tenant_refresh(1).await, "a 1");
    assert_eq!(repo.loads(), 2);
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Config {
    name: String,
}

impl Config {
    #[cached(ttl = "60s")]
    async fn load(name: &str) -> Option<Self> {
        (!name.is_empty()).then(|| Self { name: name.to_owned() })
    }

    #[cached(ttl = "60s", companion = Self)]
    async fn names(prefix: &str) -> Vec<String> {
        vec![prefix.to_owned()]
    }

    #[invalidates(keys = [Config::load(name), <Config>::names(name)])]
    async fn store(name: &str) {
        let _ = name;
    }
}

#[tokio::test]
async fn associated_functions_have_associated_companions() {
    let cache = Cache::global();
    Config::load("a").await;
    Config::names("a").await;
    assert_eq!(Config::load_key("a").as_str(), "macros_methods.Config.load:a");
    assert!(cache.peek(Config::load_key("a")).await.unwrap().is_some());
    assert!(cache.peek(Config::names_key("a")).await.unwrap().is_some());
    Config::store("a").await;
    assert!(cache.peek(Config::load_key("a")).await.unwrap().is_none());
    assert!(cache.peek(Config::names_key("a")).await.unwrap().is_none());
}

trait Named: Sync {
    fn name(&self) -> String;

    fn shown(&self, id: u64) -> impl Future<Output = String> + Send;

    #[cached(ttl = "60s", skip(self), companion = none)]
    async fn named(&self, id: u64) -> String {
        format!("{} {id}", self.name())
    }
}

struct Left;
struct Right;

impl Named for Left {
    fn name(&self) -> String {
        "left".to_owned()
    }

    #[cached(ttl = "60s", skip(self), companion = none)]
    async fn shown(&self, id: u64) -> String {
        self.named(id).await
    }
}

impl Named for Right {
    fn name(&self) -> String {
        "right".to_owned()
    }

    #[cached(ttl = "60s", skip(self), companion = none)]
    async fn shown(&self, id: u64) -> String {
        self.named(id).await
    }
}

#[tokio::test]
async fn implementors_of_a_trait_share_no_entry() {
    for _ in 0..2 {
        assert_eq!(Left.named(1).await, "left 1");
        assert_eq!(Right.named(1).await, "right 1");
        assert_eq!(Left.shown(1).await, "left 1");
        assert_eq!(Right.shown(1).await, "right 1");
    }
}

#[tracing::instrument(skip_all)]
#[cached(prefix = "instrumented_above", ttl = "60s")]
async fn instrumented_above(id: u64) -> Result<u64, String> {
    Some(id).filter(|id| *id != 0).ok_or("zero".to_owned())
}

#[cached(prefix = "instrumented_below", ttl = "60s")]
#[tracing::instrument(skip_all, err)]
async fn instrumented_below(id: u64) -> Result<u64, String> {
    Some(id).filter(|id| *id != 0).ok_or("zero".to_owned())
}

#[tokio::test]
async fn instrumented_functions_are_cached_on_either_side() {
    for _ in 0..2 {
        assert_eq!(instrumented_above(1).await, Ok(1));
        assert_eq!(instrumented_below(1).await, Ok(1));
        assert!(instrumented_above(0).await.is_err() && instrumented_below(0).await.is_err());
    }
    assert_eq!(Cache::global().peek(instrumented_above::key(&1)).await.unwrap(), Some(1));
    assert_eq!(Cache::global().peek(instrumented_below::key(&1)).await.unwrap(), Some(1));
}

#[cached(ttl = "60s")]
async fn r#match(r#type: u64) -> u64 {
    r#type
}

#[invalidates(keys = [r#match(r#type)])]
async fn r#move(r#type: u64) {
    let _ = r#type;
}

#[tokio::test]
async fn raw_identifiers_are_names_like_others() {
    assert_eq!(r#match(1).await, 1);
    assert_eq!(r#match::key(&1).as_str(), "macros_methods.match:1");
    r#move(1).await;
    assert_eq!(Cache::global().peek(r#match::key(&1)).await.unwrap(), None);
}
