//! Contexts: a parameter that brings its cache, and is not in the key.

use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use cache_core::{Cache, CacheContext, cached, invalidates, write_through};
use cache_tests::{Data, TestStore, each_store};

#[derive(Clone, CacheContext)]
struct App {
    tenant: &'static str,
    cache: Cache,
    data: Data,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self { tenant: "one", cache: store.cache().await, data: Data::new() }
    }

    fn of(&self, tenant: &'static str) -> Self {
        Self { tenant, ..self.clone() }
    }

    async fn loads(&self, prefix: &str) -> u64 {
        self.cache.stats().prefix(prefix).loads
    }

    #[cached(prefix = "method", ttl = "60s", context = self)]
    async fn method(&self, id: u64) -> String {
        self.data.read(&id.to_string()).await
    }

    #[cached(prefix = "shared", ttl = "60s", context = self)]
    async fn shared(self: Arc<Self>, id: u64) -> String {
        self.data.read(&id.to_string()).await
    }

    #[invalidates(context = self, keys = [Self::method(id), self.of_tenant(id), row(id)])]
    async fn change(&self, id: u64) {}

    #[cached(prefix = "tenant", ttl = "60s", key = "{self.tenant}:{id}", context = self)]
    async fn of_tenant(&self, id: u64) -> String {
        let _ = id;
        self.tenant.to_owned()
    }
}

#[cached(prefix = "row", ttl = "60s", context = app)]
async fn row(app: &App, id: u64) -> Result<String, Infallible> {
    Ok(app.data.read(&id.to_string()).await)
}

#[cached(prefix = "copy", ttl = "60s", context = app, depends_on = [row(id), row(result.len() as u64)])]
async fn copy(app: Arc<App>, id: u64) -> Result<String, Infallible> {
    // Takes the context along; what depends on the result is named after that.
    let moved = app;
    Ok(moved.data.read(&id.to_string()).await)
}

#[cached(prefix = "row", ttl = "60s", context = app, each = ids)]
async fn rows(app: &Arc<App>, ids: &[u64]) -> Result<HashMap<u64, String>, Infallible> {
    let mut rows = HashMap::new();
    for &id in ids {
        rows.insert(id, app.data.read(&id.to_string()).await);
    }
    Ok(rows)
}

#[cached(prefix = "swr", ttl = "60s", stale_while_revalidate = "60s", context = app, depends_on = [row(id)])]
async fn revalidated(app: &App, id: u64) -> String {
    app.data.read(&id.to_string()).await
}

#[invalidates(context = app, keys = [row(id), row(result), copy(id)])]
async fn change(app: App, id: u64) -> Option<u64> {
    drop(app);
    Some(id + 1)
}

#[write_through(row(id), context = app)]
async fn write(app: Arc<App>, id: u64, text: &str) -> Result<String, Infallible> {
    app.data.set(&id.to_string(), text);
    Ok(text.to_owned())
}

each_store! {
    async fn a_context_brings_its_cache_and_is_not_in_the_key(store: TestStore) {
        let app = App::new(&store).await;
        let Ok(_) = row(&app, 1).await;
        let Ok(_) = row(&app.of("another"), 1).await;
        assert_eq!(app.loads("row").await, 1);
        assert_eq!(row::key(&1).as_str(), "row:1");
        app.method(1).await;
        app.of("another").method(1).await;
        Arc::new(app.clone()).shared(1).await;
        let Ok(_) = rows(&Arc::new(app.clone()), &[1, 2]).await;
        assert_eq!((app.loads("method").await, app.loads("shared").await, app.loads("row").await), (1, 1, 2));
        assert_eq!(App::method_key(&1).as_str(), "method:1");
    }

    async fn what_key_names_of_a_context_is_in_the_key(store: TestStore) {
        let app = App::new(&store).await;
        for tenant in ["one", "two", "one"] {
            assert_eq!(app.of(tenant).of_tenant(1).await, tenant);
        }
        assert_eq!(app.loads("tenant").await, 2);
        assert_eq!(app.of_tenant_key(&1).as_str(), "tenant:one:1");
    }

    async fn a_change_is_made_in_the_cache_of_its_context(store: TestStore) {
        let app = App::new(&store).await;
        let Ok(_) = row(&app, 1).await;
        let Ok(_) = row(&app, 2).await;
        app.of_tenant(1).await;
        app.method(1).await;
        change(app.clone(), 1).await;
        assert_eq!(app.cache.peek(row::key(&1)).await.unwrap(), None);
        assert_eq!(app.cache.peek(row::key(&2)).await.unwrap(), None, "named by the result");
        app.change(1).await;
        assert_eq!(app.cache.peek(App::method_key(&1)).await.unwrap(), None);
        assert_eq!(app.cache.peek(app.of_tenant_key(&1)).await.unwrap(), None);
    }

    async fn a_write_is_made_in_the_cache_of_its_context(store: TestStore) {
        let app = App::new(&store).await;
        let Ok(_) = row(&app, 1).await;
        let Ok(_) = write(Arc::new(app.clone()), 1, "new").await;
        assert_eq!(app.cache.peek(row::key(&1)).await.unwrap().as_deref(), Some("new"));
    }

    async fn dependencies_are_in_the_cache_of_the_context(store: TestStore) {
        let app = App::new(&store).await;
        app.data.set("1", "ab");
        let Ok(_) = copy(Arc::new(app.clone()), 1).await;
        assert_eq!(app.cache.invalidate_key(row::key(&2)).await.unwrap().entries, 1, "by its result");
        let Ok(_) = copy(Arc::new(app.clone()), 1).await;
        revalidated(&app, 1).await;
        assert_eq!(app.cache.invalidate_key(row::key(&1)).await.unwrap().entries, 2);
    }

    async fn a_context_counts_before_a_scope(store: TestStore) {
        let (app, scope) = (App::new(&store).await, Cache::in_memory());
        let Ok(_) = scope.scope(row(&app, 1)).await;
        assert_eq!((app.loads("row").await, scope.stats().total().loads), (1, 0));
    }
}

/// A context without a derive, behind whatever leads to it.
struct ByHand(HashMap<(), Cache>);

impl CacheContext for ByHand {
    fn cache(&self) -> &Cache {
        &self.0[&()]
    }
}

struct Extractor<T>(T);

#[derive(CacheContext)]
struct Tuple(#[cache] Arc<Nested<'static, u8>>, Option<Cache>);

#[derive(CacheContext)]
struct Nested<'a, T> {
    #[cache]
    own: Cache,
    other: &'a Cache,
    _of: T,
}

mod kinds {
    use super::*;

    #[cached(ttl = "60s", context = hand)]
    pub(super) async fn by_hand(hand: &ByHand) -> u8 {
        let _ = hand;
        1
    }

    #[cached(ttl = "60s", context = cache)]
    pub(super) async fn itself(cache: Cache) -> u8 {
        let _ = cache;
        1
    }

    #[cached(ttl = "60s", context = context)]
    pub(super) async fn generic<C: CacheContext>(context: &C) -> u8 {
        let _ = context;
        1
    }

    #[cached(ttl = "60s", context = context)]
    pub(super) async fn dynamic(context: &(dyn CacheContext + Sync)) -> u8 {
        let _ = context;
        1
    }

    #[cached(ttl = "60s", context = context)]
    pub(super) async fn opaque(context: &impl CacheContext) -> u8 {
        let _ = context;
        1
    }

    #[cached(ttl = "60s", context = app)]
    pub(super) async fn extracted(Extractor(app): Extractor<Arc<ByHand>>) -> u8 {
        let _ = app;
        1
    }

    #[cached(ttl = "60s", context = tuple)]
    pub(super) async fn tuple(tuple: Rc<Tuple>) -> u8 {
        let _ = &tuple.1;
        1
    }

    #[cached(ttl = "60s", context = nested)]
    pub(super) async fn nested<'a>(nested: &mut Nested<'a, u8>) -> u8 {
        let _ = nested;
        1
    }

    /// Contexts whose types a companion cannot spell go with any.
    #[invalidates(context = hand, keys = [by_hand(), generic(), dynamic(), opaque(), extracted(), nested()])]
    pub(super) async fn all(hand: &ByHand) {}
}

#[tokio::test]
async fn whatever_leads_to_a_context_is_one() {
    let cache = Cache::in_memory();
    let hand = ByHand(HashMap::from([((), cache.clone())]));
    let other = Cache::disabled();
    let nested = || Nested { own: cache.clone(), other: &other, _of: 0 };
    kinds::by_hand(&hand).await;
    kinds::itself(cache.clone()).await;
    kinds::generic(&hand).await;
    kinds::dynamic(&hand).await;
    kinds::opaque(&hand).await;
    kinds::nested(&mut nested()).await;
    assert_eq!(nested().other.stats().total().loads, 0);
    let own = Nested { own: cache.clone(), other: Box::leak(Box::new(Cache::disabled())), _of: 0 };
    kinds::tuple(Rc::new(Tuple(Arc::new(own), None))).await;
    kinds::extracted(Extractor(Arc::new(ByHand(hand.0.clone())))).await;
    assert_eq!((cache.stats().total().loads, cache.stats().total().fills), (8, 8));
    kinds::all(&hand).await;
    assert_eq!(cache.stats().total().invalidated, 6);
}

#[async_trait::async_trait]
trait Rows {
    async fn row(&self, id: u64) -> String;
}

#[async_trait::async_trait]
impl Rows for App {
    #[cached(prefix = "of_trait", ttl = "60s", context = self, companion = none)]
    async fn row(&self, id: u64) -> String {
        self.data.read(&id.to_string()).await
    }
}

#[tokio::test]
async fn self_is_a_context_in_an_implementation_of_an_async_trait() {
    let app = App { tenant: "one", cache: Cache::in_memory(), data: Data::new() };
    for _ in 0..2 {
        app.row(1).await;
    }
    assert_eq!(app.loads("of_trait").await, 1);
}

mod renamed {
    use cache_core as facade;

    #[derive(facade::CacheContext)]
    #[cache_context(crate = crate::renamed::facade)]
    pub(super) struct App(pub(super) facade::Cache);

    #[facade::cached(ttl = "60s", context = app, crate = crate::renamed::facade)]
    pub(super) async fn answer(app: &App) -> u8 {
        let _ = app;
        42
    }

    #[facade::invalidates(keys = [answer()], context = app, crate = crate::renamed::facade)]
    pub(super) async fn forget(app: &App) {}
}

#[tokio::test]
async fn the_runtime_may_be_elsewhere() {
    let app = renamed::App(Cache::in_memory());
    renamed::answer(&app).await;
    assert_eq!(app.0.peek(renamed::answer::key()).await.unwrap(), Some(42));
    renamed::forget(&app).await;
    assert_eq!(app.0.peek(renamed::answer::key()).await.unwrap(), None);
}
