//! One write of a user's value: by a function that writes through, or by `put`.

use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::coding::Coding;
use crate::error::{Error, ErrorKind};
use crate::key::Key;
use crate::name::Names;
use crate::observe::{Event, NotStored};
use crate::paths::invalidate::to_the_end;
use crate::paths::subject::Subject;
use crate::paths::write_through::{Put, Writer, prepare, read_clock, removal, write};
use crate::runtime::provenance::{Inside, Lineage};
use crate::runtime::{Runtime, Turn};

/// The body of a function that writes through. [`finish`](Self::finish) or [`disarm`](Self::disarm)
/// ends it. If it is dropped before, nobody knows whether it wrote, and the entry is removed.
#[must_use]
pub struct Writing<T> {
    // Boxed: the function's future holds it while the body runs.
    writer: Box<Writer>,
    key: Key<T>,
    coding: Coding<T>,
}

/// Before the body.
pub(crate) async fn writing<T>(runtime: Arc<Runtime>, key: Key<T>, coding: Coding<T>, around: bool) -> Writing<T> {
    Turn.await;
    let writer = Box::new(Writer::begin(subject_of(&runtime, &key, coding), around).await);
    Writing { writer, key, coding }
}

impl<T> Writing<T> {
    /// The body. Cached calls inside hand their names to the entry.
    pub fn body<F: Future>(&self, body: F) -> Inside<F> {
        self.writer.body(body)
    }

    /// The body returned: the value replaces the entry. The write begins at once, and goes on if
    /// the caller is dropped. Failures are counted, logged at ERROR, and made good in the
    /// background.
    ///
    /// The future holds no value, so it is `Send` even if the value is not `Sync`.
    pub fn finish(self, value: Option<&T>) -> impl Future<Output = ()> + Send + use<T> {
        let Self { writer, key, coding } = self;
        let content = value.ok_or(NotStored::NotWanted).and_then(|value| {
            let encode = move |subject: &Subject| (coding.encode)(subject, value);
            Ok((declared(&key, value)?, encode))
        });
        writer.finish(content)
    }

    /// The function failed: nothing was written.
    pub fn disarm(self) {
        self.writer.disarm();
    }
}

fn subject_of<T>(runtime: &Arc<Runtime>, key: &Key<T>, coding: Coding<T>) -> Arc<Subject> {
    let policy = key.policy();
    let fingerprint = (coding.fingerprint)(policy.version, policy.shape);
    Subject::new(runtime, key.entry(), policy, fingerprint)
}

/// The names of a value, or the reason not to store it.
fn declared<T>(key: &Key<T>, value: &T) -> Result<Names, NotStored> {
    match key.recipe() {
        Some(recipe) if !(recipe.keep)(value) => Err(NotStored::NotWanted),
        Some(recipe) => Ok(recipe.names(value)),
        None => Ok(Names::new()),
    }
}

/// Stores a value that the caller knows to be current.
pub(crate) async fn put<T: Serialize + DeserializeOwned>(
    runtime: &Arc<Runtime>,
    key: Result<Key<T>, Error>,
    value: &T,
) -> Result<Put, Error> {
    Turn.await;
    if runtime.store.is_none() {
        return Ok(Put::default());
    }
    let (key, coding) = (key?, Coding::of_type());
    let subject = subject_of(runtime, &key, coding);
    if subject.key.is_none() {
        return Err(Error::new(ErrorKind::Encode, "the key has an argument that cannot be encoded"));
    }
    // Before anything else is done.
    let clock = match read_clock(&subject).await {
        Ok(clock) => clock,
        Err(error) => {
            drop(removal(&subject));
            return Err(error);
        }
    };
    let encode = |subject: &Subject| (coding.encode)(subject, value);
    let prepared =
        declared(&key, value).and_then(|declared| prepare(&subject, declared, Lineage::default(), clock, encode));
    let reason = match prepared {
        Ok(prepared) => return to_the_end(write(subject, prepared, None)).await,
        Err(reason) => reason,
    };
    subject.note_fill(Event::NotStored(reason));
    let entries = to_the_end(removal(&subject).drive()).await?.entries;
    match reason {
        NotStored::NotWanted => Ok(Put { stored: false, entries }),
        NotStored::PrefixContested => Err(Error::new(ErrorKind::Config, "two functions have this prefix: rename one")),
        NotStored::TooLarge => Err(Error::new(ErrorKind::Limit, "the value is larger than value_bytes_max")),
        NotStored::Undecodable | NotStored::Changed => {
            Err(Error::new(ErrorKind::Encode, "the value would not come back from its JSON: see what-json-loses.md"))
        }
        NotStored::Unencodable => Err(Error::new(ErrorKind::Encode, "the value cannot be encoded")),
        NotStored::Unsealable => Err(Error::new(ErrorKind::Encode, "the value cannot be sealed: its `Seal` fails")),
        _ => Err(Error::new(
            ErrorKind::Limit,
            "the value has too many names, one that cannot be written, or one that the key alone cannot tell",
        )),
    }
}
