//! Spells one value of a template as readable text; a value that is not a scalar becomes a digest.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::sync::Arc;

use serde::ser::{Serialize, Serializer};

use super::canonical;
use super::digest::push_digest;
use super::escape::{is_ambiguous, push_escaped};
use super::unencodable::Unencodable;
use crate::serializers::{pass_to, refuse, refuse_compounds};

/// Which values share a spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// None: two values that share a key would be served each other's entries.
    Key,
    /// A value in types that hold it in different ways: `7`, `Some(7)`, `"7"` and `UserId(7)`. Two
    /// spellings of one value would be two tags, and an invalidation of one would leave the other's
    /// entries. Two values of one spelling only cost an invalidation too many.
    Tag,
}

/// Appends the spelling of one value.
pub(crate) fn push_part<T: Serialize + ?Sized>(
    out: &mut String,
    value: &T,
    spelling: Spelling,
) -> Result<(), Unencodable> {
    let needs_no_quote = match spelling {
        Spelling::Key => is_text::<T>,
        Spelling::Tag => || true,
    };
    push_value(out, value, spelling, needs_no_quote)
}

fn push_value<T: Serialize + ?Sized>(
    out: &mut String,
    value: &T,
    spelling: Spelling,
    needs_no_quote: fn() -> bool,
) -> Result<(), Unencodable> {
    match value.serialize(Readable { out, spelling, needs_no_quote }) {
        Err(Unencodable::Composite) => {
            let bytes = canonical::encode(value)?;
            push_digest(out, &bytes);
            Ok(())
        }
        other => other,
    }
}

/// Whether every value of `T` is text, so that no text needs a quote. Asked only when it matters.
fn is_text<T: ?Sized>() -> bool {
    let id = typeid::of::<T>();
    id == typeid::of::<&str>()
        || id == typeid::of::<String>()
        || id == typeid::of::<str>()
        || id == typeid::of::<&String>()
        || id == typeid::of::<&&str>()
        || id == typeid::of::<&&String>()
        || id == typeid::of::<Cow<'_, str>>()
        || id == typeid::of::<&Cow<'_, str>>()
        || id == typeid::of::<Arc<str>>()
        || id == typeid::of::<&Arc<str>>()
        || id == typeid::of::<Rc<str>>()
        || id == typeid::of::<&Rc<str>>()
        || id == typeid::of::<Box<str>>()
        || id == typeid::of::<&Box<str>>()
        || id == typeid::of::<Arc<String>>()
        || id == typeid::of::<Box<String>>()
        || id == typeid::of::<&mut str>()
        || id == typeid::of::<&mut String>()
        || id == typeid::of::<char>()
        || id == typeid::of::<&char>()
}

struct Readable<'a> {
    out: &'a mut String,
    spelling: Spelling,
    /// Asked of text that reads like another scalar.
    needs_no_quote: fn() -> bool,
}

impl Readable<'_> {
    fn print(self, value: impl fmt::Display) -> Result<(), Unencodable> {
        write!(self.out, "{value}").map_err(|_| Unencodable::Failed)
    }
}

impl Serializer for Readable<'_> {
    type Ok = ();
    type Error = Unencodable;

    refuse_compounds!(Unencodable::Composite);

    fn is_human_readable(&self) -> bool {
        true
    }

    pass_to! {
        print: serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
            serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
    }

    refuse! {
        Unencodable::Composite;
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_bytes(&[u8]) -> ();
    }

    fn serialize_char(self, v: char) -> Result<(), Unencodable> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<(), Unencodable> {
        if is_ambiguous(v) && !(self.needs_no_quote)() {
            self.out.push('\'');
        }
        push_escaped(self.out, v);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Unencodable> {
        match self.spelling {
            Spelling::Key => self.print('!'),
            Spelling::Tag => Err(Unencodable::Absent),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unencodable> {
        match self.spelling {
            Spelling::Key => {
                self.out.push('+');
                push_value(self.out, value, Spelling::Key, || false)
            }
            Spelling::Tag => push_part(self.out, value, Spelling::Tag),
        }
    }

    fn serialize_unit(self) -> Result<(), Unencodable> {
        self.out.push_str("!()");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Unencodable> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Unencodable> {
        if self.spelling == Spelling::Key {
            self.out.push('.');
        }
        push_escaped(self.out, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unencodable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unencodable> {
        Err(Unencodable::Composite)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Unencodable> {
        let mut text = String::new();
        // `to_string` would panic on a failing `Display`.
        write!(text, "{value}").map_err(|_| Unencodable::Failed)?;
        self.serialize_str(&text)
    }
}
