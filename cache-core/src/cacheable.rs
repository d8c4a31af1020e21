//! How a data type itself is to be cached.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::{Compression, Format};
use crate::entry::Shape;
use crate::name::Tag;

/// How values of a type are cached, declared once: derive it with `#[cacheable(ttl = "1h")]`.
///
/// A cached function that names no `ttl` takes the TTL from the type that it returns. The tags
/// apply to every function that returns the type (in generic functions only with a `T: Cacheable`
/// bound). `Option`, `Vec`, `Box` and `Arc` pass everything on.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no TTL: it is not `Cacheable`",
    note = "give the function a `ttl`, or derive `Cacheable` for `{Self}` with `#[cacheable(ttl = \"...\")]`"
)]
pub trait Cacheable {
    /// To be raised when the meaning of values changes and their shape does not: entries of another
    /// version are misses.
    const VERSION: u32 = 0;

    /// How long entries live.
    fn ttl() -> Duration;

    /// The tags of one value.
    fn tags(&self) -> Vec<Tag> {
        Vec::new()
    }

    /// How long copies of values are kept in the process, if they are: see `near` of
    /// [`#[cached]`](macro@crate::cached).
    fn near() -> Option<Duration> {
        None
    }

    /// The share of hits that are verified, from 0 to 1, if the type says it: see `verify` of
    /// [`#[cached]`](macro@crate::cached).
    fn verify() -> Option<f64> {
        None
    }

    /// How values are encoded, if the type says it: see `codec` of
    /// [`#[cached]`](macro@crate::cached).
    fn codec() -> Option<Format> {
        None
    }

    /// How large values are compressed, if the type says it: see `compress` of
    /// [`#[cached]`](macro@crate::cached).
    fn compression() -> Option<Compression> {
        None
    }

    /// The fields of the type, for the fingerprint; the derive writes them.
    #[doc(hidden)]
    fn shape(shape: &mut Shape) {
        let _ = shape;
    }
}

macro_rules! pass_on {
    ($($wrapper:ty: |$this:ident| $tags:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: Cacheable> Cacheable for $wrapper {
            const VERSION: u32 = T::VERSION;

            fn ttl() -> Duration {
                T::ttl()
            }

            fn tags(&self) -> Vec<Tag> {
                let $this = self;
                $tags
            }

            fn near() -> Option<Duration> {
                T::near()
            }

            fn verify() -> Option<f64> {
                T::verify()
            }

            fn codec() -> Option<Format> {
                T::codec()
            }

            fn compression() -> Option<Compression> {
                T::compression()
            }

            fn shape(shape: &mut Shape) {
                T::shape(shape);
            }
        }
    )*};
}

pass_on! {
    Option<T>: |value| value.as_ref().map(T::tags).unwrap_or_default();
    Vec<T>: |values| values.iter().flat_map(T::tags).collect();
    Box<T>: |value| (**value).tags();
    Arc<T>: |value| (**value).tags();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Airport(&'static str);

    impl Cacheable for Airport {
        const VERSION: u32 = 3;

        fn ttl() -> Duration {
            Duration::from_secs(3_600)
        }

        fn tags(&self) -> Vec<Tag> {
            vec![Tag::new(self.0).unwrap()]
        }
    }

    #[test]
    fn wrappers_pass_everything_on() {
        type Wrapped = Option<Vec<Arc<Box<Airport>>>>;
        assert_eq!(Wrapped::ttl(), Airport::ttl());
        assert_eq!(Wrapped::VERSION, 3);
        let value: Wrapped = Some(vec![Arc::new(Box::new(Airport("a"))), Arc::new(Box::new(Airport("b")))]);
        assert_eq!(value.tags(), [Tag::new("a").unwrap(), Tag::new("b").unwrap()]);
        assert!(Option::<Airport>::None.tags().is_empty());
    }
}
