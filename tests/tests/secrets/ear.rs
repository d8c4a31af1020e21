//! Hears all that this process says, and finds secrets in it.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use cache_core::Error;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

pub(crate) const VALUE: &str = "SECRETvalue5b1f";
pub(crate) const USER: &str = "SECRETuser5b1f";
pub(crate) const PASSWORD: &str = "SECRETpassword5b1f";
/// Stands in an argument that is hashed in the key.
pub(crate) const HASHED: &str = "SECREThashed5b1f";
/// Stands in an argument that the key spells out.
pub(crate) const SPELLED: &str = "SECRETspelled5b1f";

/// Nowhere at all.
pub(crate) const SECRETS: [&str; 4] = [VALUE, USER, PASSWORD, HASHED];

/// Every span and every event of this process at every level, each with all of its fields.
pub(crate) struct Ear;

pub(crate) static HEARD: LazyLock<Mutex<Vec<String>>> = LazyLock::new(|| {
    tracing::subscriber::set_global_default(Ear).expect("the only subscriber");
    Mutex::default()
});

pub(crate) struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a String takes it");
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        write!(self.0, " {}={}", field.name(), chain(value)).expect("a String takes it");
    }
}

pub(crate) fn hear(metadata: Option<&Metadata<'_>>, record: impl FnOnce(&mut Words)) {
    let mut words = Words(metadata.map(|metadata| metadata.name().to_owned()).unwrap_or_default());
    record(&mut words);
    HEARD.lock().unwrap().push(words.0);
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        static LAST: AtomicU64 = AtomicU64::new(0);
        hear(Some(span.metadata()), |words| span.record(words));
        Id::from_u64(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        hear(None, |words| values.record(words));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        hear(Some(event.metadata()), |words| event.record(words));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An error in all its words, with its sources.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, " {error} {error:?}").expect("a String takes it");
        source = error.source();
    }
    text
}

pub(crate) fn words_of(error: &Error) -> String {
    format!("{} {:?}", chain(error), error.kind())
}

#[track_caller]
pub(crate) fn holds_none(text: &str, secrets: &[&str]) {
    for secret in secrets {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

/// What was heard so far, by any test of this process, holds no secret, nor what a key spells.
#[track_caller]
pub(crate) fn nothing_was_heard_of_secrets(about: &str) {
    let heard = HEARD.lock().unwrap().clone();
    assert!(heard.iter().any(|line| line.contains(about)), "nothing was heard of {about}");
    holds_none(&heard.join("\n"), &SECRETS);
    // One event may hold a key: that of an inconsistent entry, which `verify` asks for.
    let heard: Vec<String> = heard.into_iter().filter(|line| !line.contains(VERIFIED)).collect();
    holds_none(&heard.join("\n"), &[SPELLED]);
}

/// In the one line that may hold a key.
pub(crate) const VERIFIED: &str = "nothing has invalidated it";
