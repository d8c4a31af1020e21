//! The canonical bytes of a value that is not a scalar: the input of its digest.
//!
//! Every value is a type tag followed by its content. Texts carry their length and lists their
//! count, so no two values share their bytes. Enum variants are told apart by name, because
//! reordering them must not mix up keys. Maps are sorted by the bytes of their keys.
//!
//! serde shows no difference between a list and a set. A `HashSet` (of std or of hashbrown) is
//! recognised by the type that its `Serialize` hands to `collect_seq`. If a hand-written
//! `Serialize` hides that type, the set is written as a list in iteration order, and equal sets may
//! have different keys: one more miss, never a wrong value.

mod comparison;
mod compound;

use std::any::type_name;
use std::fmt::{self, Write as _};

use serde::ser::{Serialize, Serializer};

pub(crate) use self::comparison::differ;
use self::compound::{List, Map};
use super::unencodable::Unencodable;
use crate::config::KEY_DEPTH_MAX;
use crate::serializers::pass_to;

/// Separates the digests made here from those made for another purpose.
const CONTEXT: &[u8] = b"part\0";

mod tag {
    pub(super) const NONE: u8 = 0;
    pub(super) const SOME: u8 = 1;
    pub(super) const UNIT: u8 = 2;
    pub(super) const BOOL: u8 = 3;
    pub(super) const NEGATIVE: u8 = 4;
    pub(super) const NATURAL: u8 = 5;
    pub(super) const F32: u8 = 6;
    pub(super) const F64: u8 = 7;
    pub(super) const CHAR: u8 = 8;
    pub(super) const STR: u8 = 9;
    pub(super) const BYTES: u8 = 10;
    pub(super) const UNIT_VARIANT: u8 = 11;
    pub(super) const NEWTYPE_VARIANT: u8 = 12;
    pub(super) const TUPLE_VARIANT: u8 = 13;
    pub(super) const STRUCT_VARIANT: u8 = 14;
    pub(super) const SEQ: u8 = 15;
    pub(super) const TUPLE: u8 = 16;
    pub(super) const STRUCT: u8 = 17;
    pub(super) const MAP: u8 = 18;
    pub(super) const SET: u8 = 19;
}

/// The purpose of the bytes.
struct Purpose {
    depth_max: usize,
    /// Every bit of a float counts, and NaN is NaN. If not, `-0.0` is `0.0`, and NaN is refused:
    /// two NaNs are different, and so would be the keys of two equal calls.
    exact_floats: bool,
    /// The items of a list are sorted, and so are the values under one key of a map.
    sorted_lists: bool,
}

static OF_KEYS: Purpose = Purpose { depth_max: KEY_DEPTH_MAX, exact_floats: false, sorted_lists: false };

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Unencodable> {
    encode_by(&OF_KEYS, value)
}

/// Appends the encoding of one value.
pub(crate) fn push<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Unencodable> {
    value.serialize(Canonical { out, nesting: Nesting { purpose: &OF_KEYS, depth: 0 } })
}

fn encode_by<T: Serialize + ?Sized>(purpose: &Purpose, value: &T) -> Result<Vec<u8>, Unencodable> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(CONTEXT);
    value.serialize(Canonical { out: &mut out, nesting: Nesting { purpose, depth: 0 } })?;
    Ok(out)
}

/// The depth inside the value, and the purpose.
#[derive(Clone, Copy)]
struct Nesting<'r> {
    purpose: &'r Purpose,
    depth: usize,
}

struct Canonical<'a> {
    out: &'a mut Vec<u8>,
    nesting: Nesting<'a>,
}

impl<'a> Canonical<'a> {
    fn tagged(self, tag: u8, content: &[u8]) -> Result<(), Unencodable> {
        self.out.push(tag);
        self.out.extend_from_slice(content);
        Ok(())
    }

    fn sized(self, tag: u8, content: &[u8]) -> Result<(), Unencodable> {
        self.out.push(tag);
        push_sized(self.out, content);
        Ok(())
    }

    /// A number in one piece of a known length, which is written without a call: every call that
    /// has a place for a copy encodes it.
    #[inline]
    fn number(self, tag: u8, content: [u8; 16]) -> Result<(), Unencodable> {
        let mut piece = [tag; 17];
        piece[1..].copy_from_slice(&content);
        self.out.extend_from_slice(&piece);
        Ok(())
    }

    /// Integers by value: `1u8` and `1i64` are one, as in readable keys.
    #[inline]
    fn signed(self, v: impl Into<i128>) -> Result<(), Unencodable> {
        let v = v.into();
        match u128::try_from(v) {
            Ok(natural) => self.number(tag::NATURAL, natural.to_le_bytes()),
            Err(_) => self.number(tag::NEGATIVE, v.to_le_bytes()),
        }
    }

    #[inline]
    fn natural(self, v: impl Into<u128>) -> Result<(), Unencodable> {
        self.number(tag::NATURAL, v.into().to_le_bytes())
    }

    fn deeper(self) -> Result<Self, Unencodable> {
        let Nesting { purpose, depth } = self.nesting;
        if depth == purpose.depth_max {
            return Err(Unencodable::TooDeep);
        }
        Ok(Self { out: self.out, nesting: Nesting { purpose, depth: depth + 1 } })
    }

    fn list(self, tag: u8, variant: Option<&str>) -> Result<List<'a>, Unencodable> {
        let Canonical { out, nesting } = self.deeper()?;
        out.push(tag);
        if let Some(variant) = variant {
            push_sized(out, variant.as_bytes());
        }
        Ok(List::new(out, nesting, nesting.purpose.sorted_lists && tag == tag::SEQ))
    }
}

fn push_sized(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(&(content.len() as u64).to_le_bytes());
    out.extend_from_slice(content);
}

/// Whether `I` is a reference to a hash set. The compiler does not guarantee how type names are
/// spelled. A change would turn sets into lists, and the test `hash_sets_are_sorted` would fail.
fn is_hash_set<I>() -> bool {
    let name = type_name::<I>().trim_start_matches('&');
    let path = name.split('<').next().unwrap_or(name);
    path.ends_with("::HashSet") && (path.starts_with("std::") || path.starts_with("hashbrown::"))
}

impl<'a> Serializer for Canonical<'a> {
    type Ok = ();
    type Error = Unencodable;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Map<'a>;
    type SerializeStruct = List<'a>;
    type SerializeStructVariant = List<'a>;

    fn is_human_readable(&self) -> bool {
        true
    }

    fn serialize_bool(self, v: bool) -> Result<(), Unencodable> {
        self.tagged(tag::BOOL, &[u8::from(v)])
    }

    pass_to! {
        signed: serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
    }
    pass_to! {
        natural: serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
    }

    fn serialize_f32(self, v: f32) -> Result<(), Unencodable> {
        let v = match self.nesting.purpose.exact_floats {
            true if v.is_nan() => f32::NAN,
            true => v,
            false if v.is_nan() => return Err(Unencodable::NotANumber),
            false => v + 0.0, // -0.0 + 0.0 is 0.0
        };
        self.tagged(tag::F32, &v.to_le_bytes())
    }

    fn serialize_f64(self, v: f64) -> Result<(), Unencodable> {
        let v = match self.nesting.purpose.exact_floats {
            true if v.is_nan() => f64::NAN,
            true => v,
            false if v.is_nan() => return Err(Unencodable::NotANumber),
            false => v + 0.0,
        };
        self.tagged(tag::F64, &v.to_le_bytes())
    }

    fn serialize_char(self, v: char) -> Result<(), Unencodable> {
        self.tagged(tag::CHAR, &u32::from(v).to_le_bytes())
    }
    fn serialize_str(self, v: &str) -> Result<(), Unencodable> {
        self.sized(tag::STR, v.as_bytes())
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<(), Unencodable> {
        self.sized(tag::BYTES, v)
    }
    fn serialize_none(self) -> Result<(), Unencodable> {
        self.tagged(tag::NONE, &[])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unencodable> {
        let inner = self.deeper()?;
        inner.out.push(tag::SOME);
        value.serialize(inner)
    }

    fn serialize_unit(self) -> Result<(), Unencodable> {
        self.tagged(tag::UNIT, &[])
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unencodable> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Unencodable> {
        self.sized(tag::UNIT_VARIANT, variant.as_bytes())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unencodable> {
        value.serialize(self.deeper()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Unencodable> {
        let inner = self.deeper()?;
        inner.out.push(tag::NEWTYPE_VARIANT);
        push_sized(inner.out, variant.as_bytes());
        value.serialize(inner)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, Unencodable> {
        self.list(tag::SEQ, None)
    }
    fn serialize_tuple(self, _: usize) -> Result<List<'a>, Unencodable> {
        self.list(tag::TUPLE, None)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, Unencodable> {
        self.list(tag::TUPLE, None)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Unencodable> {
        self.list(tag::TUPLE_VARIANT, Some(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a>, Unencodable> {
        let Canonical { out, nesting } = self.deeper()?;
        Ok(Map::new(out, nesting))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<List<'a>, Unencodable> {
        self.list(tag::STRUCT, None)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Unencodable> {
        self.list(tag::STRUCT_VARIANT, Some(variant))
    }

    fn collect_seq<I>(self, iter: I) -> Result<(), Unencodable>
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        if !is_hash_set::<I>() {
            let mut list = self.list(tag::SEQ, None)?;
            iter.into_iter().try_for_each(|item| list.item(&item))?;
            return list.finish();
        }
        let Canonical { out, nesting } = self.deeper()?;
        let mut items = Vec::new();
        for item in iter {
            let mut bytes = Vec::new();
            item.serialize(Canonical { out: &mut bytes, nesting })?;
            items.push(bytes);
        }
        items.sort_unstable();
        out.push(tag::SET);
        out.extend_from_slice(&(items.len() as u64).to_le_bytes());
        items.iter().for_each(|item| out.extend_from_slice(item));
        Ok(())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Unencodable> {
        let mut text = String::new();
        // `to_string` would panic on a failing `Display`.
        write!(text, "{value}").map_err(|_| Unencodable::Failed)?;
        self.serialize_str(&text)
    }
}
