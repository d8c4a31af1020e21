//! Every path of the interface, over real HTTP.

#[allow(dead_code, reason = "what is not used here, other tests use")]
mod support;

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::{HeaderValue, Method};
use cache_admin::Admin;
use cache_core::{Cache, Invalidation, Warmer, cached};
use cache_tests::{Server, TestStore, each_server, each_store, ready, run};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use support::site::{ACTION, Site};

#[cached(prefix = "flight", ttl = "60s", tags = ["airport:{result}"], skip(cache), cache = cache)]
async fn flight(cache: &Cache, id: u64) -> String {
    if id.is_multiple_of(2) { "DFW".to_owned() } else { "BOS".to_owned() }
}

#[cached(prefix = "board", ttl = "60s", skip(cache), cache = cache)]
async fn board(cache: &Cache, first: u64) -> Vec<String> {
    vec![flight(cache, first).await, flight(cache, first + 2).await]
}

/// Two boards of Dallas, and one flight of Boston.
async fn filled(cache: &Cache) {
    board(cache, 2).await;
    board(cache, 4).await;
    flight(cache, 3).await;
}

async fn site(store: &TestStore) -> (Site, Cache) {
    let cache = store.cache().await;
    (Site::of(Admin::new("flights", &cache).allow_actions()).await, cache)
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

each_store! {
    async fn the_counters_are_those_of_the_cache(store: TestStore) {
        let (site, cache) = site(&store).await;
        filled(&cache).await;
        flight(&cache, 3).await;
        let told = site.told("api/stats").await;
        assert_eq!(told["stats"], json!(cache.stats()));
        let flights = &told["stats"]["prefixes"]["flight"];
        assert_eq!((&flights["hits"], &flights["misses"]), (&json!(2), &json!(4)));
        let metrics = told["metrics"].as_array().unwrap();
        let loads = metrics.iter().find(|metric| metric["name"] == "cache_load_duration_seconds").unwrap();
        let of_flights = loads["samples"].as_array().unwrap().iter().find(|sample| sample["labels"]["prefix"] == "flight");
        assert_eq!((&loads["kind"], &of_flights.unwrap()["count"]), (&json!("histogram"), &json!(4)));
        assert_eq!(told["memory"].is_null(), store.kind().is_some());
        let few = site.told("api/stats?metric=cache_loads_total&metric=cache_owed_invalidations_total").await;
        let names: Vec<_> = few["metrics"].as_array().unwrap().iter().map(|metric| &metric["name"]).collect();
        assert_eq!(names, ["cache_loads_total"], "what has counted nothing is left out");
    }

    async fn a_refused_fill_is_told_with_its_reason(store: TestStore) {
        let (site, cache) = site(&store).await;
        let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let load = {
            let (cache, began, go) = (cache.clone(), began.clone(), go.clone());
            let load = async move || {
                began.notify_one();
                go.notified().await;
                Ok::<_, Infallible>(1)
            };
            tokio::spawn(async move { cache.get_or_load("flight:1", load).await })
        };
        began.notified().await;
        cache.invalidate_key("flight:1").await.unwrap();
        go.notify_one();
        load.await.unwrap().unwrap();
        let told = site.told("api/stats").await;
        assert_eq!(told["unstored"], json!({ "flight": { "invalidated": 1 } }));
        let reason = &told["reasons"]["invalidated"];
        assert!(reason["words"].as_str().unwrap().contains("invalidated while it was loaded"), "{reason}");
        assert_eq!(reason["way_out"], Value::Null);
        // It is no mistake, so nothing has to be done.
        assert_eq!(site.told("api/health").await["findings"], json!([]));
    }

    async fn a_key_is_explained(store: TestStore) {
        let (site, cache) = site(&store).await;
        filled(&cache).await;
        let told = site.told("api/explain?key=flight:2").await;
        assert_eq!((&told["cache"], &told["key"], &told["prefix"]), (&json!("flights"), &json!("flight:2"), &json!("flight")));
        assert!(told["entry"]["payload_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{told}");
        assert!(told["names"].as_array().unwrap().iter().any(|name| name["text"] == "airport:DFW"), "{told}");
        assert_eq!(told["first_dependents"], json!([{ "key": "board:2", "is_stored": true }]));
        assert_eq!(site.told("api/explain?key=flight:99").await["entry"], Value::Null);
    }

    async fn a_preview_tells_the_cascade_and_touches_nothing(store: TestStore) {
        let (site, cache) = site(&store).await;
        filled(&cache).await;
        let told = site.told("api/preview?key=flight:4&key=flight:3").await;
        let keys: Vec<_> = told["entries"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect();
        assert_eq!(keys, ["board:2", "board:4", "flight:3", "flight:4"]);
        assert_eq!((&told["entries"][0]["cause"], &told["total"]), (&json!({ "key": "flight:4" }), &json!(4)));
        let cut = site.told("api/preview?tag=airport:DFW&pattern=flight:3&limit=1").await;
        assert_eq!((cut["entries"].as_array().unwrap().len(), &cut["total"]), (1, &json!(6)));
        assert_eq!(cache.peek::<String>("flight:4").await.unwrap().as_deref(), Some("DFW"));
    }

    async fn an_invalidation_is_told_when_it_has_ended(store: TestStore) {
        let (site, cache) = site(&store).await;
        filled(&cache).await;
        let mut events = site.get("api/events").await;
        assert_eq!(events.headers["content-type"], "text/event-stream");
        let (hello, told) = events.event().await.unwrap();
        assert_eq!((&*hello, &told["caches"]), ("hello", &json!(["flights"])));
        let invalidated = cache.invalidate(Invalidation::new().tag("airport:DFW").key("flight:9")).await.unwrap();
        let (event, told) = events.event().await.unwrap();
        assert_eq!((&*event, &told["cache"], &told["kind"], &told["outcome"]), ("invalidation", &json!("flights"), &json!("names"), &json!("ok")));
        let named = told["named"].as_array().unwrap();
        assert!(named.contains(&json!({ "tag": "airport:DFW" })) && named.contains(&json!({ "key": "flight:9" })), "{told}");
        assert_eq!((&told["removed"], &told["named_total"], &told["error"]), (&json!(invalidated.entries), &json!(2), &Value::Null));
        assert_eq!(told["removed_by_prefix"], json!({ "board": 2, "flight": 3 }));
    }

    async fn an_action_invalidates(store: TestStore) {
        let (site, cache) = site(&store).await;
        filled(&cache).await;
        let answer = site.act("api/invalidate", r#"{"keys": ["flight:3"], "tags": ["airport:DFW"], "patterns": ["x*"]}"#).await;
        assert_eq!(answer.json().await, json!({ "cache": "flights", "removed": 6 }));
        assert_eq!(cache.peek::<String>("flight:3").await.unwrap(), None);
    }

    async fn an_action_warms_and_tells_how_far_it_is(store: TestStore) {
        let cache = store.cache().await;
        let warmer = Warmer::new(&cache).register_keys("even ones", || async { Ok::<_, Infallible>(["flight:2", "flight:4"]) });
        let of = cache.clone();
        let warmer = warmer.loader("flight", move |id| {
            let cache = of.clone();
            async move { Ok::<_, std::num::ParseIntError>(flight(&cache, id.parse()?).await) }
        });
        let site = Site::of(Admin::new("flights", &cache).warmer(&warmer).allow_actions()).await;
        let told = site.told("api/caches").await;
        assert_eq!(told["caches"][0]["warm"], json!({ "warmers": ["even ones"], "prefixes": ["flight"] }));
        let mut lines = site.act("api/warm", r#"{"warmers": ["even ones"], "keys": ["flight:1", "flight:x"]}"#).await;
        let mut last = lines.line().await.unwrap();
        while let Some(line) = lines.line().await {
            last = line;
        }
        assert_eq!((&last["total"], &last["done"], &last["failed"], &last["ended"]), (&json!(4), &json!(3), &json!(1), &json!(true)));
        assert_eq!(last["errors"][0]["name"], "flight:x");
        assert_eq!(cache.stats().prefix("flight").fills, 3);
        let mut lines = site.act("api/warm", "{}").await;
        assert_eq!(lines.line().await.unwrap()["ended"], Value::Null, "progress comes first");
    }
}

each_server! {
    /// A key that another cache's process writes is explained and removed here.
    async fn the_page_of_one_process_sees_the_entries_of_another(store: TestStore) {
        let (site, _) = site(&store).await;
        let there = store.another_process().await;
        there.put("flight:7", &7).await.unwrap();
        assert!(site.told("api/explain?key=flight:7").await["entry"].is_object());
        let removed = site.act("api/invalidate", r#"{"keys": ["flight:7"]}"#).await.json().await;
        assert_eq!(removed["removed"], 1);
    }
}

/// On a server of its own: a completion looks at 20,000 keys, and the shared one may have more.
async fn names_are_completed(cache: Cache) {
    let site = Site::of(Admin::new("flights", &cache)).await;
    filled(&cache).await;
    cache.put("flight*:1", &1).await.unwrap();
    let told = site.told("api/keys?text=flight").await;
    assert_eq!(texts(&told["keys"]), ["flight*:1", "flight:2", "flight:3", "flight:4", "flight:6"]);
    assert_eq!(told["complete"], true);
    assert_eq!(texts(&site.told("api/keys?text=airport").await["tags"]), ["airport:BOS", "airport:DFW"]);
    // What is typed is taken literally.
    assert_eq!(texts(&site.told("api/keys?text=flight*").await["keys"]), ["flight*:1"]);
    let first = site.told("api/keys?text=flight:&limit=2").await;
    assert_eq!((texts(&first["keys"]).len(), &first["complete"]), (2, &json!(false)));
}

each_server! {
    async fn names_on_a_server_are_completed(store: TestStore) {
        let server = Server::start(store.kind().unwrap());
        names_are_completed(ready(Cache::builder().url(server.url())).await).await;
    }
}

#[test]
fn names_in_memory_are_completed() {
    run(0, names_are_completed(Cache::in_memory()));
}

#[test]
fn an_action_needs_leave_and_a_header_that_no_form_can_send() {
    run(0, async {
        let cache = Cache::in_memory();
        cache.put("k", &1).await.unwrap();
        let body = r#"{"keys": ["k"]}"#;
        let reader = Site::of(Admin::new("c", &cache)).await;
        assert_eq!(reader.told("api/caches").await["actions"], false);
        let site = Site::of(Admin::new("c", &cache).allow_actions()).await;
        for path in ["api/invalidate", "api/warm"] {
            assert_eq!(reader.act(path, body).await.refusal().await, (403, "forbidden".to_owned()));
            // A form: no header, and a body that may look like JSON.
            let form = site.send(Method::POST, path, &[("content-type", "text/plain")], body).await;
            assert_eq!(form.refusal().await, (403, "forbidden".to_owned()));
            let foreign = [ACTION[0], ACTION[1], ("sec-fetch-site", "cross-site")];
            assert_eq!(
                site.send(Method::POST, path, &foreign, body).await.refusal().await,
                (403, "forbidden".to_owned())
            );
            // What a browser asks before it lets another site's script send the header.
            let asked = [("origin", "https://evil.example"), ("access-control-request-headers", "x-cache-admin")];
            let answer = site.send(Method::OPTIONS, path, &asked, "").await;
            assert!(
                !answer.headers.keys().any(|name| name.as_str().starts_with("access-control")),
                "{:?}",
                answer.headers
            );
            assert_eq!(site.get(path).await.status, 405);
        }
        assert_eq!(cache.peek::<i32>("k").await.unwrap(), Some(1));
        assert_eq!(site.act("api/invalidate", body).await.json().await["removed"], 1);
    });
}

#[test]
fn what_is_asked_wrongly_is_refused_with_a_reason() {
    run(0, async {
        let cache = Cache::in_memory();
        let warmer = Warmer::new(&cache);
        let site = Site::of(Admin::new("c", &cache).warmer(&warmer).cache("bare", &cache).allow_actions()).await;
        for (path, status, kind) in [
            ("api/stats?cache=none", 404, "not_found"),
            ("api/events?cache=none", 404, "not_found"),
            ("api/nothing", 404, "not_found"),
            ("page/page.html", 404, "not_found"),
            ("api/explain", 400, "bad_request"),
            ("api/explain?key=", 400, "config"),
            ("api/explain?key=~clock", 400, "config"),
            ("api/preview", 400, "bad_request"),
            ("api/preview?key=a&limit=many", 400, "bad_request"),
        ] {
            assert_eq!(site.get(path).await.refusal().await, (status, kind.to_owned()), "{path}");
        }
        let many: Vec<String> = (0..1_001).map(|key| format!("key={key}")).collect();
        assert_eq!(site.get(&format!("api/preview?{}", many.join("&"))).await.refusal().await.0, 400);
        let large = format!(r#"{{"keys": ["{}"]}}"#, "x".repeat(70_000));
        for (path, body, status, kind) in [
            ("api/invalidate", "{}", 400, "bad_request"),
            ("api/invalidate", r#"{"key": "k"}"#, 400, "bad_request"),
            ("api/invalidate", &*large, 413, "too_large"),
            ("api/warm", r#"{"warmers": ["none"]}"#, 404, "not_found"),
            ("api/warm?cache=bare", "{}", 404, "not_found"),
        ] {
            assert_eq!(site.act(path, body).await.refusal().await, (status, kind.to_owned()), "{path} {kind}");
        }
    });
}

#[test]
fn several_caches_are_told_apart() {
    run(0, async {
        let (one, other) = (Cache::in_memory(), Cache::in_memory());
        let site = Site::of(Admin::new("one", &one).cache("other", &other)).await;
        other.put("k", &1).await.unwrap();
        let names: Vec<_> = site.told("api/caches").await["caches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cache| cache["name"].clone())
            .collect();
        assert_eq!(names, ["one", "other"]);
        assert_eq!(site.told("api/stats").await["cache"], "one");
        assert_eq!(site.told("api/explain?cache=other&key=k").await["entry"]["payload_bytes"], 1);
        assert_eq!(site.told("api/explain?key=k").await["entry"], Value::Null);
        let (mut all, mut single) = (site.get("api/events").await, site.get("api/events?cache=one").await);
        assert_eq!(all.event().await.unwrap().1["caches"], json!(["one", "other"]));
        assert_eq!(single.event().await.unwrap().1["caches"], json!(["one"]));
        other.invalidate_key("k").await.unwrap();
        one.invalidate_key("k").await.unwrap();
        let caches = [all.event().await.unwrap().1["cache"].clone(), all.event().await.unwrap().1["cache"].clone()];
        assert!(caches.contains(&json!("one")) && caches.contains(&json!("other")), "{caches:?}");
        assert_eq!(single.event().await.unwrap().1["cache"], "one");
    });
}

#[test]
fn streams_end_when_the_program_stops_and_have_a_limit() {
    run(0, async {
        let (stop, stopped) = oneshot::channel::<()>();
        let cache = Cache::in_memory();
        let site = Site::of(Admin::new("c", &cache).until(async { _ = stopped.await })).await;
        let mut streams = Vec::new();
        for _ in 0..32 {
            let mut stream = site.get("api/events").await;
            assert_eq!(stream.event().await.unwrap().0, "hello");
            streams.push(stream);
        }
        assert_eq!(site.get("api/events").await.refusal().await, (429, "busy".to_owned()));
        assert_eq!(site.told("api/stats").await["admin"]["streams"], 32);
        stop.send(()).unwrap();
        for mut stream in streams {
            assert_eq!(stream.event().await, None);
        }
        assert_eq!(site.told("api/stats").await["admin"]["streams"], 0);
    });
}

#[test]
fn what_is_wrong_is_found_with_what_to_do_about_it() {
    run(0, async {
        // Nobody listens there.
        let cache = Cache::builder().url("redis://127.0.0.1:1").namespace("away").build().unwrap();
        let site = Site::of(Admin::new("c", &cache)).await;
        let told = site.told("api/health").await;
        let finding = &told["findings"][0];
        assert_eq!((&told["good"], &finding["severity"]), (&json!(false), &json!("critical")), "{told}");
        assert!(["disconnected", "breaker_open"].contains(&finding["id"].as_str().unwrap()), "{told}");
        assert!(finding["what_to_do"].as_str().unwrap().contains("loads meanwhile"), "{told}");
        let mut events = site.get("api/events").await;
        events.event().await.unwrap();
        let error = cache.invalidate_key("k").await.unwrap_err();
        let told = events.event().await.unwrap().1;
        assert_eq!((&told["outcome"], &told["removed"]), (&json!("failed"), &json!(0)));
        assert_eq!(told["error"], error.to_string());
        let told = site.told("api/health").await;
        let ids: Vec<_> =
            told["findings"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect();
        assert!(ids.contains(&"owes_invalidations") && told["owed_names"] == 1, "{told}");

        let cache = Cache::builder().value_bytes_max(100).build().unwrap();
        let site = Site::of(Admin::new("c", &cache)).await;
        assert_eq!(site.told("api/health").await["findings"], json!([]));
        let long = || async { Ok::<_, Infallible>("x".repeat(200)) };
        cache.get_or_load("big:1", long).await.unwrap();
        let told = site.told("api/health").await;
        let finding = &told["findings"][0];
        assert_eq!(
            (&finding["id"], &finding["severity"], &told["good"]),
            (&json!("unstored:too_large:big"), &json!("warning"), &json!(true))
        );
        assert!(finding["what_to_do"].as_str().unwrap().contains("value_bytes_max"), "{told}");
    });
}

/// A key without a `:` is its own prefix, and may be made of anything.
#[test]
fn a_prefix_that_is_a_whole_key_is_not_said() {
    run(0, async {
        let cache = Cache::builder().value_bytes_max(100).build().unwrap();
        let long = || async { Ok::<_, Infallible>("x".repeat(200)) };
        // Often enough to be found hardly ever a hit.
        for _ in 0..1_000 {
            cache.get_or_load("hush", long).await.unwrap();
        }
        let site = Site::of(Admin::new("c", &cache)).await;
        for path in ["api/stats", "api/health"] {
            let text = site.get(path).await.text().await;
            assert!(text.contains("too_large") && text.contains("~other") && !text.contains("hush"), "{text}");
        }
    });
}

#[test]
fn what_the_page_costs_is_counted() {
    run(0, async {
        let cache = Cache::in_memory();
        let site = Site::of(Admin::new("c", &cache)).await;
        let text = site.get("api/stats").await.text().await;
        let first: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&first["admin"]["requests"], &first["admin"]["bytes"]), (&json!(0), &json!(0)));
        let second = site.told("api/stats").await;
        assert_eq!((&second["admin"]["requests"], &second["admin"]["bytes"]), (&json!(1), &json!(text.len())));
        assert!(second["admin"]["busy_us"].is_u64(), "{second}");
    });
}

#[test]
fn every_answer_is_protected_and_every_link_is_relative() {
    run(0, async {
        let site = Site::of(Admin::new("c", &Cache::in_memory())).await;
        // Relative to the last part, so that it holds behind a proxy that takes `/ops` off.
        let entrance = site.entrance().await;
        assert_eq!(
            (entrance.status.as_u16(), &entrance.headers["location"]),
            (307, &HeaderValue::from_static("./cache/page"))
        );
        for path in ["page", "page/page.js", "page/page.css", "api/stats", "api/none", "api/explain"] {
            let answer = site.get(path).await;
            let policy = answer.headers["content-security-policy"].to_str().unwrap();
            for part in [
                "default-src 'none'",
                "script-src 'self'",
                "frame-ancestors 'none'",
                "form-action 'none'",
                "require-trusted-types-for 'script'",
            ] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
        }
        let page = site.get("page").await.text().await;
        for link in page
            .split(['"', '\''])
            .filter(|text| text.contains(".js") || text.contains(".css") || text.contains(".svg"))
        {
            assert!(link.starts_with("page/"), "{link}");
            assert_eq!(site.get(link).await.status, 200, "{link}");
        }
    });
}
