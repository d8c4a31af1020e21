//! Keys at home in several places, as on a cluster.

use super::*;

#[derive(Default)]
pub(super) struct FaultyHomes {
    /// How many, if not one.
    count: u16,
    silent: Vec<(Op, u16)>,
}

impl Faulty {
    /// Keys are at home in so many places, by the number at their end.
    pub(in crate::tests) fn spread_over(&self, homes: u16) {
        self.plan(|plan| plan.homes.count = homes);
    }

    /// No call for keys of this home is answered from now on.
    pub(in crate::tests) fn hang_at(&self, home: u16, op: Op) {
        self.plan(|plan| plan.homes.silent.push((op, home)));
    }

    pub(super) fn home_of(&self, key: &str) -> u16 {
        let number = key.rsplit(':').next().and_then(|number| number.parse::<u16>().ok());
        number.unwrap_or_default() % self.plan(|plan| plan.homes.count).max(1)
    }

    /// As `through`, if the home of the key answers.
    pub(super) fn through_to<'a, T: Send + 'a>(
        &'a self,
        key: &str,
        op: Op,
        until: Instant,
        operation: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let home = self.home_of(key);
        let reached = async move {
            if self.plan(|plan| plan.homes.silent.contains(&(op, home))) {
                std::future::pending::<()>().await;
            }
            operation.await
        };
        self.through(op, until, Box::pin(reached))
    }
}
