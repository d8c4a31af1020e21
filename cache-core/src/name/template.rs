//! Text with encoded values in it.

use std::any::TypeId;
use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::canonical;
use super::escape::push_escaped;
use super::readable::{Spelling, push_part};
use super::tag::Tag;
use super::text_key::TextKey;
use super::unencodable::Unencodable;
use crate::config::SPARE_TEXT_BYTES_MAX;

/// What can be part of a cache key: everything that serde can serialize.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a cache key: it does not implement `Serialize`",
    label = "not serializable",
    note = "leave the parameter out of the key with `skip(...)`, or derive `serde::Serialize` for its type"
)]
pub trait KeyPart {
    #[doc(hidden)]
    fn to_part(&self, spelling: Spelling) -> Part;
    #[doc(hidden)]
    fn push_to(&self, text: &mut Template);
    #[doc(hidden)]
    fn push_canonical(&self, bytes: &mut Vec<u8>) -> bool;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> KeyPart for T {
    fn to_part(&self, spelling: Spelling) -> Part {
        let mut text = String::new();
        Part(push_part(&mut text, self, spelling).map(|()| text.into_boxed_str()))
    }

    fn push_to(&self, text: &mut Template) {
        if let Err(error) = push_part(&mut text.text, self, text.spelling) {
            text.fail(error);
        }
    }

    fn push_canonical(&self, bytes: &mut Vec<u8>) -> bool {
        canonical::push(bytes, self).is_ok()
    }
}

thread_local! {
    /// Memory for the next text, so that each need not ask for its own and give it back.
    static SPARE: Cell<String> = const { Cell::new(String::new()) };
}

/// One encoded parameter, for a tag or key that is made after the parameter itself was moved.
#[derive(Clone, Debug)]
pub struct Part(Result<Box<str>, Unencodable>);

impl Part {
    /// No parameter: whatever it is a part of names nothing.
    pub fn none() -> Self {
        Self(Err(Unencodable::Absent))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref().ok()
    }
}

/// Encodes one parameter of a key.
pub fn part<T: KeyPart + ?Sized>(value: &T) -> Part {
    value.to_part(Spelling::Key)
}

/// Encodes one parameter of a tag.
pub fn tag_part<T: KeyPart + ?Sized>(value: &T) -> Part {
    value.to_part(Spelling::Tag)
}

/// Text with encoded values in it: an explicit `key`, a tag, a pattern.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    spelling: Spelling,
    error: Option<Unencodable>,
}

impl Template {
    /// An empty text, of a key or of a pattern, which is compared with keys.
    pub fn of_key() -> Self {
        Self::new(Spelling::Key)
    }

    /// An empty text, of a tag.
    pub fn of_tag() -> Self {
        Self::new(Spelling::Tag)
    }

    fn new(spelling: Spelling) -> Self {
        // While a thread ends, it has none.
        Self { text: SPARE.try_with(Cell::take).unwrap_or_default(), spelling, error: None }
    }

    /// Appends literal text as it is.
    pub fn text(mut self, literal: &str) -> Self {
        self.text.push_str(literal);
        self
    }

    /// Appends an encoded value.
    pub fn part<T: KeyPart + ?Sized>(mut self, value: &T) -> Self {
        value.push_to(&mut self);
        self
    }

    /// Appends a value that was encoded before.
    pub fn encoded(mut self, part: &Part) -> Self {
        match &part.0 {
            Ok(text) => self.text.push_str(text),
            Err(error) => self.fail(*error),
        }
        self
    }

    /// One `None` is enough: there is no tag, whatever its other parts are.
    fn fail(&mut self, error: Unencodable) {
        if error == Unencodable::Absent {
            self.error = Some(error);
        }
        self.error.get_or_insert(error);
    }

    pub(crate) fn so_far(&self) -> &str {
        &self.text
    }

    /// The text as a tag.
    pub fn finish_tag(self) -> Tag {
        self.spent(Tag::from_encoded)
    }

    /// The text as a key of values of any type.
    pub fn finish_key(self) -> TextKey {
        self.spent(TextKey::from_encoded)
    }

    /// Makes a name of the text, whose memory the next text of this thread gets.
    fn spent<N>(mut self, name: impl FnOnce(Result<&str, Unencodable>) -> N) -> N {
        let made = name(self.error.map_or(Ok(&self.text), Err));
        if self.text.capacity() <= SPARE_TEXT_BYTES_MAX {
            self.text.clear();
            let _ = SPARE.try_with(|spare| spare.set(self.text));
        }
        made
    }

    /// The text as a pattern. Encoded values hold no glob characters, so they stand for themselves.
    /// `None`: a value could not be encoded, so no key holds that value, and there is nothing to
    /// invalidate.
    pub fn finish_pattern(self) -> Option<String> {
        self.finish().ok()
    }

    fn finish(self) -> Result<String, Unencodable> {
        self.error.map_or(Ok(self.text), Err)
    }
}

/// The names of types met so far, each with the type that had it first. Bounded by the types in the
/// program.
static TYPE_NAMES: Mutex<Option<HashMap<&'static str, TypeId>>> = Mutex::new(None);

pub(crate) fn type_part(id: TypeId, name: &'static str) -> Part {
    let mut names = TYPE_NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let owner = match names.get_or_insert_default().entry(name) {
        Entry::Occupied(entry) => *entry.get(),
        Entry::Vacant(entry) => *entry.insert(id),
    };
    if owner != id {
        return Part(Err(Unencodable::SameTypeName));
    }
    let mut text = String::with_capacity(name.len());
    push_escaped(&mut text, &name.replace("::", "."));
    Part(Ok(text.into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key may be spelled by what a thread drops last.
    #[test]
    fn a_text_is_spelled_also_while_its_thread_ends() {
        struct Last(std::sync::mpsc::Sender<String>);
        impl Drop for Last {
            fn drop(&mut self) {
                let key = Template::of_key().text("k:").part(&7_u64).finish_key();
                let _ = self.0.send(key.as_str().to_owned());
            }
        }
        thread_local!(static LAST: Cell<Option<Last>> = const { Cell::new(None) });
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            LAST.set(Some(Last(sender)));
            // Used after `LAST`, so gone before it.
            Template::of_key().finish_key();
        });
        assert_eq!(receiver.recv().unwrap(), "k:7");
    }

    #[test]
    fn a_long_text_leaves_no_memory_to_the_next_one() {
        Template::of_key().text(&"x".repeat(2 * SPARE_TEXT_BYTES_MAX)).finish_key();
        assert!(Template::of_key().text.capacity() <= SPARE_TEXT_BYTES_MAX);
        Template::of_key().text("abc").finish_tag();
        let next = Template::of_key();
        assert!(next.text.is_empty() && next.text.capacity() > 0, "it takes what the one before had");
    }
}
