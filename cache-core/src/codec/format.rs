//! Which codec writes the payloads.

use std::fmt;

/// What a codec of a user's, or a seal, says of a failure. It is counted and not shown: it may
/// quote a value.
pub type CodecError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const JSON: u8 = 1;
#[cfg(feature = "postcard")]
const POSTCARD: u8 = 2;
#[cfg(feature = "rmp")]
const MESSAGE_PACK: u8 = 3;
/// Ids from here on are users'.
const OWN: u8 = 128;

/// How values are encoded: `codec = "…"` of [`#[cached]`](macro@crate::cached), and
/// [`Builder::codec`](crate::Builder::codec). See [the guide](crate::guide::codecs).
///
/// The header of an entry says how its value is encoded, so each entry is read as it was written,
/// whatever the codec is now.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Format {
    /// JSON: the default. People can read it in the server.
    Json,
    /// postcard: the smallest, and the fastest. Fields have no names, so it refuses what says
    /// nothing of its shape: `skip_serializing_if`, `untagged`, `flatten`. Feature `postcard`.
    #[cfg(feature = "postcard")]
    Postcard,
    /// MessagePack with the names of the fields: what JSON can hold, and bytes, NaN and maps whose
    /// keys are no text. Feature `rmp`.
    #[cfg(feature = "rmp")]
    MessagePack,
    /// A [`Codec`] of your own. Feature `codec`.
    #[cfg(feature = "codec")]
    Own(&'static dyn Codec),
}

impl Format {
    /// What headers say.
    pub(crate) fn id(self) -> u8 {
        match self {
            Self::Json => JSON,
            #[cfg(feature = "postcard")]
            Self::Postcard => POSTCARD,
            #[cfg(feature = "rmp")]
            Self::MessagePack => MESSAGE_PACK,
            #[cfg(feature = "codec")]
            Self::Own(codec) => codec.id().0,
        }
    }

    /// The codec of this id, if this program has it. `own`: what may be a user's.
    pub(super) fn of_id(id: u8, own: impl IntoIterator<Item = Self>) -> Option<Self> {
        match id {
            JSON => Some(Self::Json),
            #[cfg(feature = "postcard")]
            POSTCARD => Some(Self::Postcard),
            #[cfg(feature = "rmp")]
            MESSAGE_PACK => Some(Self::MessagePack),
            OWN.. => own.into_iter().find(|format| format.id() == id),
            _ => None,
        }
    }

    /// What an id is called, whether this program has the codec or not.
    pub(crate) fn name_of(id: u8) -> String {
        match id {
            JSON => "json".to_owned(),
            2 => "postcard".to_owned(),
            3 => "rmp".to_owned(),
            OWN.. => format!("own {}", id - OWN),
            _ => format!("unknown {id}"),
        }
    }

    /// Whether a payload says what it holds. Others are read by a type of the same layout alone.
    pub(crate) fn is_self_describing(self) -> bool {
        match self {
            Self::Json => true,
            #[cfg(feature = "postcard")]
            Self::Postcard => false,
            #[cfg(feature = "rmp")]
            Self::MessagePack => true,
            #[cfg(feature = "codec")]
            Self::Own(codec) => codec.is_self_describing(),
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::name_of(self.id()))
    }
}

/// What the header of an entry calls a codec of a user's.
#[cfg(feature = "codec")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecId(u8);

#[cfg(feature = "codec")]
impl CodecId {
    /// A number from 0 to 127, one for each codec of the programs that share a namespace. It stays
    /// what it is: entries that are stored say it.
    ///
    /// # Panics
    /// For a larger number; in a constant that is an error of the compiler.
    pub const fn new(number: u8) -> Self {
        assert!(number < OWN, "the number of a codec is at most 127");
        Self(OWN + number)
    }
}

/// What takes the value out of a deserializer, once.
#[cfg(feature = "codec")]
pub type TakeDecoded<'t, 'de> =
    &'t mut dyn FnMut(&mut dyn erased_serde::Deserializer<'de>) -> Result<(), erased_serde::Error>;

/// A codec of your own: `codec = MyCodec` of [`#[cached]`](macro@crate::cached), or
/// [`Format::Own`]. Feature `codec`. [The guide](crate::guide::codecs) has one that works.
///
/// # Cost
/// A value is walked through trait objects (`erased-serde`), about twice as slow as the codec is by
/// itself.
#[cfg(feature = "codec")]
pub trait Codec: Send + Sync + 'static {
    /// What entries call it.
    fn id(&self) -> CodecId;

    /// Whether its bytes say what they hold, as JSON does. If not, a value is read back only by a
    /// type with the same fields in the same order, and a value with a field that its `Serialize`
    /// leaves out is not stored.
    fn is_self_describing(&self) -> bool;

    /// Writes a value.
    ///
    /// # Errors
    /// The value is returned to its caller and not stored.
    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, CodecError>;

    /// Reads a value: hands a deserializer of the bytes to `take`, and says whether all bytes were
    /// read.
    ///
    /// The bytes may be anybody's. What is allocated is to be bounded by what is there, and not by
    /// what the bytes announce.
    ///
    /// # Errors
    /// The entry is a miss.
    fn decode<'de>(&self, bytes: &'de [u8], take: TakeDecoded<'_, 'de>) -> Result<(), CodecError>;
}
