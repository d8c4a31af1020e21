//! The codecs themselves.

use serde::Serialize;
use serde::de::DeserializeOwned;
#[cfg(feature = "rmp")]
use serde::de::{Deserialize, IgnoredAny};

use super::{Peeled, undecodable, unencodable};
use crate::codec::Format;
use crate::error::Error;

/// As deep as serde_json goes: what is deeper could end a thread's stack.
#[cfg(feature = "rmp")]
const DEPTH_MAX: usize = 128;

pub(super) fn write<T: Serialize + ?Sized>(format: Format, value: &T) -> Result<Vec<u8>, Error> {
    match format {
        Format::Json => serde_json::to_vec(value).map_err(|_| unencodable()),
        #[cfg(feature = "postcard")]
        Format::Postcard => postcard::to_allocvec(value).map_err(|_| unencodable()),
        #[cfg(feature = "rmp")]
        Format::MessagePack => rmp_serde::to_vec_named(value).map_err(|_| unencodable()),
        #[cfg(feature = "codec")]
        Format::Own(codec) => codec.encode(&value).map_err(|_| unencodable()),
    }
}

/// Reads all of `payload`.
pub(super) fn read<T: DeserializeOwned>(format: Format, payload: &[u8]) -> Result<T, Error> {
    match format {
        Format::Json => {
            // Looked at once as a whole: serde_json would look at each text in it, which was a
            // twelfth of the instructions of a hit in Redis.
            let text = std::str::from_utf8(payload).map_err(|_| undecodable())?;
            let mut json = serde_json::Deserializer::from_str(text);
            let value = T::deserialize(Peeled(&mut json)).map_err(|_| undecodable())?;
            json.end().map_err(|_| undecodable())?;
            Ok(value)
        }
        #[cfg(feature = "postcard")]
        Format::Postcard => {
            let mut postcard = postcard::Deserializer::from_bytes(payload);
            let value = T::deserialize(Peeled(&mut postcard)).map_err(|_| undecodable())?;
            let rest = postcard.finalize().map_err(|_| undecodable())?;
            if rest.is_empty() { Ok(value) } else { Err(undecodable()) }
        }
        #[cfg(feature = "rmp")]
        Format::MessagePack => {
            let mut packed = rmp_serde::Deserializer::from_read_ref(payload);
            packed.set_max_depth(DEPTH_MAX);
            let value = T::deserialize(Peeled(&mut packed)).map_err(|_| undecodable())?;
            // Nothing tells how much is left but to ask for more.
            if IgnoredAny::deserialize(&mut packed).is_err() { Ok(value) } else { Err(undecodable()) }
        }
        #[cfg(feature = "codec")]
        Format::Own(codec) => {
            let mut value = None;
            codec
                .decode(payload, &mut |deserializer| {
                    value = Some(T::deserialize(Peeled(deserializer))?);
                    Ok(())
                })
                .map_err(|_| undecodable())?;
            value.ok_or_else(undecodable)
        }
    }
}
