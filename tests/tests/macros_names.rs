//! Names that attributes declare: tags, dependencies, what is invalidated, and when.

use cache_core::{Cache, Cacheable, cached, invalidates, tag};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(
    ttl = "1h",
    tags = ["state:{self.state}", ..self.aliases.iter().map(|alias| tag!("alias:{alias}"))],
    version = 3
)]
struct Airport {
    iata: String,
    state: String,
    aliases: Vec<String>,
}

fn airport(iata: &str) -> Airport {
    Airport { iata: iata.to_owned(), state: "TX".to_owned(), aliases: vec!["x".to_owned(), "y".to_owned()] }
}

#[cached(prefix = "airport", skip(cache), cache = cache)]
async fn get_airport(cache: &Cache, iata: &str) -> Result<Airport, String> {
    Ok(airport(iata))
}

#[cached(prefix = "airports", ttl = "5s", skip(cache), cache = cache)]
async fn get_airports(cache: &Cache, iata: &str) -> Option<Vec<Airport>> {
    Some(vec![airport(iata)])
}

#[tokio::test]
async fn tags_of_the_type_apply_also_where_the_function_gives_a_ttl() {
    let cache = Cache::in_memory();
    for tag in ["state:TX", "alias:x", "alias:y"] {
        get_airport(&cache, "DFW").await.unwrap();
        get_airports(&cache, "DFW").await.unwrap();
        assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 2, "{tag}");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flight {
    id: u64,
    origin: String,
    legs: Vec<u64>,
}

#[cached(
    prefix = "flight",
    ttl = "60s",
    skip(cache),
    cache = cache,
    tags = ["origin:{result.origin}", "both:{tenant}:{result.id}", "tenant:{tenant}",
            ..result.legs.iter().map(|leg| tag!("leg:{leg}")),
        ..result.legs.iter().map(|leg| tag!("{tenant}-leg:{leg}"))],
    depends_on = [get_airport(&result.origin), "plan:{tenant}", self::get_airports(tenant)],
)]
async fn get_flight(cache: &Cache, tenant: String, id: u64) -> Result<Flight, String> {
    drop(tenant);
    Ok(Flight { id, origin: "DFW".to_owned(), legs: vec![7, 8] })
}

#[tokio::test]
async fn every_kind_of_name_reaches_the_entry() {
    let cache = Cache::in_memory();
    let names = ["origin:DFW", "both:acme:1", "tenant:acme", "leg:7", "leg:8", "acme-leg:7"];
    for tag in names {
        get_flight(&cache, "acme".to_owned(), 1).await.unwrap();
        assert_eq!(cache.invalidate_tag(tag).await.unwrap().entries, 1, "{tag}");
    }
    for key in ["airport:DFW", "plan:acme", "airports:acme"] {
        get_flight(&cache, "acme".to_owned(), 1).await.unwrap();
        assert_eq!(cache.invalidate_key(key).await.unwrap().entries, 1, "{key}");
    }
    get_flight(&cache, "acme".to_owned(), 1).await.unwrap();
    assert_eq!(cache.invalidate_key(get_airport::key("DFW")).await.unwrap().entries, 1);
}

#[tokio::test]
async fn put_through_a_companion_tags_as_the_function_does() {
    let cache = Cache::in_memory();
    cache.put(get_airport::key("DFW"), &airport("DFW")).await.unwrap();
    assert_eq!(get_airport(&cache, "DFW").await.unwrap().iata, "DFW");
    assert_eq!(cache.invalidate_tag("state:TX").await.unwrap().entries, 1);
}

#[tokio::test]
async fn put_stores_nothing_where_the_companion_cannot_know_all_tags() {
    let cache = Cache::in_memory();
    let flight = Flight { id: 1, origin: "DFW".to_owned(), legs: Vec::new() };
    let _ = cache.put(get_flight::key(&"acme".to_owned(), &1), &flight).await;
    assert_eq!(cache.peek(get_flight::key(&"acme".to_owned(), &1)).await.unwrap(), None);
}

#[cached(
    prefix = "optional",
    ttl = "60s",
    negative_ttl = "60s",
    skip(cache),
    cache = cache,
    tags = ["of:{result.origin}", "any:{id}"]
)]
async fn optional(cache: &Cache, id: u64) -> Option<Flight> {
    (id != 0).then(|| Flight { id, origin: "DFW".to_owned(), legs: Vec::new() })
}

#[tokio::test]
async fn templates_see_what_is_inside_an_option() {
    let cache = Cache::in_memory();
    optional(&cache, 0).await;
    optional(&cache, 1).await;
    assert_eq!(cache.invalidate_tag("of:DFW").await.unwrap().entries, 1);
    assert_eq!(cache.invalidate_tag("any:0").await.unwrap().entries, 1);
}

#[cached(prefix = "of_whole", ttl = "60s", skip(cache), cache = cache)]
async fn of_whole(cache: &Cache, iata: Option<&str>) -> usize {
    let _ = cache;
    iata.map_or(0, str::len)
}

#[cached(
    prefix = "of_options", ttl = "60s", skip(cache), cache = cache,
    depends_on = [get_airport(borrowed), get_airport(owned), of_whole(borrowed), get_flight(tenant, result)],
)]
async fn of_options(cache: &Cache, borrowed: Option<&str>, owned: Option<String>, tenant: Option<String>) -> u64 {
    let _ = (cache, borrowed);
    drop((owned, tenant));
    7
}

#[tokio::test]
async fn a_typed_call_takes_what_is_inside_an_option_and_nothing_of_none() {
    let cache = Cache::in_memory();
    let fill = async || {
        let [owned, tenant] = ["LAX", "acme"].map(|text| Some(text.to_owned()));
        of_options(&cache, Some("DFW"), owned, tenant).await;
    };
    for key in ["airport:DFW", "airport:LAX", "of_whole:+DFW", "flight:acme:7"] {
        fill().await;
        assert_eq!(cache.invalidate_key(key).await.unwrap().entries, 1, "{key}");
    }
    of_options(&cache, None, None, None).await;
    for key in ["airport:DFW", "airport:LAX", "of_whole:+DFW", "flight:acme:7"] {
        assert_eq!(cache.invalidate_key(key).await.unwrap().entries, 0, "{key}");
    }
    assert_eq!(cache.invalidate_key(of_whole::key(&None)).await.unwrap().entries, 1);
}

#[invalidates(keys = [get_airport(iata)], cache = cache)]
async fn change_if_known(cache: &Cache, iata: Option<String>) {
    let _ = cache;
    drop(iata);
}

#[tokio::test]
async fn an_option_among_keys_invalidates_what_is_inside() {
    let cache = Cache::in_memory();
    fill(&cache).await;
    change_if_known(&cache, None).await;
    assert_eq!(stored(&cache).await, [true; 3]);
    change_if_known(&cache, Some("DFW".to_owned())).await;
    assert_eq!(stored(&cache).await, [false, true, true]);
}

#[invalidates(
    keys = [get_airport(iata), ..more.iter()],
    tags = ["state:{result.state}"],
    patterns = ["airports:{iata}*"],
    cache = cache
)]
async fn set_airport(cache: &Cache, iata: String, more: &[String], fails: bool) -> Result<Airport, String> {
    if fails {
        return Err(iata);
    }
    let moved = iata;
    Ok(airport(&moved))
}

/// Lets spawned invalidations run: each of their steps takes a turn of this current-thread runtime.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn stored(cache: &Cache) -> [bool; 3] {
    let [a, b] = ["DFW", "LAX"].map(|iata| cache.peek(get_airport::key(iata)));
    let c = cache.peek(get_airports::key("DFW"));
    [a.await.unwrap().is_some(), b.await.unwrap().is_some(), c.await.unwrap().is_some()]
}

async fn fill(cache: &Cache) {
    get_airport(cache, "DFW").await.unwrap();
    get_airport(cache, "LAX").await.unwrap();
    get_airports(cache, "DFW").await.unwrap();
    assert_eq!(stored(cache).await, [true; 3]);
}

#[tokio::test]
async fn an_error_invalidates_nothing_and_success_everything_named() {
    let cache = Cache::in_memory();
    fill(&cache).await;
    assert_eq!(set_airport(&cache, "DFW".to_owned(), &[], true).await, Err("DFW".to_owned()));
    settle().await;
    assert_eq!(stored(&cache).await, [true; 3]);
    set_airport(&cache, "DFW".to_owned(), &["airport:LAX".to_owned()], false).await.unwrap();
    assert_eq!(stored(&cache).await, [false; 3]);
}

#[invalidates(keys = [get_airport("DFW")], when = always, cache = cache)]
async fn always(cache: &Cache, fails: bool) -> Result<(), String> {
    if fails { Err(String::new()) } else { Ok(()) }
}

#[invalidates(keys = [get_airport("DFW")], cache = cache)]
async fn unless_none(cache: &Cache, some: bool) -> Option<u8> {
    some.then_some(1)
}

#[tokio::test]
async fn when_says_after_which_outcome() {
    let cache = Cache::in_memory();
    fill(&cache).await;
    unless_none(&cache, false).await;
    settle().await;
    assert!(stored(&cache).await[0]);
    unless_none(&cache, true).await;
    assert!(!stored(&cache).await[0]);
    fill(&cache).await;
    always(&cache, true).await.unwrap_err();
    assert!(!stored(&cache).await[0]);
}

#[invalidates(keys = [get_airport("DFW")], cache = cache)]
async fn waits(cache: &Cache) {
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn dropped_inside_the_body_invalidates_what_is_known_and_never_polled_nothing() {
    let cache = Cache::in_memory();
    fill(&cache).await;
    drop(waits(&cache));
    settle().await;
    assert!(stored(&cache).await[0]);
    let mut call = Box::pin(waits(&cache));
    std::future::poll_fn(|context| {
        assert!(call.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(call);
    settle().await;
    assert!(!stored(&cache).await[0]);
}

#[invalidates(tags = ["x"], cache = cache)]
async fn opaque(cache: &Cache) -> impl Fn(u64) -> u64 + use<> {
    |n| n + 1
}

#[tokio::test]
async fn an_opaque_value_is_passed_on() {
    let cache = Cache::in_memory();
    assert_eq!(opaque(&cache).await(1), 2);
}

/// Recursive, generic and with fields that serde does not see.
#[derive(Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "1h")]
#[serde(bound = "T: Serialize + serde::de::DeserializeOwned")]
#[allow(dead_code)]
enum Tree<T> {
    Leaf,
    Node(Box<Tree<T>>, T),
    Named {
        r#type: Vec<Tree<T>>,
        #[serde(skip)]
        #[cacheable(lost)]
        count: usize,
        #[serde(skip)]
        nothing: std::marker::PhantomData<T>,
    },
}

#[cached(prefix = "tree")]
async fn tree(depth: u64) -> Tree<u64> {
    if depth == 0 { Tree::Leaf } else { Tree::Node(Box::new(Tree::Leaf), depth) }
}

#[tokio::test]
async fn recursive_and_generic_types_can_be_cacheable() {
    tree(1).await;
    assert!(matches!(tree(1).await, Tree::Node(_, 1)));
}
