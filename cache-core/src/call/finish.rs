//! A load in a task of its own.

use std::future::Future;
use std::pin::Pin;

use super::Load;
use super::call::LoadWay;
use crate::paths::load::finish::Finish;

/// What a load in a task of its own hands to its caller.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be handed to the caller by a load in a task of its own: it is not `Send`",
    label = "not `Send`",
    note = "the load runs in a task of its own: return a type, and an error, that is `Send + 'static`"
)]
pub trait Handover: Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + 'static> Handover for T {}

impl<T> Load<T> {
    /// Runs the load in a task of its own, in which it goes on if the caller is dropped or served
    /// without it. The future is boxed and says itself that it is `Send`: so the compiler does not
    /// look through it when it finds out whether a chain of cached functions is.
    ///
    /// # Panics
    /// If the load panics, or if the runtime is shut down before the load has ended.
    pub fn finish<R, F>(self, run: R) -> Pin<Box<dyn Future<Output = Finish<F::Output, T>> + Send>>
    where
        R: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output: Handover> + Send + 'static,
        T: 'static,
    {
        let coding = self.coding;
        match self.way {
            LoadWay::Through(loading) => {
                let run = move |loading| run(Self::through(loading, coding));
                Box::pin(loading.finish(run, move |entry| (coding.decode)(entry).ok()))
            }
            LoadWay::Past(load) => {
                let run = run(Self::uncached(load, coding));
                Box::pin(async move { Finish::Ended(run.await) })
            }
        }
    }
}
