//! Cached functions that call each other, in a task. Whether a future is `Send` the compiler finds
//! out of all of them at once, in nine steps for each, and a crate's `recursion_limit` is 128. A
//! function whose options ask for a body that is `Send` ends the chain. So does one that returns a
//! boxed future.

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
    fresh_40 fresh_39 fresh_38 fresh_37 fresh_36 fresh_35 fresh_34 fresh_33 fresh_32 fresh_31 fresh_30 fresh_29
    fresh_28 fresh_27 fresh_26 fresh_25 fresh_24 fresh_23 fresh_22 fresh_21 fresh_20 fresh_19 fresh_18 fresh_17
    fresh_16 fresh_15 fresh_14 fresh_13 fresh_12 fresh_11 fresh_10 fresh_9 fresh_8 fresh_7 fresh_6 fresh_5 fresh_4
    fresh_3 fresh_2 fresh_1
}

#[tokio::test]
async fn forty_that_refresh_in_the_background_may_be_nested_and_spawned() {
    assert_eq!(tokio::spawn(fresh_40(0)).await.unwrap(), Ok(39));
}

chain! {
    cached(ttl = "60s", finish), |n| Ok(n),
    finish_40 finish_39 finish_38 finish_37 finish_36 finish_35 finish_34 finish_33 finish_32 finish_31 finish_30
    finish_29 finish_28 finish_27 finish_26 finish_25 finish_24 finish_23 finish_22 finish_21 finish_20 finish_19
    finish_18 finish_17 finish_16 finish_15 finish_14 finish_13 finish_12 finish_11 finish_10 finish_9 finish_8
    finish_7 finish_6 finish_5 finish_4 finish_3 finish_2 finish_1
}

#[tokio::test]
async fn forty_whose_loads_are_tasks_may_be_nested_and_spawned() {
    assert_eq!(tokio::spawn(finish_40(0)).await.unwrap(), Ok(39));
}

chain! {
    cached(ttl = "60s"), |n| fresh_40(n).await,
    over_13 over_12 over_11 over_10 over_9 over_8 over_7 over_6 over_5 over_4 over_3 over_2 over_1
}

#[tokio::test]
async fn above_one_that_ends_the_chain_as_many_others_may_be_nested_again() {
    assert_eq!(tokio::spawn(over_13(0)).await.unwrap(), Ok(51));
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

/// A body stands in the future of its function, as without the attribute, so that it runs without a
/// box where the cache is disabled. What the function itself needs is there once, not twice.
#[test]
fn a_nested_call_adds_little_to_the_size_of_a_future() {
    let (inner, outer) = (size_of_val(&plain_2(0)), size_of_val(&plain_14(0)));
    assert!(outer <= inner + 12 * 184, "{inner} and {outer} bytes");
}
