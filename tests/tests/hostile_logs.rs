//! What is logged of others' texts is one line and bounded, whoever writes the line: no field and
//! no message holds a character that begins another line, moves a cursor or turns the direction.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::{Cache, Warmer, cached};
use cache_tests::hostile_texts;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Of what is logged of one text.
const TEXT_BYTES_MAX: usize = 4_096;
/// All else in a line.
const LINE_BYTES_MAX: usize = TEXT_BYTES_MAX + 1_024;

/// The events of this thread, each as its fields one after the other: text as it was given.
#[derive(Clone, Default)]
struct Fields(Arc<Mutex<Vec<String>>>);

struct Written<'a>(&'a mut String);

impl Visit for Written<'_> {
    fn record_str(&mut self, _: &Field, value: &str) {
        self.0.push_str(value);
    }

    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{value:?}").unwrap();
    }
}

impl Subscriber for Fields {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut Written(&mut text));
        self.0.lock().unwrap().push(text);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Fields {
    /// What was logged since the last time with these words.
    #[track_caller]
    fn taken(&self, words: &str) -> String {
        let lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.into_iter().find(|line| line.contains(words)).unwrap_or_else(|| panic!("nothing was said of {words}"))
    }
}

#[track_caller]
fn assert_one_line(line: &str) {
    let turns =
        |c: char| matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert_eq!(line.chars().find(|c| c.is_control() || turns(*c)), None, "{line:?}");
    assert!(line.len() <= LINE_BYTES_MAX, "{} bytes", line.len());
}

#[derive(Clone)]
struct App {
    cache: Cache,
    down: Arc<AtomicBool>,
    error: String,
}

impl App {
    fn new(error: &str) -> Self {
        let cache = Cache::builder().jitter(0.0).build().unwrap();
        Self { cache, down: Arc::default(), error: error.to_owned() }
    }

    fn read(&self) -> Result<u64, String> {
        if self.down.load(Ordering::SeqCst) { Err(self.error.clone()) } else { Ok(1) }
    }

    async fn breaks(&self) {
        self.down.store(true, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[cached(prefix = "kept", ttl = "1ms", stale_if_error = "1h", skip(app), cache = app.cache)]
async fn kept(app: &App, id: &str) -> Result<u64, String> {
    _ = id;
    app.read()
}

#[cached(prefix = "fresh", ttl = "1ms", stale_while_revalidate = "1h", skip(app), cache = app.cache)]
async fn fresh(app: App, id: &str) -> Result<u64, String> {
    _ = id;
    app.read()
}

/// Differs each time, and has tags as text.
#[cached(prefix = "odd", ttl = "1h", verify = 1, skip(app, next), tags = ["of:{id}", ..tags.clone()], cache = app.cache)]
async fn odd(app: App, id: String, tags: Vec<String>, next: Arc<Mutex<u64>>) -> u64 {
    _ = (app, id, tags);
    let mut next = next.lock().unwrap();
    *next += 1;
    *next
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_load_is_one_bounded_line() {
    let fields = Fields::default();
    let _listening = tracing::subscriber::set_default(fields.clone());
    for text in hostile_texts(200).into_iter().chain(["x".repeat(1 << 20), "\n".repeat(5_000), "é".repeat(5_000)]) {
        let app = App::new(&text);
        kept(&app, &text).await.unwrap();
        fresh(app.clone(), &text).await.unwrap();
        app.breaks().await;
        kept(&app, &text).await.unwrap();
        assert_one_line(&fields.taken("a load failed"));
        fresh(app.clone(), &text).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_one_line(&fields.taken("a refresh in the background failed"));

        let warmer = Warmer::new(&app.cache);
        warmer.register("mornings", move || std::future::ready(Err::<(), _>(text.clone())));
        warmer.run().await;
        assert_one_line(&fields.taken("warming failed"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_an_inconsistent_entry_is_one_bounded_line() {
    let fields = Fields::default();
    let _listening = tracing::subscriber::set_default(fields.clone());
    for text in hostile_texts(50) {
        let app = App::new("");
        let next = Arc::default();
        // What may stand in a tag that is given as text.
        let literal: String = text.chars().filter(|c| !c.is_control() && *c != '~').take(200).collect();
        let tags: Vec<String> = (0..60).map(|at| format!("tag {at} {literal}")).collect();
        for _ in 0..2 {
            odd(app.clone(), text.clone(), tags.clone(), Arc::clone(&next)).await;
        }
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_one_line(&fields.taken("nothing has invalidated it"));
    }
}
