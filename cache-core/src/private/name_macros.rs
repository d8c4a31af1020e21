//! `key!` and `tag!`. Thin shells: `$crate` finds the runtime whatever the crate is called where
//! they are used.

#[doc = include_str!("../../docs/key.md")]
#[macro_export]
macro_rules! key {
    ($($template:tt)*) => { $crate::__private::__key!($crate, $($template)*) };
}

#[doc = include_str!("../../docs/tag.md")]
#[macro_export]
macro_rules! tag {
    ($($template:tt)*) => { $crate::__private::__tag!($crate, $($template)*) };
}
