//! Reads the shape of a type from what its `Deserialize` asks for.
//!
//! The type is deserialized from a recorder that answers every request with a dummy value. One walk
//! does not see everything: it meets one variant of each enum, and ends at the first leaf that
//! refuses its dummy (an address, a date). So walks are repeated until one meets nothing new. Each
//! takes the next variants and leaves out the fields that failed before. No walk needs to produce a
//! value.
//!
//! Some things are not seen. Serde buffers `#[serde(flatten)]`, `untagged` and internally tagged
//! enums without saying what it wants, so of their fields only the names in serde's own errors are
//! known. Nor are the elements of a tuple seen after one that refuses every dummy.
//! `#[derive(Cacheable)]` adds all of these.

use std::any::TypeId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::push_segment;
use crate::config::{SHAPE_DEPTH_MAX, SHAPE_STEPS_MAX};

/// Paths below the type, and what is at each of them.
pub(super) fn record<T: DeserializeOwned>(peel_option: bool) -> BTreeSet<(String, String)> {
    walk_over::<T>(Walk::default(), peel_option).lines
}

/// What a walk over a type has found that a codec without names depends on.
pub(super) struct Walked {
    pub(super) lines: BTreeSet<(String, String)>,
    /// The type holds itself nowhere, and was walked to its ends.
    pub(super) is_bounded: bool,
}

/// The same as such a codec sees it: with the places of fields and variants among each other.
pub(super) fn record_in_order<T: DeserializeOwned>() -> Walked {
    let walk = walk_over::<T>(Walk { in_order: true, ..Walk::default() }, true);
    let is_bounded = walk.steps < SHAPE_STEPS_MAX && !walk.is_endless;
    Walked { lines: walk.lines, is_bounded }
}

fn walk_over<T: DeserializeOwned>(mut walk: Walk, peel_option: bool) -> Walk {
    loop {
        walk.unfinished = false;
        walk.peel_option = peel_option;
        let _ = T::deserialize(Recorder { walk: &mut walk, path: String::new() });
        walk.open.clear();
        if !walk.unfinished || walk.steps >= SHAPE_STEPS_MAX {
            return walk;
        }
    }
}

/// What all walks over one type know.
#[derive(Default)]
struct Walk {
    lines: BTreeSet<(String, String)>,
    /// Places that fail whatever they are given, and that hold nothing new.
    omitted: HashSet<String>,
    enums: HashMap<String, Variants>,
    /// Names that a map must have, as serde's errors told.
    demanded: HashMap<String, Vec<&'static str>>,
    /// Types that the walk is inside of: meeting one again is recursion.
    open: Vec<TypeId>,
    /// This walk met something that needs another walk.
    unfinished: bool,
    peel_option: bool,
    steps: usize,
    /// The lines say the order of fields and variants, and how binary codecs see the type.
    in_order: bool,
    /// A type was met inside itself, or one that is too deep.
    is_endless: bool,
}

/// How far the variants of one enum were walked.
#[derive(Clone, Copy, Default)]
struct Variants {
    next: usize,
    /// A variant that could be made, for walks that only pass through.
    possible: Option<usize>,
}

impl Walk {
    fn line(&mut self, path: &str, what: impl Into<String>) {
        self.lines.insert((path.to_owned(), what.into()));
    }

    /// One of several places that have names.
    fn named(&mut self, path: &str, what: &str, at: usize) {
        if self.in_order { self.line(path, format!("{what} {at}")) } else { self.line(path, what) }
    }

    /// Leaves out of the next walk a place that failed and has nothing left to explore below it.
    fn settle<T>(&mut self, place: String, outcome: Result<T, Halt>) -> Result<T, Halt> {
        if outcome.is_err() && !self.unfinished {
            self.omitted.insert(place);
            self.unfinished = true;
        }
        outcome
    }
}

/// Why a walk ended. Holds the names in serde's error, but not its message.
#[derive(Debug)]
enum Halt {
    Dummy,
    Missing(&'static str),
    Unknown(&'static [&'static str]),
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dummy was refused")
    }
}

impl std::error::Error for Halt {}

impl de::Error for Halt {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::Dummy
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_variant(_variant: &str, expected: &'static [&'static str]) -> Self {
        Self::Unknown(expected)
    }
}

/// One place of the type.
struct Recorder<'w> {
    walk: &'w mut Walk,
    path: String,
}

impl<'w> Recorder<'w> {
    fn below(&self, segment: &str) -> String {
        let mut path = self.path.clone();
        push_segment(&mut path, segment);
        path
    }

    fn at(&mut self, path: String) -> Recorder<'_> {
        Recorder { walk: self.walk, path }
    }

    /// Whether the walk has reached a limit of depth or of size. Depends on the type alone.
    fn is_exhausted(&mut self) -> bool {
        let is_too_deep = self.walk.open.len() >= SHAPE_DEPTH_MAX;
        self.walk.is_endless |= is_too_deep;
        is_too_deep || self.walk.steps >= SHAPE_STEPS_MAX
    }

    /// Walks into a type, unless the walk is inside it already.
    fn enter<V, T>(
        mut self,
        what: impl Into<String>,
        walk_into: impl FnOnce(&mut Self) -> Result<T, Halt>,
    ) -> Result<T, Halt> {
        self.walk.steps += 1;
        let id = typeid::of::<V>();
        if let Some(at) = self.walk.open.iter().rposition(|open| *open == id) {
            let up = self.walk.open.len() - at;
            self.walk.is_endless = true;
            self.walk.line(&self.path, format!("recursion {up}"));
            return Err(Halt::Dummy);
        }
        let path = self.path.clone();
        self.walk.line(&path, what);
        if self.is_exhausted() {
            return Err(Halt::Dummy);
        }
        let depth = self.walk.open.len();
        self.walk.open.push(id);
        let outcome = walk_into(&mut self);
        self.walk.open.truncate(depth);
        outcome
    }

    fn fields<'de, V: Visitor<'de>>(
        self,
        what: &str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        for (at, field) in fields.iter().enumerate() {
            let path = self.below(field);
            self.walk.named(&path, "named", at);
        }
        self.enter::<V, _>(what, |recorder| recorder.entries(fields.to_vec(), None, visitor))
    }

    /// Answers as a map of the named entries, and of one dummy entry.
    fn entries<'de, V: Visitor<'de>>(
        &mut self,
        names: Vec<&'static str>,
        dummy: Option<(String, String)>,
        visitor: V,
    ) -> Result<V::Value, Halt> {
        let mut handed_out = None;
        let entries = FakeEntries { recorder: self, names: names.into_iter(), dummy, current: &mut handed_out };
        let outcome = visitor.visit_map(entries);
        match (&outcome, handed_out) {
            (Err(Halt::Missing(name)), None) => {
                let path = self.path.clone();
                let demanded = self.walk.demanded.entry(path).or_default();
                // The entry is left out on purpose, because it fails, or its name was not known
                // before.
                if !demanded.contains(name) {
                    demanded.push(name);
                    let omitted = self.walk.omitted.contains(&self.below(name));
                    self.walk.unfinished |= !omitted;
                }
                outcome
            }
            // A halt that names a field: the entry was the alias of a field that was given already.
            (Err(_), Some(place)) => self.walk.settle(place, outcome),
            _ => outcome,
        }
    }

    fn elements<'de, V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Halt> {
        self.enter::<V, _>(format!("tuple {len}"), |recorder| {
            visitor.visit_seq(Elements { recorder, next: 0, len: Some(len) })
        })
    }
}

macro_rules! leaves {
    ($($method:ident($($argument:ty),*): $kind:literal, $visit:ident($($dummy:expr)?);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $argument,)* visitor: V) -> Result<V::Value, Halt> {
            self.walk.steps += 1;
            self.walk.line(&self.path, $kind);
            visitor.$visit($($dummy)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Recorder<'_> {
    type Error = Halt;

    // One and not zero: `NonZero` takes it.
    leaves! {
        deserialize_bool(): "bool", visit_bool(true);
        deserialize_i8(): "i8", visit_i8(1);
        deserialize_i16(): "i16", visit_i16(1);
        deserialize_i32(): "i32", visit_i32(1);
        deserialize_i64(): "i64", visit_i64(1);
        deserialize_i128(): "i128", visit_i128(1);
        deserialize_u8(): "u8", visit_u8(1);
        deserialize_u16(): "u16", visit_u16(1);
        deserialize_u32(): "u32", visit_u32(1);
        deserialize_u64(): "u64", visit_u64(1);
        deserialize_u128(): "u128", visit_u128(1);
        deserialize_f32(): "f32", visit_f32(1.0);
        deserialize_f64(): "f64", visit_f64(1.0);
        deserialize_char(): "char", visit_char('a');
        deserialize_str(): "str", visit_str("");
        deserialize_string(): "str", visit_str("");
        deserialize_bytes(): "bytes", visit_bytes(&[]);
        deserialize_byte_buf(): "bytes", visit_bytes(&[]);
        deserialize_unit(): "unit", visit_unit();
        deserialize_unit_struct(&'static str): "unit", visit_unit();
        deserialize_ignored_any(): "ignored", visit_unit();
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        let demanded = self.walk.demanded.get(&self.path).cloned().unwrap_or_default();
        self.enter::<V, _>("any", |recorder| recorder.entries(demanded, None, visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        let outermost = self.path.is_empty() && self.walk.open.is_empty();
        if std::mem::take(&mut self.walk.peel_option) && outermost {
            return visitor.visit_some(self);
        }
        self.walk.steps += 1;
        let path = self.path.clone();
        self.walk.line(&path, "option");
        let some = self.below("some");
        if self.is_exhausted() || self.walk.omitted.contains(&some) {
            return visitor.visit_none();
        }
        let outcome = visitor.visit_some(self.at(some.clone()));
        self.walk.settle(some, outcome)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Halt> {
        // A newtype is stored as the value that it holds, so it is no part of the shape. An option
        // inside it is not the outermost layer.
        self.walk.peel_option = false;
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        self.enter::<V, _>("seq", |recorder| visitor.visit_seq(Elements { recorder, next: 0, len: None }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Halt> {
        self.elements(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Halt> {
        self.elements(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Halt> {
        let dummy = (self.below("key"), self.below("value"));
        let omitted = self.walk.omitted.contains(&dummy.0) || self.walk.omitted.contains(&dummy.1);
        let dummy = (!omitted && !self.is_exhausted()).then_some(dummy);
        let demanded = self.walk.demanded.get(&self.path).cloned().unwrap_or_default();
        self.enter::<V, _>("map", |recorder| {
            let value = dummy.as_ref().map(|(_, value)| value.clone());
            let outcome = recorder.entries(demanded, dummy, visitor);
            match value {
                // A struct with flattened fields may take the dummy entry first and refuse it
                // later.
                Some(value) => recorder.walk.settle(value, outcome),
                None => outcome,
            }
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        self.fields("struct", fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        for (at, variant) in variants.iter().enumerate() {
            let path = self.below(variant);
            self.walk.named(&path, "variant", at);
        }
        self.enter::<V, _>("enum", |recorder| {
            let known = recorder.walk.enums.get(&recorder.path).copied().unwrap_or_default();
            let exploring = known.next < variants.len();
            let index = if exploring { Some(known.next) } else { known.possible };
            let Some(index) = index else { return Err(Halt::Dummy) };
            let name = variants[index];
            let path = recorder.below(name);
            let earlier = std::mem::take(&mut recorder.walk.unfinished);
            let outcome = visitor.visit_enum(OneVariant { recorder: recorder.at(path), name });
            if exploring && !recorder.walk.unfinished {
                let possible = known.possible.or(outcome.is_ok().then_some(index));
                recorder.walk.enums.insert(recorder.path.clone(), Variants { next: index + 1, possible });
                // Another walk is needed for the next variant, or for what stands after an enum
                // whose last variant failed.
                recorder.walk.unfinished = index + 1 < variants.len() || (outcome.is_err() && possible.is_some());
            }
            recorder.walk.unfinished |= earlier;
            outcome
        })
    }

    fn is_human_readable(&self) -> bool {
        !self.walk.in_order
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        let outcome = visitor.visit_str("");
        if let Err(Halt::Unknown(variants)) = &outcome {
            for variant in *variants {
                self.walk.line(&self.path, format!("variant {variant}"));
            }
        }
        outcome
    }
}

/// The elements of a tuple, or the one element of a list.
struct Elements<'a, 'w> {
    recorder: &'a mut Recorder<'w>,
    next: usize,
    /// `None`: a list, which may also be empty.
    len: Option<usize>,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Halt;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Halt> {
        if self.next >= self.len.unwrap_or(1) {
            return Ok(None);
        }
        let place = self.recorder.below(&self.next.to_string());
        self.next += 1;
        if self.recorder.walk.omitted.contains(&place) {
            return if self.len.is_none() { Ok(None) } else { Err(Halt::Dummy) };
        }
        let outcome = seed.deserialize(self.recorder.at(place.clone()));
        self.recorder.walk.settle(place, outcome).map(Some)
    }
}

/// The named entries of a map, then perhaps one whose key is a dummy as well.
struct FakeEntries<'a, 'w> {
    recorder: &'a mut Recorder<'w>,
    names: std::vec::IntoIter<&'static str>,
    dummy: Option<(String, String)>,
    /// The place of the entry whose value was not asked for yet.
    current: &'a mut Option<String>,
}

impl<'de> MapAccess<'de> for FakeEntries<'_, '_> {
    type Error = Halt;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Halt> {
        for name in self.names.by_ref() {
            let place = self.recorder.below(name);
            if !self.recorder.walk.omitted.contains(&place) {
                *self.current = Some(place);
                let name: StrDeserializer<'_, Halt> = name.into_deserializer();
                return seed.deserialize(name).map(Some);
            }
        }
        let Some((key, value)) = self.dummy.take() else { return Ok(None) };
        let outcome = seed.deserialize(self.recorder.at(key.clone()));
        let key = self.recorder.walk.settle(key, outcome)?;
        *self.current = Some(value);
        Ok(Some(key))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Halt> {
        let place = self.current.take().ok_or(Halt::Dummy)?;
        let outcome = seed.deserialize(self.recorder.at(place.clone()));
        self.recorder.walk.settle(place, outcome)
    }
}

struct OneVariant<'w> {
    recorder: Recorder<'w>,
    name: &'static str,
}

impl<'de, 'w> EnumAccess<'de> for OneVariant<'w> {
    type Error = Halt;
    type Variant = Recorder<'w>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Recorder<'w>), Halt> {
        let name: StrDeserializer<'_, Halt> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self.recorder))
    }
}

impl<'de> VariantAccess<'de> for Recorder<'_> {
    type Error = Halt;

    fn unit_variant(self) -> Result<(), Halt> {
        self.walk.line(&self.path, "unit");
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Halt> {
        self.walk.line(&self.path, "newtype");
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Halt> {
        self.elements(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Halt> {
        self.fields("struct", fields, visitor)
    }
}
