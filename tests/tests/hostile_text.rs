//! Whatever text somebody sends as an argument, it reaches no other key, tag, pattern, dependency
//! or argument of a script: what is stored and what falls is what the arguments say, on each store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cache_core::{Cache, cached, escape_glob, invalidates, write_through};
use cache_tests::{TestStore, each_store, hostile_texts};

type Pair = (String, String);

#[derive(Clone)]
struct App {
    cache: Cache,
    loads: Arc<AtomicUsize>,
}

impl App {
    async fn new(store: &TestStore) -> Self {
        Self { cache: store.cache().await, loads: Arc::default() }
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    fn load(&self, left: &str, right: &str) -> Pair {
        self.loads.fetch_add(1, Ordering::SeqCst);
        (left.to_owned(), right.to_owned())
    }

    async fn is_stored(&self, (left, right): &Pair) -> bool {
        self.cache.peek(pair::key(left, right)).await.unwrap().is_some()
    }

    /// Those of `pairs` that are gone; they are stored again.
    async fn fallen(&self, pairs: &BTreeSet<Pair>) -> BTreeSet<Pair> {
        let mut fallen = BTreeSet::new();
        for of in pairs {
            if !self.is_stored(of).await {
                fallen.insert(of.clone());
                pair(self, &of.0, &of.1).await;
            }
        }
        fallen
    }
}

#[cached(prefix = "pair", ttl = "1h", tags = ["left:{left}", "of:{right}:{left}"], skip(app), cache = app.cache)]
async fn pair(app: &App, left: &str, right: &str) -> Pair {
    app.load(left, right)
}

#[cached(prefix = "worded", ttl = "1h", key = "{left}:of:{right}", skip(app), cache = app.cache)]
async fn worded(app: &App, left: &str, right: &str) -> Pair {
    app.load(left, right)
}

#[cached(prefix = "listed", ttl = "1h", skip(app), cache = app.cache)]
async fn listed(app: &App, both: &[&str]) -> Pair {
    app.load(both[0], both[1])
}

#[cached(prefix = "above", ttl = "1h", depends_on = [pair(left, right)], skip(app), cache = app.cache)]
async fn above(app: &App, left: &str, right: &str) -> Pair {
    app.load(left, right)
}

#[invalidates(keys = [pair(left, right)], cache = app.cache)]
async fn forget(app: &App, left: &str, right: &str) {
    _ = (app, left, right);
}

#[invalidates(tags = ["left:{left}"], cache = app.cache)]
async fn forget_left(app: &App, left: &str) {
    _ = (app, left);
}

#[invalidates(tags = ["of:{right}:{left}"], cache = app.cache)]
async fn forget_of(app: &App, left: &str, right: &str) {
    _ = (app, left, right);
}

#[invalidates(patterns = ["pair:{left}:*"], cache = app.cache)]
async fn forget_matching(app: &App, left: &str) {
    _ = (app, left);
}

#[write_through(pair(left, right), cache = app.cache)]
async fn write(app: &App, left: &str, right: &str) -> Pair {
    _ = app;
    (left.to_owned(), right.to_owned())
}

/// Argument lists that are easily taken for each other: neighbours, the same two in the other
/// order, and the two that a text comes apart into.
fn pairs() -> BTreeSet<Pair> {
    let texts = hostile_texts(20);
    let mut pairs = BTreeSet::new();
    for (at, text) in texts.iter().enumerate() {
        let next = texts[(at + 1) % texts.len()].clone();
        pairs.insert((text.clone(), String::new()));
        if at % 2 == 0 {
            pairs.insert((next.clone(), text.clone()));
            pairs.insert((text.clone(), next));
        }
        if let Some((cut, _)) = text.char_indices().nth(1) {
            pairs.insert((text[..cut].to_owned(), text[cut..].to_owned()));
        }
    }
    pairs
}

/// The whole key is a digest, and no pattern over its arguments finds it.
fn is_shortened((left, right): &Pair) -> bool {
    pair::key(left, right).as_str().starts_with("pair:#")
}

each_store! {
    async fn each_argument_list_has_an_entry_of_its_own(store: TestStore) {
        let (app, pairs) = (App::new(&store).await, pairs());
        for pass in 1..=2 {
            for of in &pairs {
                let (left, right) = of;
                assert_eq!(&pair(&app, left, right).await, of);
                assert_eq!(&worded(&app, left, right).await, of);
                assert_eq!(&above(&app, left, right).await, of);
            }
            assert_eq!(app.loads(), 3 * pairs.len(), "pass {pass}");
        }
        let keys: BTreeSet<String> = pairs.iter().map(|(left, right)| pair::key(left, right).to_string()).collect();
        assert_eq!(keys.len(), pairs.len());
        for of in pairs.iter().take(50) {
            assert_eq!(&listed(&app, &[&of.0, &of.1]).await, of);
        }
        assert_eq!(app.loads(), 3 * pairs.len() + 50);
        if store.kind().is_none() {
            return;
        }
        let root = format!("{}:", store.namespace());
        let mut values = 0;
        for key in store.raw().await.keys(store.namespace()).await {
            let key = key.strip_prefix(&root).unwrap();
            assert!(!key.contains(char::is_control), "{key:?}");
            match key.strip_prefix('~') {
                None => values += 1,
                Some(kept) => {
                    let is_known = ["clock", "due"].contains(&kept)
                        || ["index:kpair:", "index:tleft:", "index:tof:", "lease:", "index:kabove:", "index:kworded:"]
                            .iter()
                            .any(|known| kept.starts_with(known));
                    assert!(is_known, "{key}");
                }
            }
        }
        assert_eq!(values, 3 * pairs.len() + 50);
    }

    async fn what_is_invalidated_with_an_argument_is_what_has_that_argument(store: TestStore) {
        let (app, pairs) = (App::new(&store).await, pairs());
        assert_eq!(app.fallen(&pairs).await.len(), pairs.len());
        for (turn, of) in pairs.iter().enumerate().step_by(9) {
            let (left, right) = of;
            let same_left = || pairs.iter().filter(|pair| pair.0 == *left).cloned();
            let (expected, by): (BTreeSet<Pair>, _) = match turn / 9 % 5 {
                0 => {
                    forget(&app, left, right).await;
                    ([of.clone()].into(), "its key")
                }
                1 => {
                    forget_left(&app, left).await;
                    (same_left().collect(), "a tag with one argument")
                }
                2 => {
                    forget_of(&app, left, right).await;
                    ([of.clone()].into(), "a tag with both")
                }
                3 => {
                    forget_matching(&app, left).await;
                    (same_left().filter(|pair| !is_shortened(pair)).collect(), "a pattern")
                }
                _ => {
                    // Through the dependency: `above` falls, and nothing else with it.
                    above(&app, left, right).await;
                    forget(&app, left, right).await;
                    assert!(app.cache.peek(above::key(left, right)).await.unwrap().is_none());
                    ([of.clone()].into(), "a dependency")
                }
            };
            assert_eq!(app.fallen(&pairs).await, expected, "by {by} of {of:?}");
        }
    }

    async fn what_is_written_is_under_its_own_arguments(store: TestStore) {
        let (app, pairs) = (App::new(&store).await, pairs());
        for (left, right) in &pairs {
            write(&app, left, right).await;
        }
        for of in &pairs {
            assert_eq!(&pair(&app, &of.0, &of.1).await, of);
        }
        assert_eq!(app.loads(), 0);
    }

    /// Text is a name or is refused, and then nothing has happened.
    async fn text_that_is_given_as_a_name_is_that_name_or_an_error(store: TestStore) {
        let app = App::new(&store).await;
        app.cache.put("kept", &0u64).await.unwrap();
        let mut named = Vec::new();
        for (at, text) in hostile_texts(60).into_iter().enumerate() {
            let may_name = !text.is_empty() && text.len() <= 1_024 && !text.starts_with('~')
                && !text.contains(char::is_control);
            assert_eq!(app.cache.put(&text, &at).await.is_ok(), may_name, "{text:?}");
            assert_eq!(app.cache.invalidate_tag(&text).await.is_ok(), may_name, "{text:?}");
            if may_name {
                named.push((text, at));
            }
        }
        for (text, at) in &named {
            assert_eq!(app.cache.peek::<usize>(text).await.unwrap(), Some(*at), "{text:?}");
        }
        for (turn, (text, _)) in named.iter().enumerate() {
            let removed = match turn % 2 {
                0 => app.cache.invalidate_key(text).await,
                // A longer key is a digest.
                _ if text.len() > 120 => continue,
                _ => app.cache.invalidate_pattern(escape_glob(text)).await,
            };
            assert_eq!(removed.unwrap().entries, 1, "{text:?}");
        }
        for (turn, (text, at)) in named.iter().enumerate() {
            let is_left = turn % 2 == 1 && text.len() > 120;
            assert_eq!(app.cache.peek::<usize>(text).await.unwrap(), is_left.then_some(*at), "{text:?}");
        }
        assert_eq!(app.cache.peek::<u64>("kept").await.unwrap(), Some(0));
    }
}

#[test]
fn a_namespace_is_plain_or_refused() {
    for text in hostile_texts(100) {
        let is_plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
        let is_fine = !text.is_empty() && text.len() <= 1_024 && text.chars().all(|c| c.is_ascii() && is_plain(c));
        assert_eq!(Cache::builder().namespace(&text).build().is_ok(), is_fine, "{text:?}");
    }
}

/// Reads a line of Prometheus' text format, and returns the value of the label `prefix`.
fn prefix_of(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("prefix=\"")?;
    let (mut value, mut characters) = (String::new(), rest.chars());
    loop {
        match characters.next().expect("the value of a label ends") {
            '"' => return Some(value),
            '\\' => value.push(match characters.next().expect("an escape ends") {
                'n' => '\n',
                escaped => escaped,
            }),
            character => value.push(character),
        }
    }
}

#[tokio::test]
async fn no_prefix_of_a_text_key_forges_a_metric() {
    let cache = Cache::in_memory();
    let mut prefixes = BTreeSet::new();
    for text in hostile_texts(100) {
        let key = format!("{text}:1");
        // A longer key is a digest.
        if key.len() <= 120 && cache.put(&key, &1u64).await.is_ok() {
            _ = cache.get_or_load(&key, async || Ok::<u64, ()>(1)).await;
            prefixes.insert(key.split(':').next().unwrap().to_owned());
        }
    }
    let text = cache.stats().to_prometheus();
    let mut told = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("cache_"), "{line:?}");
        assert!(line.rsplit(' ').next().is_some_and(|number| number.parse::<f64>().is_ok()), "{line:?}");
        told.extend(prefix_of(line));
    }
    assert_eq!(told, prefixes);
    let json = serde_json::to_string(&cache.stats()).unwrap();
    assert!(!json.contains(char::is_control));
}
