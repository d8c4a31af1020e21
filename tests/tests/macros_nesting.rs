//! Cached functions that call each other, in a task. Whether a future is `Send` the compiler finds
//! out of all of them at once, in nine steps for each, and a crate's `recursion_limit` is 128. A
//! function that returns a boxed future begins anew.

use std::pin::Pin;

use cache_core::cached;

/// A chain of functions, each of which calls the next; the last one does what `end` says.
macro_rules! chain {
    ($attribute:meta, |$n:ident| $end:expr, $last:ident) => {
        #[$attribute]
        async fn $last($n: u64) -> Result<u64, String> {
            $end
        }
    };
    ($attribute:meta, |$n:ident| $end:expr, $name:ident $next:ident $($rest:ident)*) => {
        #[$attribute]
        async fn $name(n: u64) -> Result<u64, String> {
            let m = $next(n).await?;
            Ok(m + 1)
        }

        chain!($attribute, |$n| $end, $next $($rest)*);
    };
}

chain! {
    cached(ttl = "60s"), |n| Ok(n),
    plain_14 plain_13 plain_12 plain_11 plain_10 plain_9 plain_8 plain_7 plain_6 plain_5 plain_4 plain_3 plain_2 plain_1
}

#[tokio::test]
async fn fourteen_cached_functions_may_be_nested_and_spawned() {
    assert_eq!(tokio::spawn(plain_14(0)).await.unwrap(), Ok(13));
}

chain! {
    cached(ttl = "60s", stale_while_revalidate = "60s"), |n| Ok(n),
    fresh_11 fresh_10 fresh_9 fresh_8 fresh_7 fresh_6 fresh_5 fresh_4 fresh_3 fresh_2 fresh_1
}

#[tokio::test]
async fn eleven_that_refresh_in_the_background_may_be_nested_and_spawned() {
    assert_eq!(tokio::spawn(fresh_11(0)).await.unwrap(), Ok(10));
}

#[cached(ttl = "60s")]
fn boxed(n: u64) -> Pin<Box<dyn Future<Output = Result<u64, String>> + Send>> {
    Box::pin(async move { plain_10(n).await })
}

chain! {
    cached(ttl = "60s"), |n| boxed(n).await,
    above_10 above_9 above_8 above_7 above_6 above_5 above_4 above_3 above_2 above_1
}

#[tokio::test]
async fn a_boxed_future_among_them_lets_more_be_nested() {
    assert_eq!(tokio::spawn(above_10(0)).await.unwrap(), Ok(18));
}

#[test]
fn a_nested_call_adds_nothing_to_the_size_of_a_future() {
    assert_eq!(size_of_val(&plain_2(0)), size_of_val(&plain_14(0)));
}
