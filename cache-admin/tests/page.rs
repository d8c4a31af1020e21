//! The page in a real browser: headless Chromium, driven.

#[allow(dead_code, reason = "what is not used here, other tests use")]
mod support;

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::Router;
use axum::routing::get;
use cache_admin::Admin;
use cache_core::{Cache, Warmer};
use cache_tests::{TestStore, each_store, run};
use serde_json::{Value, json};

use support::browser::{Browser, Tab};
use support::site::Site;

const WIDE: (u32, u32) = (1_280, 900);

async fn open(site: &Site) -> (Browser, Tab) {
    let browser = Browser::start();
    let tab = browser.open(&site.page(), WIDE.0, WIDE.1).await;
    tab.until("document.querySelector('#pulse').dataset.state === 'live'").await;
    (browser, tab)
}

/// Loads keys of a prefix once, and then as hits.
async fn calls(cache: &Cache, prefix: &str, keys: u32, hits: u32) {
    for call in 0..keys * (1 + hits) {
        let load = || async { Ok::<_, Infallible>(call) };
        cache.get_or_load(format!("{prefix}:{}", call % keys), load).await.unwrap();
    }
}

/// The number in one cell of the table.
fn cell(prefix: &str, cell: &str) -> String {
    format!(
        "Number(document.querySelector('[data-prefix=\"{prefix}\"] [data-cell={cell}]')?.textContent.replaceAll(',', ''))"
    )
}

each_store! {
    async fn the_counts_on_the_page_are_those_of_the_cache(store: TestStore) {
        let cache = store.cache().await;
        let site = Site::of(Admin::new("flights", &cache)).await;
        calls(&cache, "flight", 30, 40).await;
        let (_browser, tab) = open(&site).await;
        assert_eq!(tab.eval(&cell("flight", "hits")).await, 1_200);
        assert_eq!(tab.eval(&cell("flight", "misses")).await, 30);
        assert_eq!(tab.eval("document.querySelector('[data-tile=hit-rate] .figure').textContent").await, "97.6 %");
        // Live: what comes while it is open.
        calls(&cache, "flight", 30, 1).await;
        calls(&cache, "board", 7, 3).await;
        tab.until(&format!("{} === 1_260 && {} === 21", cell("flight", "hits"), cell("board", "hits"))).await;
        let stats = cache.stats();
        let flights = stats.prefix("flight");
        assert_eq!((flights.hits, flights.misses, stats.prefix("board").misses), (1_260, 30, 7));
        // Every counter stands in the row that opens.
        tab.eval("document.querySelector('[data-prefix=flight] button').click()").await;
        tab.until("document.querySelector('[data-counter=fills]')").await;
        for (name, count) in flights.counters() {
            let shown = tab.eval(&format!("document.querySelector('[data-counter={name}]').textContent.replaceAll(',', '')")).await;
            assert_eq!(shown, count.to_string(), "{name}");
        }
    }

    async fn an_invalidation_appears_and_its_cascade_is_drawn(store: TestStore) {
        let cache = store.cache().await;
        let site = Site::of(Admin::new("flights", &cache)).await;
        let inner = cache.clone();
        let board = || async move { inner.get_or_load("flight:1", || async { Ok::<_, Infallible>(1) }).await };
        cache.get_or_load("board:DFW", board).await.unwrap();
        let (_browser, tab) = open(&site).await;
        tab.until("document.querySelector('#feed .empty').checkVisibility()").await;
        site.watched_by(1).await;
        cache.invalidate_key("flight:1").await.unwrap();
        tab.until("document.querySelector('#records li')").await;
        let told = tab.eval("document.querySelector('#records li').innerText").await;
        let told = told.as_str().unwrap();
        assert!(told.contains("flight:1") && told.contains("names") && told.contains("−2"), "{told}");
        let drawn = tab.eval("[...document.querySelectorAll('#cascade .node title')].map((node) => node.textContent)").await;
        assert_eq!(drawn, json!(["key flight:1", "2", "board 1", "flight 1"]));
    }
}

/// A key that is markup, a tag that is, and a prefix: nothing of it becomes an element, and nothing
/// of it runs.
#[test]
fn a_key_that_is_markup_stays_text() {
    const MARKUP: &str = "<img src=x onerror=\"globalThis.ran=1\">";
    run(0, async {
        let cache = Cache::in_memory();
        let key = format!("{MARKUP}:{MARKUP}");
        cache.put(key.as_str(), &1).await.unwrap();
        let load = || async { Ok::<_, Infallible>(1) };
        cache.get_or_load(key.as_str(), load).await.unwrap();
        let site = Site::of(Admin::new(MARKUP, &cache).cache("other", &cache)).await;
        let (_browser, tab) = open(&site).await;
        let shows =
            |selector: &str| format!("document.querySelector('{selector}')?.textContent.includes('<img src=x')");
        tab.until(&shows("#prefixes tbody button")).await;
        tab.until(&shows("#caches button")).await;
        tab.press("/").await;
        tab.type_text(&key).await;
        tab.until(&shows("#choices li")).await;
        tab.press("Enter").await;
        tab.until(&shows("#found .headline")).await;
        tab.eval("document.querySelector('#found .link').click()").await;
        tab.press("Escape").await;
        tab.eval("document.activeElement.blur()").await;
        tab.eval(
            "document.querySelector('[name=mode][value=key]').click(); document.querySelector('#look-go').click()",
        )
        .await;
        tab.until(&shows("#found svg .node title")).await;
        tab.until(&shows("#found .entries li")).await;
        site.watched_by(1).await;
        cache.invalidate_key(key.as_str()).await.unwrap();
        tab.until(&shows("#records .names")).await;
        tab.until(&shows("#cascade svg")).await;
        assert_eq!(tab.eval("document.querySelectorAll('img[onerror], [onerror]').length").await, 0);
        assert_eq!(tab.eval("globalThis.ran ?? null").await, Value::Null);
        // And if a line of the page forgot it, the browser would refuse.
        let refused = "(() => { try { document.body.innerHTML = 'x'; return false } catch { return true } })()";
        assert_eq!(tab.eval(refused).await, true);
    });
}

#[test]
fn it_is_read_on_a_phone_without_scrolling_sideways() {
    run(0, async {
        let cache = Cache::in_memory();
        calls(&cache, "a-prefix-with-quite-a-long-name-as-some-have", 3, 2).await;
        let key = format!("{}:{}", "k".repeat(300), "v".repeat(300));
        cache.put(key.as_str(), &1).await.unwrap();
        let warmer =
            Warmer::new(&cache).register("everything that is asked for often", || async { Ok::<_, Infallible>(()) });
        let site =
            Site::of(Admin::new("a cache with a name", &cache).warmer(&warmer).cache("another cache", &cache)).await;
        let (_browser, tab) = open(&site).await;
        tab.resize(360, 740).await;
        tab.eval("document.querySelector('#prefixes tbody button').click()").await;
        site.watched_by(1).await;
        tab.press("/").await;
        tab.type_text(&key).await;
        tab.press("Enter").await;
        tab.until("document.querySelector('#found .headline')").await;
        cache.invalidate_key(key.as_str()).await.unwrap();
        tab.until("document.querySelector('#cascade svg')").await;
        assert_eq!(tab.eval("document.documentElement.scrollWidth").await, 360);
        // What is cut off could not be read at all.
        let beyond = "[...document.querySelectorAll('main > section, header, header button, footer, #found *')]
            .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > 361 && !one.closest('.drawing, .chart'))
            .map((one) => one.outerHTML.slice(0, 80))";
        assert_eq!(tab.eval(beyond).await, json!([]));
    });
}

#[test]
fn it_is_worked_with_the_keyboard() {
    run(0, async {
        let (cache, other) = (Cache::in_memory(), Cache::in_memory());
        for key in ["flight:1", "flight:2", "gate:1"] {
            cache.put(key, &1).await.unwrap();
        }
        let site = Site::of(Admin::new("flights", &cache).cache("gates", &other)).await;
        let (_browser, tab) = open(&site).await;
        tab.press("/").await;
        assert_eq!(tab.eval("document.activeElement.id").await, "name");
        // A letter that is typed is no command.
        tab.press("p").await;
        assert_eq!(
            tab.eval("document.activeElement.value + document.querySelector('#pulse').dataset.state").await,
            "plive"
        );
        tab.eval("document.activeElement.select()").await;
        tab.type_text("fli").await;
        tab.until("document.querySelectorAll('#choices li').length === 2").await;
        tab.press("ArrowDown").await;
        tab.press("ArrowDown").await;
        tab.press("Enter").await;
        tab.until("document.querySelector('#found .headline')?.textContent === 'flight:2'").await;
        // What is told of it, and nothing that is not so.
        let facts =
            tab.eval("[...document.querySelectorAll('#found .facts dt')].map((fact) => fact.textContent)").await;
        let told = [
            "kept for",
            "size",
            "its load took",
            "stored by text",
            "codec and format",
            "version of its type",
            "no fill of a load that began before",
        ];
        assert_eq!(facts, json!(told));
        tab.press("Escape").await;
        tab.press("?").await;
        assert_eq!(tab.eval("document.querySelector('#help').open").await, true);
        tab.press("Escape").await;
        tab.until("!document.querySelector('#help').open").await;
        tab.press("c").await;
        tab.until("document.querySelector('#caches [aria-current=true]').textContent === 'gates'").await;
        tab.press("p").await;
        tab.until("document.querySelector('#pulse').dataset.state === 'paused'").await;
        tab.press("p").await;
        tab.until("document.querySelector('#pulse').dataset.state === 'live'").await;
        // Everything that can be clicked is reached with Tab, and shows where the focus is.
        let mut reached = BTreeSet::new();
        for _ in 0..14 {
            tab.press("Tab").await;
            reached.insert(
                tab.eval(
                    "document.activeElement.id || document.activeElement.name || document.activeElement.textContent",
                )
                .await
                .to_string(),
            );
        }
        for wanted in ["pause", "theme", "keys", "mode", "name", "look-go", "gates"] {
            assert!(reached.iter().any(|one| one.contains(wanted)), "{wanted}: {reached:?}");
        }
    });
}

#[test]
fn the_invalidation_that_is_drawn_is_chosen_with_the_arrows() {
    run(0, async {
        let cache = Cache::in_memory();
        let site = Site::of(Admin::new("c", &cache)).await;
        let (_browser, tab) = open(&site).await;
        site.watched_by(1).await;
        for key in ["one", "two"] {
            cache.put(key, &1).await.unwrap();
            cache.invalidate_key(key).await.unwrap();
        }
        tab.until("document.querySelectorAll('#records li').length === 4").await;
        let drawn = |name: &str| format!("document.querySelector('#cascade .root title').textContent === 'key {name}'");
        tab.until(&drawn("two")).await;
        tab.press("v").await;
        for _ in 0..3 {
            tab.press("ArrowDown").await;
        }
        tab.until(&drawn("one")).await;
    });
}

#[test]
fn it_is_light_or_dark_as_the_system_is_or_as_is_wished() {
    run(0, async {
        let site = Site::of(Admin::new("c", &Cache::in_memory())).await;
        let (_browser, tab) = open(&site).await;
        let dark = "getComputedStyle(document.body).backgroundColor === 'rgb(15, 19, 25)'";
        tab.scheme("dark").await;
        tab.until(dark).await;
        // Text is readable on it: WCAG's contrast of 4.5 for everything that is read.
        let contrast = "(() => {
            const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
                .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
                .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
            const ground = (one) => { for (; one; one = one.parentElement) { const { backgroundColor } = getComputedStyle(one); if (!/, 0\\)$|, 0\\.\\d+\\)$/.test(backgroundColor)) return backgroundColor } };
            return Math.min(...[...document.querySelectorAll('h1, h2, h3, p, small, button, label, th, .aside, #cost')].filter((one) => one.checkVisibility() && one.textContent.trim())
                .map((one) => { const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05) }));
        })()";
        assert!(tab.eval(contrast).await.as_f64().unwrap() >= 4.5);
        tab.scheme("light").await;
        tab.until(&format!("!({dark})")).await;
        assert!(tab.eval(contrast).await.as_f64().unwrap() >= 4.5);
        // From the system's to light to dark.
        tab.press("t").await;
        tab.press("t").await;
        tab.until(dark).await;
        assert_eq!(tab.eval("document.querySelector('#theme').textContent").await, "Dark");
    });
}

#[test]
fn it_asks_for_nothing_while_it_is_hidden() {
    run(0, async {
        let cache = Cache::in_memory();
        let site = Site::of(Admin::new("c", &cache)).await;
        let (browser, tab) = open(&site).await;
        site.watched_by(1).await;
        // A tab in front of it hides it.
        let front = browser.open("about:blank", 400, 400).await;
        tab.until("document.hidden && document.querySelector('#pulse').dataset.state === 'hidden'").await;
        site.watched_by(0).await;
        // More than the page's pause later, by its own clock, nobody but this test has asked.
        let asked = site.told("api/stats").await["admin"]["requests"].as_u64().unwrap();
        tab.eval("new Promise((resolve) => setTimeout(resolve, 5_000))").await;
        assert_eq!(site.told("api/stats").await["admin"]["requests"], asked + 1);
        front.close().await;
        tab.to_front().await;
        tab.until("!document.hidden && document.querySelector('#pulse').dataset.state === 'live'").await;
        site.watched_by(1).await;
    });
}

#[test]
fn actions_are_offered_only_where_they_are_allowed_and_asked_back() {
    run(0, async {
        let cache = Cache::in_memory();
        cache.put("flight:1", &1).await.unwrap();
        let of = cache.clone();
        let warmer = Warmer::new(&cache).register("the first", move || {
            let cache = of.clone();
            async move { cache.get_or_load("flight:1", || async { Ok::<_, Infallible>(1) }).await }
        });
        let preview = "document.querySelector('[name=mode][value=key]').click();
            document.querySelector('#name').value = 'flight:1'; document.querySelector('#look-go').click()";
        let site = Site::of(Admin::new("c", &cache).warmer(&warmer)).await;
        let (browser, tab) = open(&site).await;
        tab.eval(preview).await;
        tab.until("document.querySelector('#found svg')").await;
        assert_eq!(tab.eval("document.querySelector('#invalidate')").await, Value::Null);
        assert_eq!(tab.eval("document.querySelector('#warmers button').disabled").await, true);

        let site = Site::of(Admin::new("c", &cache).warmer(&warmer).allow_actions()).await;
        let tab = browser.open(&site.page(), WIDE.0, WIDE.1).await;
        tab.until("document.querySelector('#pulse').dataset.state === 'live'").await;
        tab.eval(preview).await;
        tab.until("document.querySelector('#invalidate')").await;
        tab.eval("document.querySelector('#invalidate').click()").await;
        tab.until("document.querySelector('#confirm').open").await;
        // What is pressed first cancels.
        tab.press("Enter").await;
        tab.until("!document.querySelector('#confirm').open").await;
        assert_eq!(cache.peek::<i32>("flight:1").await.unwrap(), Some(1));
        tab.eval("document.querySelector('#invalidate').click()").await;
        tab.eval("document.querySelector('#confirm [value=yes]').click()").await;
        tab.until("document.querySelector('#found .headline').textContent === '1 entry was removed'").await;
        assert_eq!(cache.peek::<i32>("flight:1").await.unwrap(), None);
        tab.eval("document.querySelector('#warmers button').click()").await;
        tab.until("document.querySelector('#warm-progress').textContent.includes('1 of 1 are warm. Done.')").await;
        assert_eq!(cache.peek::<i32>("flight:1").await.unwrap(), Some(1));
    });
}

/// A page of another site, in the same browser, tries what it can.
#[test]
fn another_site_changes_nothing() {
    run(0, async {
        let cache = Cache::in_memory();
        cache.put("k", &1).await.unwrap();
        let site = Site::of(Admin::new("c", &cache).allow_actions()).await;
        let evil: Router = Router::new().route("/", get(|| async { axum::response::Html("<p>evil</p>") }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The same address under another name is another site.
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        tokio::spawn(async move { axum::serve(listener, evil).await });
        let browser = Browser::start();
        let tab = browser.open(&url, WIDE.0, WIDE.1).await;
        let target = format!("{}/api/invalidate", site.page());
        let send = |headers: &str, mode: &str| {
            format!(
                "fetch('{target}', {{ method: 'POST', mode: '{mode}', headers: {headers}, body: '{{\"keys\": [\"k\"]}}' }})
                    .then((answer) => answer.type, (error) => error.name)"
            )
        };
        // It is sent, and not even the refusal may be read.
        assert_eq!(tab.eval(&send("{}", "no-cors")).await, "TypeError");
        assert_eq!(site.told("api/stats").await["admin"]["requests"], 1);
        assert_eq!(
            tab.eval(&send("{ 'x-cache-admin': '1', 'content-type': 'application/json' }", "cors")).await,
            "TypeError"
        );
        let form = format!(
            "new Promise((resolve) => {{
                const frame = Object.assign(document.createElement('iframe'), {{ name: 'f' }});
                const form = Object.assign(document.createElement('form'), {{ action: '{target}', method: 'post', target: 'f', enctype: 'text/plain' }});
                const field = Object.assign(document.createElement('input'), {{ name: '{{\"keys\": [\"k\"], \"x\": \"', value: '\"}}' }});
                form.append(field); document.body.append(frame, form);
                frame.addEventListener('load', () => resolve('loaded')); form.submit();
            }})"
        );
        assert_eq!(tab.eval(&form).await, "loaded");
        assert!(site.told("api/stats").await["admin"]["requests"].as_u64() >= Some(3), "the form was sent");
        assert_eq!(cache.peek::<i32>("k").await.unwrap(), Some(1));
        let told = site.told("api/stats").await;
        assert_eq!(told["stats"]["total"]["invalidated"], 0, "{told}");
    });
}
