//! What `#[cached]` must leave as it was: bodies, signatures, attributes, and the Send-ness of
//! futures.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cache_core::{Cache, Invalidation, cached, key, tag};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A cache of its own for each test, and how often its functions ran.
struct World {
    cache: Cache,
    loads: AtomicU32,
}

impl World {
    fn new() -> Self {
        Self { cache: Cache::in_memory(), loads: AtomicU32::new(0) }
    }

    fn load(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
    }

    /// Loads since the last time it was asked.
    fn loads(&self) -> u32 {
        self.loads.swap(0, Ordering::Relaxed)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flight {
    id: u64,
    origin: String,
}

#[derive(Debug, PartialEq)]
struct NotFound;

#[cached(ttl = "60s", skip(world), cache = world.cache)]
async fn with_early_exits(world: &World, id: u64) -> Result<Flight, NotFound> {
    world.load();
    if id == 0 {
        return Err(NotFound);
    }
    let id = Some(id).filter(|id| *id < 10).ok_or(NotFound)?;
    if id == 1 {
        return Ok(Flight { id, origin: "early".to_owned() });
    }
    Ok(Flight { id, origin: "late".to_owned() })
}

#[tokio::test]
async fn early_return_and_question_mark_leave_the_body_only() {
    let world = World::new();
    for (id, origin) in [(1, "early"), (2, "late")] {
        for _ in 0..2 {
            assert_eq!(with_early_exits(&world, id).await.unwrap().origin, origin);
        }
        assert_eq!(world.loads(), 1, "an early return is stored like any other");
    }
    for id in [0, 10] {
        for _ in 0..2 {
            assert_eq!(with_early_exits(&world, id).await, Err(NotFound));
        }
        assert_eq!(world.loads(), 2, "an error is never stored");
    }
}

#[cached(ttl = "60s", skip(world), cache = world.cache, tags = ["name:{name}:{result}"])]
async fn that_moves(world: &World, name: String, mut parts: Vec<String>) -> usize {
    world.load();
    parts.push(name);
    let moved = parts;
    moved.into_iter().map(|part| part.len()).sum()
}

#[tokio::test]
async fn arguments_may_be_moved_and_mutated_by_the_body_though_tags_need_them() {
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(that_moves(&world, "abc".to_owned(), vec!["de".to_owned()]).await, 5);
    }
    assert_eq!(world.loads(), 1);
    assert_eq!(world.cache.invalidate_tag("name:abc:5").await.unwrap().entries, 1);
}

#[cached(ttl = "60s", skip(world), cache = world.cache)]
async fn generic<T, const N: usize>(world: &World, items: &[T]) -> Vec<T>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync,
{
    world.load();
    items.iter().take(N).cloned().collect()
}

#[tokio::test]
async fn instantiations_of_a_generic_function_share_nothing() {
    let world = World::new();
    assert_eq!(generic::<u8, 1>(&world, &[1, 2]).await, [1]);
    assert_eq!(generic::<u16, 1>(&world, &[1, 2]).await, [1]);
    assert_eq!(generic::<u8, 2>(&world, &[1, 2]).await, [1, 2]);
    assert_eq!(world.loads(), 3);
    assert_eq!(generic::<u8, 2>(&world, &[1, 2]).await, [1, 2]);
    assert_eq!(world.loads(), 0);
    assert_ne!(generic::key::<u8, 1>(&[1, 2]).as_str(), generic::key::<u16, 1>(&[1, 2]).as_str());
}

trait Database: Sync {
    fn load(&self);
}

impl Database for World {
    fn load(&self) {
        self.load();
    }
}

#[cached(ttl = "60s", skip(db, cache), cache = cache)]
async fn over_any_database<D: Database>(db: &D, cache: &Cache, id: u64) -> u64 {
    db.load();
    id
}

#[tokio::test]
async fn a_type_parameter_of_skipped_parameters_is_no_part_of_the_key() {
    let world = World::new();
    over_any_database(&world, &world.cache, 7).await;
    assert_eq!(world.cache.peek(over_any_database::key(&7)).await.unwrap(), Some(7));
}

mod first {
    use super::{World, cached};

    #[cached(ttl = "60s", skip(world), cache = world.cache)]
    pub(super) async fn same_name(world: &World, id: u64) -> String {
        world.load();
        format!("first {id}")
    }
}

mod second {
    use super::{World, cached};

    #[cached(ttl = "60s", skip(world), cache = world.cache)]
    pub(super) async fn same_name(world: &World, id: u64) -> String {
        world.load();
        format!("second {id}")
    }
}

#[tokio::test]
async fn functions_of_one_name_in_two_modules_or_bodies_share_nothing() {
    #[cached(ttl = "60s", skip(world), cache = world.cache)]
    async fn same_name(world: &World, id: u64) -> String {
        world.load();
        format!("inner {id}")
    }
    let world = World::new();
    assert_eq!(first::same_name(&world, 1).await, "first 1");
    assert_eq!(second::same_name(&world, 1).await, "second 1");
    assert_eq!(same_name(&world, 1).await, "inner 1");
    assert_eq!(first::same_name::key(&1).as_str(), "macros_cached.first.same_name:1");
    let inner = "macros_cached.functions_of_one_name_in_two_modules_or_bodies_share_nothing.same_name:1";
    assert_eq!(same_name::key(&1).as_str(), inner);
}

#[cached(ttl = "60s", negative_ttl = "60s", skip(world), cache = world.cache)]
async fn maybe(world: &World, name: Option<&str>) -> Option<String> {
    world.load();
    name.map(str::to_owned)
}

#[tokio::test]
async fn none_and_some_empty_text_are_told_apart_as_argument_and_as_value() {
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(maybe(&world, None).await, None);
        assert_eq!(maybe(&world, Some("")).await, Some(String::new()));
    }
    assert_eq!(world.loads(), 2, "`None` is stored with `negative_ttl`");
}

#[cached(ttl = "60s", skip(world), cache = world.cache)]
async fn fallible_option(world: &World, id: u64) -> Result<Option<u64>, NotFound> {
    world.load();
    Ok((id != 0).then_some(id))
}

#[tokio::test]
async fn none_is_not_stored_without_negative_ttl() {
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(fallible_option(&world, 0).await, Ok(None));
        assert_eq!(fallible_option(&world, 1).await, Ok(Some(1)));
    }
    assert_eq!(world.loads(), 3);
}

#[cached(ttl = "60s", skip(world), cache = world.cache)]
async fn nothing(world: &World) {
    world.load();
}

#[tokio::test]
async fn unit_is_a_value() {
    let world = World::new();
    nothing(&world).await;
    nothing(&world).await;
    assert_eq!(world.loads(), 1);
}

type ApiResult<T> = Result<T, NotFound>;

#[cached(ttl = "60s", skip(world), cache = world.cache)]
async fn io(world: &World, id: u64) -> std::io::Result<u64> {
    world.load();
    Ok(id)
}

#[cached(ttl = "60s", skip(world), cache = world.cache)]
async fn alias(world: &World, fails: bool) -> ApiResult<u64> {
    world.load();
    if fails { Err(NotFound) } else { Ok(1) }
}

#[tokio::test]
async fn aliases_of_result_are_results() {
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(io(&world, 1).await.unwrap(), 1);
        assert_eq!(alias(&world, false).await, Ok(1));
    }
    assert_eq!(world.loads(), 2);
    for _ in 0..2 {
        assert_eq!(alias(&world, true).await, Err(NotFound));
    }
    assert_eq!(world.loads(), 2);
}

#[cached(ttl = "60s", skip(world, fails), cache = world.cache)]
async fn any<T>(world: &World, fails: T) -> T
where
    T: Serialize + DeserializeOwned + Send + Sync,
{
    world.load();
    fails
}

#[tokio::test]
async fn an_error_met_in_generic_code_is_not_stored() {
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(any(&world, Err::<u32, u32>(1)).await, Err(1));
    }
    assert_eq!(world.loads(), 2);
    for _ in 0..2 {
        assert_eq!(any(&world, Ok::<u32, u32>(1)).await, Ok(1));
    }
    assert_eq!(world.loads(), 1);
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct Point {
    x: i32,
    y: i32,
}

#[cached(prefix = "named_alike", ttl = "60s", skip(world), cache = world.cache)]
async fn named_alike(world: &World, named_alike: u64) -> u64 {
    world.load();
    named_alike
}

#[tokio::test]
async fn a_parameter_may_have_the_name_of_its_function() {
    let world = World::new();
    assert_eq!(named_alike(&world, 1).await, 1);
    assert_eq!(named_alike::refresh(&world, 1).await, 1);
    assert_eq!(world.loads(), 2);
}

#[cached(prefix = "point", ttl = "60s", skip(world, y), cache = world.cache)]
async fn patterns(world: &World, Point { x, y }: Point, (a, mut b): (u8, u8), _: &World) -> i32 {
    world.load();
    b += a;
    x + y + i32::from(b)
}

#[tokio::test]
async fn bindings_of_patterns_are_parts_one_by_one() {
    let world = World::new();
    assert_eq!(patterns(&world, Point { x: 1, y: 2 }, (3, 4), &world).await, 10);
    assert_eq!(patterns(&world, Point { x: 1, y: 200 }, (3, 4), &world).await, 10, "`y` is skipped");
    assert_eq!(patterns::key(&Point { x: 1, y: 9 }, &(3, 4)).as_str(), "point:1:3:4");
}

#[cached(prefix = "by_name", ttl = "60s", key = "{name.as_ref()}", skip(world), cache = world.cache)]
async fn by_name(world: &World, name: impl AsRef<str> + Send) -> usize {
    world.load();
    name.as_ref().len()
}

#[tokio::test]
async fn an_impl_trait_argument_is_in_the_key_as_the_template_says() {
    let world = World::new();
    assert_eq!(by_name(&world, "abc").await, 3);
    assert_eq!(by_name(&world, String::from("abc")).await, 3);
    assert_eq!(world.loads(), 1);
    assert_eq!(by_name::key(&"abc").as_str(), "by_name:abc");
}

#[cached(prefix = "even", ttl = Duration::from_secs(60), when = |n| n % 2 == 0, skip(world), cache = world.cache)]
async fn stored_if_even(world: &World, n: u32) -> u32 {
    world.load();
    n
}

#[tokio::test]
async fn when_decides_over_the_value() {
    let world = World::new();
    for n in [1, 1, 2, 2] {
        stored_if_even(&world, n).await;
    }
    assert_eq!(world.loads(), 3);
}

#[cached(prefix = "refreshed", ttl = "60s", skip(world), cache = world.cache)]
async fn refreshed<T: Into<u64> + Serialize + Send + Sync + Copy>(world: &World, id: T) -> Result<u64, NotFound> {
    Ok(u64::from(world.loads.fetch_add(1, Ordering::Relaxed)) + id.into())
}

#[tokio::test]
async fn refresh_loads_whatever_is_stored_and_fills() {
    let world = World::new();
    assert_eq!(refreshed(&world, 10_u32).await, Ok(10));
    assert_eq!(refreshed::refresh(&world, 10_u32).await, Ok(11));
    assert_eq!(refreshed(&world, 10_u32).await, Ok(11));
}

macro_rules! lookups {
    ($($name:ident($arg:ident: $ty:ty) -> $output:ty, $prefix:literal, $ttl:expr, $body:block)*) => {$(
        #[cached(prefix = $prefix, ttl = $ttl, tags = ["all", "one:{result}"], cache = Cache::global())]
        async fn $name($arg: $ty) -> $output $body
    )*};
}

lookups! {
    made_by_a_macro(id: u64) -> u64, "made", "60s", { id + 1 }
    made_by_another(id: u64) -> Option<String>, "another", Duration::from_secs(1), { Some(id.to_string()) }
}

#[tokio::test]
async fn functions_may_come_from_macro_rules() {
    assert_eq!(made_by_a_macro(1).await, 2);
    assert_eq!(made_by_another(1).await.as_deref(), Some("1"));
    assert_eq!(made_by_a_macro::key(&1).as_str(), "made:1");
}

/// Documented.
#[cfg(test)]
#[must_use = "kept"]
#[allow(clippy::unused_async)]
#[cached(ttl = "60s")]
#[inline]
pub(crate) async fn with_attributes(#[allow(unused)] id: u64) -> u64 {
    #![allow(unused_variables)]
    let unused = 1;
    id
}

#[cfg(any())]
#[cached(ttl = "60s")]
async fn configured_away(id: Missing) -> Missing {}

#[cached(ttl = "60s")]
#[cfg(any())]
async fn configured_away_below(id: Missing) -> Missing {}

#[tokio::test]
async fn attributes_are_kept_and_cfg_holds_for_the_companion() {
    assert_eq!(with_attributes(1).await, 1);
    assert_eq!(with_attributes::key(&1).as_str(), "macros_cached.with_attributes:1");
}

fn is_send<T: Send>(_: &T) {}

#[cached(ttl = "60s", tags = ["{result}"], when = |_| true)]
async fn sendable(id: u64) -> Result<u64, String> {
    tokio::task::yield_now().await;
    Ok(id)
}

/// Its error is not `Send`: it must not live across an await of ours.
#[cached(ttl = "60s")]
async fn error_is_not_send(id: u64) -> Result<u64, Rc<str>> {
    if id == 0 { Err("zero".into()) } else { Ok(id) }
}

#[cached(ttl = "60s")]
async fn not_sendable(id: u64) -> u64 {
    let local = Rc::new(id);
    tokio::task::yield_now().await;
    *local
}

#[tokio::test]
async fn futures_are_send_exactly_as_the_bodies_are() {
    is_send(&sendable(1));
    is_send(&sendable::refresh(1));
    is_send(&error_is_not_send(1));
    // What is not `Send` still runs.
    assert_eq!(not_sendable(1).await, 1);
    let boxed: std::pin::Pin<Box<dyn Future<Output = u64>>> = Box::pin(not_sendable(1));
    assert_eq!(boxed.await, 1);
}

mod renamed {
    pub(super) use cache_core as store;
}

#[cached(ttl = "60s", crate = crate::renamed::store)]
async fn through_another_path(id: u64) -> u64 {
    id
}

#[tokio::test]
async fn the_crate_may_have_another_name() {
    assert_eq!(through_another_path(1).await, 1);
}

#[cached(prefix = "shared", ttl = "60s", companion = Shared)]
async fn shared(id: &u64) -> Arc<u64> {
    Arc::new(*id)
}

#[tokio::test]
async fn a_companion_may_have_a_name_of_its_own() {
    assert_eq!(Shared::key(&1).as_str(), "shared:1");
    assert_eq!(*Shared::refresh(&1).await, 1);
}

#[tokio::test]
async fn key_and_tag_macros_escape_like_the_attributes() {
    let flight = Flight { id: 7, origin: "a:b*".to_owned() };
    assert_eq!(key!("flight:{flight.id}").as_str(), "flight:7");
    assert_eq!(tag!("{{x}}:{flight.origin.as_str()}").as_str(), "{x}:a%3Ab%2A");
    assert!(!Invalidation::new().tag(tag!("a")).is_empty());
}

mod async_trait_above {
    use super::{NotFound, World, cached};

    #[async_trait::async_trait]
    pub(super) trait Flights {
        async fn get(&self, id: u64, name: &str) -> Result<String, NotFound>;
    }

    #[async_trait::async_trait]
    impl Flights for World {
        #[cached(ttl = "60s", skip(self), companion = none, cache = self.cache)]
        async fn get(&self, id: u64, name: &str) -> Result<String, NotFound> {
            self.load();
            if name.is_empty() {
                return Err(NotFound);
            }
            Ok(format!("{id}{name}"))
        }
    }
}

#[tokio::test]
async fn async_trait_is_seen_through() {
    use async_trait_above::Flights;
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(Flights::get(&world, 1, "a").await.unwrap(), "1a");
    }
    assert_eq!(world.loads(), 1);
    assert_eq!(Flights::get(&world, 1, "").await, Err(NotFound));
}
