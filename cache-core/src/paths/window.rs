//! Runs many futures in the caller's own task, a bounded number of them at a time.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::Poll;

/// One of the futures.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Polls at most `limit` futures at a time until all have ended or `take` breaks. After a break,
/// the futures that are under way are dropped.
///
/// # Cost
/// O(`limit`) per wake-up.
pub(crate) async fn run<'a, T>(
    mut futures: impl Iterator<Item = Boxed<'a, T>>,
    limit: usize,
    mut take: impl FnMut(T) -> ControlFlow<()>,
) {
    let mut under_way: Vec<Boxed<'a, T>> = futures.by_ref().take(limit).collect();
    poll_fn(move |context| {
        let mut at = 0;
        while let Some(future) = under_way.get_mut(at) {
            let Poll::Ready(output) = future.as_mut().poll(context) else {
                at += 1;
                continue;
            };
            if take(output).is_break() {
                return Poll::Ready(());
            }
            match futures.next() {
                Some(next) => under_way[at] = next,
                None => drop(under_way.swap_remove(at)),
            }
        }
        if under_way.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn all_run_and_never_more_than_the_limit() {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        let (now, most, mut ended) = (AtomicUsize::new(0), AtomicUsize::new(0), Vec::new());
        let futures = (0..50).map(|n| -> Boxed<'_, usize> {
            let (now, most) = (&now, &most);
            Box::pin(async move {
                most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Relaxed);
                n
            })
        });
        run(futures, 7, |n| {
            ended.push(n);
            ControlFlow::Continue(())
        })
        .await;
        ended.sort_unstable();
        assert_eq!(ended, (0..50).collect::<Vec<_>>());
        assert_eq!(most.into_inner(), 7);
    }

    #[tokio::test]
    async fn a_break_leaves_the_rest() {
        let taken = Cell::new(0);
        let futures = (0..50).map(|n| -> Boxed<'_, usize> { Box::pin(std::future::ready(n)) });
        run(futures, 7, |_| {
            taken.set(taken.get() + 1);
            ControlFlow::Break(())
        })
        .await;
        assert_eq!(taken.get(), 1);
    }
}
