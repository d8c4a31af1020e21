//! Lists, structs and maps on their way into canonical bytes.

use serde::ser::{self, Serialize};

use super::{Canonical, Nesting, push_sized, tag};
use crate::name::unencodable::Unencodable;

/// Items in order, counted: lists, tuples, and the fields of structs with their names.
pub(super) struct List<'a> {
    out: &'a mut Vec<u8>,
    nesting: Nesting<'a>,
    count_at: usize,
    count: u64,
    /// Where each item begins, if the items are to be sorted.
    begins: Option<Vec<usize>>,
}

impl<'a> List<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, nesting: Nesting<'a>, sorted: bool) -> Self {
        let count_at = out.len();
        out.extend_from_slice(&0u64.to_le_bytes());
        Self { out, nesting, count_at, count: 0, begins: sorted.then(Vec::new) }
    }

    pub(super) fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
        self.count += 1;
        if let Some(begins) = &mut self.begins {
            begins.push(self.out.len());
        }
        value.serialize(Canonical { out: self.out, nesting: self.nesting })
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unencodable> {
        push_sized(self.out, name.as_bytes());
        self.item(value)
    }

    pub(super) fn finish(self) -> Result<(), Unencodable> {
        self.out[self.count_at..self.count_at + 8].copy_from_slice(&self.count.to_le_bytes());
        if let Some(begins) = self.begins {
            let ends = begins.iter().skip(1).copied().chain([self.out.len()]);
            let mut items: Vec<&[u8]> = begins.iter().zip(ends).map(|(begin, end)| &self.out[*begin..end]).collect();
            items.sort_unstable();
            let sorted = items.concat();
            self.out.truncate(self.count_at + 8);
            self.out.extend_from_slice(&sorted);
        }
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
    nesting: Nesting<'a>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Map<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, nesting: Nesting<'a>) -> Self {
        Self { out, nesting, entries: Vec::new() }
    }
}

impl ser::SerializeMap for Map<'_> {
    type Ok = ();
    type Error = Unencodable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unencodable> {
        let mut bytes = Vec::new();
        key.serialize(Canonical { out: &mut bytes, nesting: self.nesting })?;
        self.entries.push((bytes, Vec::new()));
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
        let (_, bytes) = self.entries.last_mut().ok_or(Unencodable::Failed)?;
        value.serialize(Canonical { out: bytes, nesting: self.nesting })
    }

    fn end(mut self) -> Result<(), Unencodable> {
        match self.nesting.purpose.sorted_lists {
            true => self.entries.sort_unstable(),
            // The sort is stable and by key alone: the values of a multimap keep their order, which
            // may matter.
            false => self.entries.sort_by(|(a, _), (b, _)| a.cmp(b)),
        }
        self.out.push(tag::MAP);
        self.out.extend_from_slice(&(self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            self.out.extend_from_slice(key);
            self.out.extend_from_slice(value);
        }
        Ok(())
    }
}
