//! The codecs and compressions that attributes name. What this program was built without is an
//! error of the compiler, at the name.

#[cfg(feature = "codec")]
use crate::codec::Codec;
use crate::codec::{Compression, Format};

/// A program with the feature `postcard`.
#[diagnostic::on_unimplemented(
    message = "`codec = \"postcard\"` needs the feature `postcard` of cache-core",
    label = "this codec is not built in",
    note = "in Cargo.toml, at cache-core: `features = [\"postcard\"]`"
)]
pub trait BuildsPostcard {
    /// The codec.
    fn postcard() -> Format;
}

#[cfg(feature = "postcard")]
impl BuildsPostcard for () {
    fn postcard() -> Format {
        Format::Postcard
    }
}

/// A program with the feature `rmp`.
#[diagnostic::on_unimplemented(
    message = "`codec = \"rmp\"` needs the feature `rmp` of cache-core",
    label = "this codec is not built in",
    note = "in Cargo.toml, at cache-core: `features = [\"rmp\"]`"
)]
pub trait BuildsMessagePack {
    /// The codec.
    fn rmp() -> Format;
}

#[cfg(feature = "rmp")]
impl BuildsMessagePack for () {
    fn rmp() -> Format {
        Format::MessagePack
    }
}

/// A program with the feature `lz4`.
#[diagnostic::on_unimplemented(
    message = "`compress` needs the feature `lz4` of cache-core",
    label = "this compression is not built in",
    note = "in Cargo.toml, at cache-core: `features = [\"lz4\"]`"
)]
pub trait BuildsLz4 {
    /// The compression.
    fn lz4() -> Compression;
}

#[cfg(feature = "lz4")]
impl BuildsLz4 for () {
    fn lz4() -> Compression {
        Compression::Lz4
    }
}

/// A program with the feature `zstd`.
#[diagnostic::on_unimplemented(
    message = "`compress = \"zstd\"` needs the feature `zstd` of cache-core",
    label = "this compression is not built in",
    note = "in Cargo.toml, at cache-core: `features = [\"zstd\"]`"
)]
pub trait BuildsZstd {
    /// The compression.
    fn zstd() -> Compression;
}

#[cfg(feature = "zstd")]
impl BuildsZstd for () {
    fn zstd() -> Compression {
        Compression::Zstd
    }
}

/// A codec of a user's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no codec",
    label = "does not implement `Codec`",
    note = "implement `cache_core::Codec` for it (feature `codec`), or name one of ours: `codec = \"json\"`"
)]
pub trait OwnCodec: 'static {
    /// The codec, as a format.
    fn format(&'static self) -> Format;
}

#[cfg(feature = "codec")]
#[diagnostic::do_not_recommend]
impl<C: Codec> OwnCodec for C {
    fn format(&'static self) -> Format {
        Format::Own(self)
    }
}

/// `codec = "json"`.
pub fn json<Program>() -> Format {
    Format::Json
}

/// `codec = "postcard"`.
pub fn postcard<Program: BuildsPostcard>() -> Format {
    Program::postcard()
}

/// `codec = "rmp"`.
pub fn rmp<Program: BuildsMessagePack>() -> Format {
    Program::rmp()
}

/// `codec = MyCodec`.
pub fn own_codec<C: OwnCodec>(codec: &'static C) -> Format {
    codec.format()
}

/// `compress = "none"`.
pub fn none<Program>() -> Compression {
    Compression::None
}

/// `compress`, and `compress = "lz4"`.
pub fn lz4<Program: BuildsLz4>() -> Compression {
    Program::lz4()
}

/// `compress = "zstd"`.
pub fn zstd<Program: BuildsZstd>() -> Compression {
    Program::zstd()
}
