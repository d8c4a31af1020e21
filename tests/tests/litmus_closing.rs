//! The litmus around a COMMIT: names are closed, the data changes, names are opened. A load that
//! has read "old" at any time before the change is never stored, and nothing old is read from
//! the change on.

use std::convert::Infallible;
use std::sync::Arc;

use cache_core::{Cache, CacheContext, Closing, IntoKey, Invalidation, Key, cached, invalidates, write_through};
use cache_tests::{COMMIT, COMMITTED, Data, TestStore, Worker, each_layout, each_server, each_store, ready, until};
use tokio::task::JoinHandle;

#[derive(Clone, CacheContext)]
struct App {
    cache: Cache,
    data: Data,
}

fn key(text: &str) -> Key<String> {
    text.into_key().expect("a valid key")
}

impl App {
    async fn new(store: &TestStore) -> Self {
        let data = Data::new();
        data.set("row", "old");
        Self { cache: ready(store.impatient()).await, data }
    }

    /// The same data through a cache that shares nothing but the server with this one.
    async fn elsewhere(&self, store: &TestStore) -> Self {
        Self { cache: store.another_process().await, data: self.data.clone() }
    }

    async fn load(&self, key: Key<String>, load: impl AsyncFnOnce() -> String) -> String {
        self.cache.get_or_load(key, || async { Ok::<_, Infallible>(load().await) }).await.unwrap_or_else(|e| match e {})
    }

    async fn user(&self) -> String {
        self.load(key("user:1").with_tags(["team:7"]), async || self.data.read("row").await).await
    }

    /// Made from the user.
    async fn profile(&self) -> String {
        self.load(key("profile:1"), async || self.user().await).await
    }

    fn begin_profile(&self) -> JoinHandle<String> {
        let app = self.clone();
        tokio::spawn(async move { app.profile().await })
    }

    async fn assert_new_and_stored(&self) {
        assert_eq!(self.profile().await, "new");
        let reads = self.data.reads("row");
        assert_eq!((self.profile().await.as_str(), self.data.reads("row")), ("new", reads), "it is not cached again");
    }
}

/// What is closed.
#[derive(Clone, Copy, Debug)]
enum By {
    Key,
    Tag,
    Dependent,
}

impl By {
    async fn close(self, cache: &Cache) -> Closing {
        let names = match self {
            Self::Key => Invalidation::new().key("user:1"),
            Self::Tag => Invalidation::new().tag("team:7"),
            Self::Dependent => Invalidation::new().keys(["user:1", "profile:1"]),
        };
        cache.close(names).await.expect("the store answers")
    }
}

/// When the load of `app` begins and when it ends, while `writer` changes the data.
#[derive(Clone, Copy, Debug)]
enum Load {
    BeforeTheClosingToTheCommit,
    BeforeTheClosingToTheEnd,
    WithinTheClosingToTheCommit,
    WithinTheClosingToTheEnd,
}

async fn litmus(app: &App, writer: &Cache, by: By, load: Load) {
    let what = format!("{by:?}, {load:?}");
    let held = app.data.hold("row");
    let mut late = None;
    let mut begin = async || {
        late = Some(app.begin_profile());
        held.reached().await;
    };
    let closing = match load {
        Load::BeforeTheClosingToTheCommit | Load::BeforeTheClosingToTheEnd => {
            begin().await;
            by.close(writer).await
        }
        Load::WithinTheClosingToTheCommit | Load::WithinTheClosingToTheEnd => {
            let closing = by.close(writer).await;
            begin().await;
            closing
        }
    };
    app.data.set("row", "new");
    let ends_early = matches!(load, Load::BeforeTheClosingToTheCommit | Load::WithinTheClosingToTheCommit);
    if ends_early {
        held.open();
        // Even before the names are opened, nothing old can be read.
        assert_eq!(app.profile().await, "new", "{what}: after the COMMIT");
    }
    closing.open().await.expect("the store answers");
    if !ends_early {
        assert_eq!(app.profile().await, "new", "{what}: while the load is held");
        held.open();
    }
    assert_eq!(late.unwrap().await.unwrap(), "old", "{what}: its own caller gets what it loaded");
    app.assert_new_and_stored().await;
}

async fn every_litmus(store: &TestStore, writer: impl AsyncFn(&App) -> Cache) {
    for by in [By::Key, By::Tag, By::Dependent] {
        for load in [
            Load::BeforeTheClosingToTheCommit,
            Load::BeforeTheClosingToTheEnd,
            Load::WithinTheClosingToTheCommit,
            Load::WithinTheClosingToTheEnd,
        ] {
            let app = App::new(store).await;
            let writer = writer(&app).await;
            writer.clear().await.expect("the store answers");
            litmus(&app, &writer, by, load).await;
        }
    }
}

#[cached(prefix = "row", ttl = "60s", context = app, tags = ["rows"])]
async fn row(app: &App) -> String {
    app.data.read("row").await
}

/// The change, and what happens between its COMMIT and its return.
async fn change(app: &App, meanwhile: impl AsyncFnOnce()) {
    app.data.set("row", "new");
    meanwhile().await;
}

#[invalidates(tags = ["rows"], around, context = app)]
async fn invalidate_around(app: &App, meanwhile: impl AsyncFnOnce()) {
    change(app, meanwhile).await;
}

#[write_through(row(), around, context = app)]
async fn write_around(app: &App, meanwhile: impl AsyncFnOnce()) -> String {
    change(app, meanwhile).await;
    "new".to_owned()
}

#[invalidates(tags = ["rows"], context = app)]
async fn invalidate_after(app: &App, meanwhile: impl AsyncFnOnce()) {
    change(app, meanwhile).await;
}

#[cached(prefix = "customer", ttl = "60s", context = app)]
async fn customer(app: &App) -> String {
    app.data.read("row").await
}

#[cached(prefix = "order", ttl = "60s", context = app)]
async fn order(app: &App) -> String {
    customer(app).await
}

/// Reads what the customer is made from by itself.
#[cached(prefix = "summary", ttl = "60s", context = app, depends_on = [order()])]
async fn summary(app: &App) -> String {
    app.data.read("row").await
}

/// A row is read in the middle of a function that changes it, after the COMMIT; who reads?
async fn read_by_another(app: &App) -> String {
    let other = app.clone();
    tokio::spawn(async move { row(&other).await }).await.unwrap()
}

each_layout! {
    async fn no_load_from_before_a_commit_is_stored(store: TestStore) {
        every_litmus(&store, async |app| app.cache.clone()).await;
    }

    /// What `around` is for: without it the old row is served until the function returns.
    async fn a_function_that_closes_around_its_body_serves_nothing_old_from_the_commit_on(store: TestStore) {
        let app = App::new(&store).await;
        assert_eq!(row(&app).await, "old");
        invalidate_after(&app, async || assert_eq!(read_by_another(&app).await, "old")).await;
        app.data.set("row", "old");
        app.cache.clear().await.unwrap();
        assert_eq!(row(&app).await, "old");
        invalidate_around(&app, async || assert_eq!(read_by_another(&app).await, "new")).await;
        assert_eq!(row(&app).await, "new");
    }

    /// A runtime that has ended renews nothing, as a process that stands still.
    async fn a_process_that_stood_still_is_told_that_its_names_were_open(store: TestStore) {
        let app = App::new(&store).await;
        let builder = store.impatient().closing_lifetime(std::time::Duration::from_millis(200));
        let close = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let cache = ready(builder).await;
                (cache.close(Invalidation::new().tag("rows")).await.unwrap(), cache)
            })
        };
        let (closing, cache) = tokio::task::spawn_blocking(close).await.unwrap();
        let app = App { cache, ..app };
        // Until the marks have ended, each call loads.
        until(async || {
            row(&app).await;
            app.cache.peek::<String>("row").await.unwrap().is_some()
        })
        .await;
        let error = closing.confirm().await.unwrap_err();
        assert!(error.to_string().contains("open for a while"), "{error}");
        assert_eq!(app.cache.peek::<String>("row").await.unwrap(), None, "they were closed again");
        closing.open().await.unwrap();
    }

    async fn a_writer_that_closes_around_its_body_stores_its_value(store: TestStore) {
        let app = App::new(&store).await;
        assert_eq!(row(&app).await, "old");
        write_around(&app, async || assert_eq!(read_by_another(&app).await, "new")).await;
        let reads = app.data.reads("row");
        assert_eq!((row(&app).await.as_str(), app.data.reads("row")), ("new", reads));
    }
}

// With several partitions, what a closed name reaches elsewhere is not closed yet.
each_store! {
    /// To close the customer removes the order, through which alone the summary falls with it.
    async fn what_declares_an_entry_that_a_closing_removed_is_not_stored_before_the_commit(store: TestStore) {
        let app = App::new(&store).await;
        for had in [false, true] {
            app.data.set("row", "old");
            app.cache.clear().await.unwrap();
            assert_eq!(order(&app).await, "old");
            if had {
                assert_eq!(summary(&app).await, "old");
            }
            let closing = app.cache.close(Invalidation::new().key(customer::key())).await.unwrap();
            assert_eq!(summary(&app).await, "old", "before the COMMIT");
            app.data.set("row", "new");
            assert_eq!(summary(&app).await, "new", "from the COMMIT on");
            closing.open().await.unwrap();
            assert_eq!((summary(&app).await.as_str(), order(&app).await.as_str()), ("new", "new"));
            let reads = app.data.reads("row");
            assert_eq!((summary(&app).await.as_str(), app.data.reads("row")), ("new", reads), "it is cached again");
        }
    }
}

each_server! {
    async fn no_load_of_another_process_from_before_a_commit_is_stored(store: TestStore) {
        every_litmus(&store, async |app| app.elsewhere(&store).await.cache).await;
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_cache-test-worker");

/// Two processes: one reads, one changes datum 1 and is killed in the middle.
struct Processes {
    data: Data,
    reader: Arc<Worker>,
    writer: Worker,
}

impl Processes {
    async fn start(store: &TestStore) -> Self {
        let data = Data::new();
        let start = || Worker::start(PROGRAM, store.url(), store.namespace(), data.source());
        let (reader, writer) = (Arc::new(start().await), start().await);
        Self { data, reader, writer }
    }

    async fn read(&self, what: &str) -> String {
        self.reader.run(what).await.expect("it lives").expect("reads do not fail")
    }

    async fn is_stored(&self) -> bool {
        self.read("read leaf 1").await;
        self.read("stored leaf:1").await == "true"
    }

    /// A load of the leaf that has read datum 1 and waits.
    async fn begin(&self) -> (cache_tests::Gate, JoinHandle<String>) {
        let held = self.data.hold("1");
        let reader = self.reader.clone();
        let late = tokio::spawn(async move { reader.run("read leaf 1").await.unwrap().unwrap() });
        held.reached().await;
        (held, late)
    }
}

/// The writer is killed at `point`; the load of another process ends before its marks do, or after.
async fn killed(store: &TestStore, point: u64, ends_late: bool) {
    let all = Processes::start(store).await;
    assert_eq!(all.read("read board 0").await, "0=0 1=0 2=0 3=0");
    let (closed, at_point) = (all.data.hold(&COMMIT.to_string()), all.data.hold(&COMMITTED.to_string()));
    let command = all.writer.run("around tag group:1");
    let kill = async {
        closed.reached().await;
        let (held, late) = all.begin().await;
        let version = if point == COMMITTED {
            all.data.set("1", "7");
            closed.open();
            at_point.reached().await;
            7
        } else {
            0
        };
        all.writer.kill();
        (held, late, version)
    };
    let (answer, (held, late, version)) = tokio::join!(command, kill);
    assert_eq!(answer, None, "it was killed");
    if !ends_late {
        held.open();
    }
    assert_eq!(all.read("read leaf 1").await, format!("1={version}"));
    assert!(!all.is_stored().await, "the names are closed after the death of their process");
    // Until the marks have ended, each read loads.
    until(async || all.is_stored().await).await;
    if ends_late {
        held.open();
    }
    assert_eq!(late.await.unwrap(), "1=0", "its own caller gets what it loaded");
    assert_eq!(all.read("read leaf 1").await, format!("1={version}"));
    assert_eq!(all.read("read board 0").await, format!("0=0 1={version} 2=0 3=0"));
    assert_eq!(all.read("stored board:0").await, "true", "all is stored again");
}

each_server! {
    #![multi_thread]
    async fn a_process_killed_before_its_commit_leaves_what_is_opens_by_itself(store: TestStore) {
        killed(&store, COMMIT, false).await;
    }

    async fn a_process_killed_after_its_commit_leaves_nothing_old(store: TestStore) {
        killed(&store, COMMITTED, false).await;
    }

    async fn a_load_from_before_the_commit_of_a_killed_process_is_refused_when_its_marks_have_ended(store: TestStore) {
        killed(&store, COMMITTED, true).await;
    }
}
