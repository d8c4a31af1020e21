//! Several futures at once, in the task of who waits for them.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Error;

/// Futures that are under way at once. Each wake polls all of them, so they are not to be many.
const AT_ONCE_MAX: usize = 64;

/// The outputs of futures, in their order.
pub(super) fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> AllAtOnce<F> {
    AllAtOnce { each: futures.into_iter().map(|future| Slot::UnderWay(Box::pin(future))).collect(), ended: 0 }
}

/// The same, or the first error among them. All of them end before it is told.
pub(super) async fn all_ok<T, F: Future<Output = Result<T, Error>>>(
    futures: impl IntoIterator<Item = F>,
) -> Result<Vec<T>, Error> {
    all(futures).await.into_iter().collect()
}

pub(super) struct AllAtOnce<F: Future> {
    each: Vec<Slot<F>>,
    /// All before this one have ended.
    ended: usize,
}

enum Slot<F: Future> {
    UnderWay(Pin<Box<F>>),
    Ended(F::Output),
    Taken,
}

// Nothing but the boxes is pinned.
impl<F: Future> Unpin for AllAtOnce<F> {}

impl<F: Future> Future for AllAtOnce<F> {
    type Output = Vec<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let AllAtOnce { each, ended } = &mut *self;
        while *ended < each.len() {
            let end = each.len().min(*ended + AT_ONCE_MAX);
            for slot in &mut each[*ended..end] {
                if let Slot::UnderWay(future) = slot
                    && let Poll::Ready(output) = future.as_mut().poll(context)
                {
                    *slot = Slot::Ended(output);
                }
            }
            let done = each[*ended..end].iter().take_while(|slot| !matches!(slot, Slot::UnderWay(_))).count();
            *ended += done;
            // Those that follow have not been polled yet.
            if done == 0 || end == each.len() && *ended < end {
                return Poll::Pending;
            }
        }
        let outputs = each.iter_mut().filter_map(|slot| match std::mem::replace(slot, Slot::Taken) {
            Slot::Ended(output) => Some(output),
            _ => None,
        });
        Poll::Ready(outputs.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn the_outputs_come_in_order_and_not_too_many_are_under_way() {
        let (under_way, most) = (Cell::new(0), Cell::new(0));
        let futures = (0..3 * AT_ONCE_MAX).map(|at| {
            let (under_way, most) = (&under_way, &most);
            async move {
                under_way.set(under_way.get() + 1);
                most.set(most.get().max(under_way.get()));
                for _ in 0..at % 3 {
                    tokio::task::yield_now().await;
                }
                under_way.set(under_way.get() - 1);
                at
            }
        });
        assert_eq!(all(futures).await, (0..3 * AT_ONCE_MAX).collect::<Vec<_>>());
        assert!((2..=AT_ONCE_MAX).contains(&most.get()));
    }
}
