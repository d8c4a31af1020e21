//! What the hand-written `Serializer`s have in common: calls that they refuse, or pass on.

/// Refuses all compound values: their associated types and methods. Stands inside an
/// `impl Serializer` with `Ok` and `Error`.
macro_rules! refuse_compounds {
    ($refusal:expr) => {
        type SerializeSeq = serde::ser::Impossible<Self::Ok, Self::Error>;
        type SerializeTuple = Self::SerializeSeq;
        type SerializeTupleStruct = Self::SerializeSeq;
        type SerializeTupleVariant = Self::SerializeSeq;
        type SerializeMap = Self::SerializeSeq;
        type SerializeStruct = Self::SerializeSeq;
        type SerializeStructVariant = Self::SerializeSeq;

        $crate::serializers::refuse! {
            $refusal;
            serialize_seq(Option<usize>) -> Self::SerializeSeq;
            serialize_tuple(usize) -> Self::SerializeSeq;
            serialize_tuple_struct(&'static str, usize) -> Self::SerializeSeq;
            serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeSeq;
            serialize_map(Option<usize>) -> Self::SerializeSeq;
            serialize_struct(&'static str, usize) -> Self::SerializeSeq;
            serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeSeq;
        }
    };
}

macro_rules! refuse {
    ($refusal:expr; $($method:ident($($type:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$ok, Self::Error> {
            Err($refusal)
        }
    )*};
}

/// Each `method(type)` is a call of `$way`.
macro_rules! pass_to {
    ($way:ident: $($method:ident($type:ty))*) => {$(
        fn $method(self, v: $type) -> Result<Self::Ok, Self::Error> {
            self.$way(v)
        }
    )*};
}

pub(crate) use {pass_to, refuse, refuse_compounds};
