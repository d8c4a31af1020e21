//! Turns values into payloads and back, by the codec that is asked for. `Some(x)` is stored as `x`,
//! and `None` as a flag in the header, so that a function that returns `Option<T>` and one that
//! returns `T` can share entries.

#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod loss_tests;
#[cfg(test)]
mod tests;

mod formats;
mod omission;

use std::fmt;

use serde::de::value::Error as NoValue;
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde::ser::{Serialize, Serializer};

use super::fingerprint::{LayoutDigest, layout_of};
use crate::codec::Format;
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::name::differ;
use crate::serializers::{refuse, refuse_compounds};

/// What a loaded value is, as its serialization shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// A value, encoded.
    Value(Vec<u8>),
    /// `None`: stored only where negative entries are wanted.
    None,
    /// An `Err` that generic code could not tell from a value: never stored.
    Err,
}

/// Encodes a value to be stored, which is read back as a `T`.
///
/// # Errors
/// `Encode`: the value's own `Serialize` failed, or the codec has no form for it.
pub(crate) fn encode_as<T: DeserializeOwned>(
    value: &(impl Serialize + ?Sized),
    format: Format,
) -> Result<Encoding, Error> {
    // Asked for only where it is needed: a walk over the type, the first time.
    let layout = if format.is_self_describing() { None } else { Some(layout_of::<T>().ok_or_else(unencodable)?) };
    let way = Encoder { format, layout };
    match value.serialize(OuterLayer(way)) {
        Ok(encoded) => Ok(encoded),
        Err(NoAnswer::Plain) => way.write(value).map(Encoding::Value),
        Err(NoAnswer::Failed(error)) => Err(error),
    }
}

/// How a payload is written.
#[derive(Clone, Copy)]
struct Encoder {
    format: Format,
    /// What stands before a payload that does not say itself what it holds.
    layout: Option<LayoutDigest>,
}

impl Encoder {
    fn write<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>, Error> {
        let Some(layout) = self.layout else { return formats::write(self.format, value) };
        if omission::leaves_out(value) {
            return Err(unencodable());
        }
        let payload = formats::write(self.format, value)?;
        Ok([&layout[..], &payload].concat())
    }
}

/// Decodes a stored value. Compare the fingerprint first.
///
/// # Errors
/// `Encode`: the payload is not that of a `T`, or the entry is negative and `T` has no `None`.
pub(crate) fn decode<T: DeserializeOwned>(entry: &Entry) -> Result<T, Error> {
    match (entry.header().negative, &entry.opened) {
        (true, _) => decode_none(),
        (false, None) => decode_payload(&entry.payload(), Format::Json),
        (false, Some(opened)) => decode_payload(&opened.payload, opened.format),
    }
}

fn decode_none<T: DeserializeOwned>() -> Result<T, Error> {
    T::deserialize(Negative).map_err(|_| undecodable())
}

fn decode_payload<T: DeserializeOwned>(payload: &[u8], format: Format) -> Result<T, Error> {
    if format.is_self_describing() {
        return formats::read(format, payload);
    }
    // Fields in another order, or another type, would be read as if they were what is wanted.
    let (layout, payload) = payload.split_first_chunk().ok_or_else(undecodable)?;
    if layout_of::<T>().as_ref() != Some(layout) {
        return Err(undecodable());
    }
    formats::read(format, payload)
}

/// Whether an entry holds this value; an error: it cannot be compared. Bytes that differ may hold
/// the same value, such as a map whose entries stand in another order, so then both are decoded and
/// compared as serde shows them.
pub(crate) fn holds<T: Serialize + DeserializeOwned>(entry: &Entry, value: &T) -> Result<bool, Error> {
    let (format, stored) = match &entry.opened {
        None => (Format::Json, entry.payload()),
        Some(opened) => (opened.format, opened.payload.clone()),
    };
    match (encode_as::<T>(value, format)?, entry.header().negative) {
        (Encoding::Value(payload), false) if *payload == *stored => Ok(true),
        (Encoding::Value(payload), false) => {
            Ok(!differ(&decode_payload::<T>(&payload, format)?, &decode_payload::<T>(&stored, format)?))
        }
        (Encoding::None, negative) => Ok(negative),
        (Encoding::Value(_), true) | (Encoding::Err, _) => Ok(false),
    }
}

fn unencodable() -> Error {
    // The codec's own message may quote the value, so it is not kept.
    Error::new(ErrorKind::Encode, "the value could not be encoded")
}

fn undecodable() -> Error {
    Error::new(ErrorKind::Encode, "the stored value could not be decoded")
}

/// Why a value is not to be stored: its bytes do not decode to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The bytes do not decode at all: every call would load the value and store it again.
    Undecodable,
    /// The bytes decode to another value, which calls would be served.
    Changed,
}

/// Checks that the bytes that `value` was encoded to decode to an equal `T`. A difference that
/// serde does not show is not seen (a field that is skipped both ways, two variants that print the
/// same).
///
/// # Cost
/// That of a hit, and of serializing both values once more: a few times what encoding cost.
pub(crate) fn check<T: Serialize + DeserializeOwned>(
    value: &impl Serialize,
    encoded: &Encoding,
    format: Format,
) -> Result<(), Loss> {
    let came_back = match encoded {
        Encoding::Value(payload) => decode_payload::<T>(payload, format),
        Encoding::None => decode_none(),
        // Never stored.
        Encoding::Err => return Ok(()),
    };
    let came_back = came_back.map_err(|_| Loss::Undecodable)?;
    if differ(value, &came_back) { Err(Loss::Changed) } else { Ok(()) }
}

/// A negative entry: `None` to a type that asks for an option, an error to any other.
struct Negative;

impl<'de> Deserializer<'de> for Negative {
    type Error = NoValue;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, NoValue> {
        Err(serde::de::Error::custom("the entry is negative"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NoValue> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, NoValue> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// A stored payload: a type that asks for an option gets `Some`. That holds for `null` too, because
/// `Some(())` is stored as `null`.
struct Peeled<D>(D);

macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Peeled<D> {
    type Error = D::Error;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_some(self.0)
    }

    pass_on! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// Looks only at the outermost layer of a value, and answers before anything is written.
struct OuterLayer(Encoder);

/// Why the probe has no answer.
#[derive(Debug)]
enum NoAnswer {
    /// Neither `None`, `Some` nor `Err`.
    Plain,
    Failed(Error),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer")
    }
}

impl std::error::Error for NoAnswer {}

impl serde::ser::Error for NoAnswer {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::Failed(Error::new(ErrorKind::Encode, "the value's own serialization failed"))
    }
}

impl Serializer for OuterLayer {
    type Ok = Encoding;
    type Error = NoAnswer;

    refuse_compounds!(NoAnswer::Plain);

    fn serialize_none(self) -> Result<Encoding, NoAnswer> {
        Ok(Encoding::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Encoding, NoAnswer> {
        self.0.write(value).map(Encoding::Value).map_err(NoAnswer::Failed)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<Encoding, NoAnswer> {
        if name == "Result" && variant == "Err" { Ok(Encoding::Err) } else { Err(NoAnswer::Plain) }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<Encoding, NoAnswer> {
        Err(NoAnswer::Plain)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<Encoding, NoAnswer> {
        Err(NoAnswer::Plain)
    }

    refuse! {
        NoAnswer::Plain;
        serialize_bool(bool) -> Encoding;
        serialize_i8(i8) -> Encoding;
        serialize_i16(i16) -> Encoding;
        serialize_i32(i32) -> Encoding;
        serialize_i64(i64) -> Encoding;
        serialize_i128(i128) -> Encoding;
        serialize_u8(u8) -> Encoding;
        serialize_u16(u16) -> Encoding;
        serialize_u32(u32) -> Encoding;
        serialize_u64(u64) -> Encoding;
        serialize_u128(u128) -> Encoding;
        serialize_f32(f32) -> Encoding;
        serialize_f64(f64) -> Encoding;
        serialize_char(char) -> Encoding;
        serialize_str(&str) -> Encoding;
        serialize_bytes(&[u8]) -> Encoding;
        serialize_unit() -> Encoding;
        serialize_unit_struct(&'static str) -> Encoding;
        serialize_unit_variant(&'static str, u32, &'static str) -> Encoding;
    }
}
