//! `key!` and `tag!`. They only pass on `$crate`, which finds this crate by whatever name a user
//! gives it.

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
