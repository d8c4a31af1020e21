//! `explain`, `preview`, `keys` and `tags` say what the library says.

use cache_core::{Cache, StoreKey, cached};
use cache_tests::{TestStore, each_deployment, each_server};
use serde_json::json;

use crate::program::{Said, at};

#[cached(prefix = "flight", ttl = "1h", tags = ["airport:{origin}"], skip(cache), cache = cache)]
async fn flight(cache: &Cache, id: u64, origin: &str) -> String {
    format!("{id} from {origin}")
}

#[cached(prefix = "board", ttl = "1h", skip(cache), cache = cache)]
async fn board(cache: &Cache, origin: &str) -> Vec<String> {
    vec![flight(cache, 42, origin).await]
}

async fn filled(store: &TestStore) -> Cache {
    let cache = store.cache().await;
    board(&cache, "DFW").await;
    flight(&cache, 7, "JFK").await;
    cache
}

async fn cachectl(store: &TestStore, arguments: &[&str]) -> Said {
    at(store.url(), store.namespace(), arguments).await
}

each_deployment! {
    async fn a_key_is_explained_as_the_library_does(store: TestStore) {
        let cache = filled(&store).await;
        let told = cachectl(&store, &["explain", "flight:42:DFW", "--json"]).await.json();
        assert_eq!(told["key"], "flight:42:DFW");
        let place = cache.physical_key(StoreKey::Value("flight:42:DFW"));
        assert_eq!(told["physical_key"].as_str(), place.as_deref());
        assert_eq!((&told["dependents"], &told["first_dependents"][0]["key"]), (&json!(1), &json!("board:DFW")));
        let names: Vec<_> = told["names"].as_array().unwrap().iter().map(|name| name["text"].clone()).collect();
        assert_eq!(names, ["flight:42:DFW", "airport:DFW"]);
        let words = cachectl(&store, &["explain", "flight:42:DFW"]).await;
        assert_eq!(words.code, 0, "{words:?}");
        assert!(words.out.contains("tag airport:DFW") && !words.out.contains("42 from DFW"), "{words:?}");
        let missing = cachectl(&store, &["explain", "flight:1", "--json"]).await.json();
        assert_eq!(missing["entry"], json!(null));
        drop(cache);
    }

    async fn a_preview_names_what_would_fall_and_removes_nothing(store: TestStore) {
        let cache = filled(&store).await;
        for (names, falls) in [
            (&["--tag", "airport:DFW"][..], &["board:DFW", "flight:42:DFW"][..]),
            (&["--key", "flight:7:JFK", "--key", "board:DFW"], &["board:DFW", "flight:7:JFK"]),
            (&["--pattern", "flight:*"], &["board:DFW", "flight:42:DFW", "flight:7:JFK"]),
            (&["--everything"], &["board:DFW", "flight:42:DFW", "flight:7:JFK"]),
        ] {
            let told = cachectl(&store, &[&["preview", "--json"], names].concat()).await.json();
            let keys: Vec<_> = told["entries"].as_array().unwrap().iter().map(|entry| entry["key"].clone()).collect();
            assert_eq!(keys, falls, "{names:?}");
        }
        let words = cachectl(&store, &["preview", "--tag", "airport:DFW"]).await;
        assert!(words.out.starts_with("2 entries would be removed\n  board:DFW  ("), "{words:?}");
        assert!(cache.peek::<String>(flight::key(&42, "DFW")).await.unwrap().is_some());
        assert_eq!(cachectl(&store, &["preview"]).await.code, 2, "it names nothing");
    }

    async fn keys_and_tags_are_listed_in_order_and_counted(store: TestStore) {
        let cache = filled(&store).await;
        let listed = async |arguments: &[&str]| cachectl(&store, &[arguments, &["--json"]].concat()).await.json();
        let keys = json!(["board:DFW", "flight:42:DFW", "flight:7:JFK"]);
        assert_eq!(listed(&["keys"]).await, json!({ "keys": keys, "complete": true }));
        assert_eq!(listed(&["keys", "flight:?:*"]).await, json!({ "keys": ["flight:7:JFK"], "complete": true }));
        let some = listed(&["keys", "--limit", "1"]).await;
        assert_eq!((some["keys"].as_array().unwrap().len(), &some["complete"]), (1, &json!(false)));
        assert_eq!(listed(&["tags"]).await, json!({ "tags": ["airport:DFW", "airport:JFK"], "complete": true }));
        let counts = json!({ "total": 3, "prefixes": { "board": 1, "flight": 2 } });
        assert_eq!(listed(&["keys", "--count"]).await, counts);
        let words = cachectl(&store, &["keys", "--limit", "2"]).await;
        assert_eq!(words.out.lines().count(), 2, "{words:?}");
        assert!(words.err.contains("there are more"), "{words:?}");
        let all = cachectl(&store, &["tags", "--all", "--json"]).await;
        let mut lines: Vec<_> = all.out.lines().collect();
        lines.sort_unstable();
        // A tag is told on the page of each partition that has some of it.
        lines.dedup();
        assert_eq!(lines, ["\"airport:DFW\"", "\"airport:JFK\""], "{all:?}");
        let counted = cachectl(&store, &["keys", "--count"]).await;
        assert_eq!(counted.err, "", "no progress without a terminal");
        drop(cache);
    }

}

each_server! {
    /// It has what no key of ours has.
    async fn a_key_of_another_program_is_not_listed_and_moves_no_cursor(store: TestStore) {
        store.cache().await;
        store.raw().await.set(&format!("{}:a\x1b[2Jb", store.namespace()), b"x").await;
        let said = cachectl(&store, &["keys"]).await;
        assert_eq!((said.code, &*said.out), (0, ""), "{said:?}");
        let told = cachectl(&store, &["keys", "--json"]).await;
        assert_eq!(told.json()["keys"], json!([]));
    }
}
