//! A tag is spelled by value: whatever type holds a value, a function that tags with it and a
//! function that invalidates with it name the same tag.

use cache_core::{Cache, Cacheable, Invalidation, cached, invalidates, tag, write_through};
use cache_tests::{TestStore, each_store};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct UserId(String);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Class {
    Economy,
}

#[cached(prefix = "page", ttl = "60s", cache = cache, skip(cache), tags = ["viewer:{viewer}", "page:{id}"])]
async fn page(cache: &Cache, id: u32, viewer: Option<u32>) -> u32 {
    let _ = (cache, viewer);
    id
}

/// The tag needs a parameter and the result.
#[cached(prefix = "both", ttl = "60s", cache = cache, skip(cache), tags = ["both:{viewer}:{result}", "all:both"])]
async fn both(cache: &Cache, viewer: Option<UserId>) -> Option<u32> {
    let _ = cache;
    drop(viewer);
    Some(1)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Article {
    author: Option<UserId>,
    class: Class,
    editor: Option<u32>,
}

/// The closure has a parameter that is named like the function's. Its author need not be told that
/// the list does not use the latter.
#[deny(unused_variables)]
#[cached(
    prefix = "article", ttl = "60s", cache = cache, skip(cache),
    tags = ["author:{result.author}", "class:{result.class}", ..result.editor.iter().map(|id| tag!("editor:{id}"))],
)]
async fn article(cache: &Cache, id: u32, author: Option<UserId>) -> Article {
    let _ = (cache, id);
    Article { author, class: Class::Economy, editor: Some(7) }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Cacheable)]
#[cacheable(ttl = "60s", tags = ["owner:{self.owner}", "boat:{self.id}"])]
struct Boat {
    id: u32,
    owner: Option<UserId>,
}

#[cached(prefix = "boat", cache = cache, skip(cache))]
async fn boat(cache: &Cache, id: u32, owner: Option<UserId>) -> Boat {
    let _ = cache;
    Boat { id, owner }
}

#[write_through(boat(&boat.id, &boat.owner), cache = cache)]
async fn set_boat(cache: &Cache, boat: Boat) -> Boat {
    boat
}

#[invalidates(tags = ["viewer:{viewer}"], cache = cache)]
async fn viewer_changed(cache: &Cache, viewer: u32) {}

#[invalidates(tags = ["viewer:{viewer}"], cache = cache)]
async fn viewer_may_have_changed(cache: &Cache, viewer: Option<&str>) {}

#[invalidates(tags = ["both:{id}:{result}"], cache = cache)]
async fn both_changed(cache: &Cache, id: u64) -> Option<u8> {
    let _ = (cache, id);
    Some(1)
}

#[invalidates(tags = ["author:{result}"], cache = cache)]
async fn author_changed(cache: &Cache, id: &str) -> Result<UserId, String> {
    let _ = cache;
    Ok(UserId(id.to_owned()))
}

async fn falls(cache: &Cache, invalidation: Invalidation) -> u64 {
    cache.invalidate(invalidation).await.unwrap().entries
}

async fn hits(cache: &Cache, prefix: &str) -> u64 {
    cache.stats().prefix(prefix).hits
}

each_store! {
    async fn a_tag_of_an_option_is_that_of_the_value_inside(store: TestStore) {
        let cache = store.cache().await;
        page(&cache, 1, Some(7)).await;
        viewer_changed(&cache, 7).await;
        assert!(cache.peek(page::key(&1, &Some(7))).await.unwrap().is_none());
        page(&cache, 1, Some(7)).await;
        viewer_may_have_changed(&cache, Some("7")).await;
        assert!(cache.peek(page::key(&1, &Some(7))).await.unwrap().is_none());
    }

    async fn none_adds_no_tag_and_the_entry_keeps_its_others(store: TestStore) {
        let cache = store.cache().await;
        page(&cache, 1, None).await;
        page(&cache, 1, None).await;
        assert_eq!(hits(&cache, "page").await, 1, "it is stored");
        viewer_may_have_changed(&cache, None).await;
        assert!(cache.peek(page::key(&1, &None)).await.unwrap().is_some());
        assert_eq!(falls(&cache, Invalidation::new().tag("page:1")).await, 1);
        both(&cache, None).await;
        assert_eq!(falls(&cache, Invalidation::new().tag("all:both")).await, 1);
    }

    async fn a_tag_of_a_parameter_and_the_result_is_spelled_by_value(store: TestStore) {
        let cache = store.cache().await;
        let viewer = || Some(UserId("7".to_owned()));
        both(&cache, viewer()).await;
        both_changed(&cache, 7).await;
        assert!(cache.peek(both::key(&viewer())).await.unwrap().is_none());
        cache.put(both::key(&viewer()), &Some(1)).await.unwrap();
        assert_eq!(falls(&cache, Invalidation::new().tag("both:7:1")).await, 1, "through the companion");
    }

    async fn tags_of_the_result_are_spelled_by_value(store: TestStore) {
        let cache = store.cache().await;
        let author = || Some(UserId("7".to_owned()));
        let (number, id, class) = (7u8, UserId("7".to_owned()), "Economy");
        for tag in [tag!("author:{number}"), tag!("author:{id}"), tag!("class:{class}"), tag!("editor:{number}")] {
            article(&cache, 1, author()).await;
            assert_eq!(falls(&cache, Invalidation::new().tag(&tag)).await, 1, "{tag}");
        }
        article(&cache, 1, author()).await;
        author_changed(&cache, "7").await.unwrap();
        assert!(cache.peek(article::key(&1, &author())).await.unwrap().is_none());
    }

    async fn tags_of_a_type_are_spelled_by_value(store: TestStore) {
        let cache = store.cache().await;
        let owner = || Some(UserId("7".to_owned()));
        boat(&cache, 1, owner()).await;
        assert_eq!(falls(&cache, Invalidation::new().tag("owner:7")).await, 1);
        assert_eq!(Boat { id: 1, owner: None }.tags(), [tag!("boat:1")]);
        boat(&cache, 1, None).await;
        assert_eq!(falls(&cache, Invalidation::new().tag("boat:1")).await, 1);
        set_boat(&cache, Boat { id: 1, owner: owner() }).await;
        assert_eq!(falls(&cache, Invalidation::new().tag("owner:7")).await, 1);
        set_boat(&cache, Boat { id: 1, owner: None }).await;
        assert_eq!(falls(&cache, Invalidation::new().tag("boat:1")).await, 1);
    }

    async fn a_tag_of_none_is_no_tag(store: TestStore) {
        let cache = store.cache().await;
        let none = None::<u32>;
        assert_eq!(cache.invalidate_tag(tag!("viewer:{none}")).await.unwrap().entries, 0);
        let key = || cache_core::key!("row:1").with_tags([tag!("viewer:{none}"), tag!("row:1")]);
        assert_eq!(cache.get_or_load(key(), || async { Ok::<_, ()>(1) }).await, Ok(1));
        assert_eq!(cache.peek(key()).await.unwrap(), Some(1));
        assert_eq!(cache.invalidate_tag("row:1").await.unwrap().entries, 1);
    }
}
