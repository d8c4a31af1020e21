//! Lists, structs and maps on their way into canonical bytes.

use serde::ser::{self, Serialize};

use super::{Canonical, push_sized, tag};
use crate::name::unencodable::Unencodable;

/// Items in order, counted: lists, tuples, and the fields of structs with their names.
pub(super) struct List<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
    count_at: usize,
    count: u64,
}

impl<'a> List<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, depth: usize) -> Self {
        let count_at = out.len();
        out.extend_from_slice(&0u64.to_le_bytes());
        Self { out, depth, count_at, count: 0 }
    }

    pub(super) fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
        self.count += 1;
        value.serialize(Canonical { out: self.out, depth: self.depth })
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unencodable> {
        push_sized(self.out, name.as_bytes());
        self.item(value)
    }

    pub(super) fn finish(self) -> Result<(), Unencodable> {
        self.out[self.count_at..self.count_at + 8].copy_from_slice(&self.count.to_le_bytes());
        Ok(())
    }
}

macro_rules! counted {
    ($($kind:ident: $method:ident($($name:ident)?) = $way:ident;)*) => {$(
        impl ser::$kind for List<'_> {
            type Ok = ();
            type Error = Unencodable;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), Unencodable> {
                self.$way($($name,)? value)
            }

            fn end(self) -> Result<(), Unencodable> {
                self.finish()
            }
        }
    )*};
}

counted! {
    SerializeSeq: serialize_element() = item;
    SerializeTuple: serialize_element() = item;
    SerializeTupleStruct: serialize_field() = item;
    SerializeTupleVariant: serialize_field() = item;
    SerializeStruct: serialize_field(name) = field;
    SerializeStructVariant: serialize_field(name) = field;
}

/// Entries kept apart until all are there and can be sorted.
pub(super) struct Map<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Map<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, depth: usize) -> Self {
        Self { out, depth, entries: Vec::new() }
    }
}

impl ser::SerializeMap for Map<'_> {
    type Ok = ();
    type Error = Unencodable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unencodable> {
        let mut bytes = Vec::new();
        key.serialize(Canonical { out: &mut bytes, depth: self.depth })?;
        self.entries.push((bytes, Vec::new()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
        let (_, bytes) = self.entries.last_mut().ok_or(Unencodable::Failed)?;
        value.serialize(Canonical { out: bytes, depth: self.depth })
    }

    fn end(mut self) -> Result<(), Unencodable> {
        // Stable and by key alone: the values of a multimap keep their order, which may matter.
        self.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.out.push(tag::MAP);
        self.out.extend_from_slice(&(self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            self.out.extend_from_slice(key);
            self.out.extend_from_slice(value);
        }
        Ok(())
    }
}
