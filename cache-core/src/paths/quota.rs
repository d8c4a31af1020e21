//! Whether a tenant may have one entry more.

use super::subject::Subject;
use crate::clock;
use crate::observe::StoreOperation;
use crate::runtime::budget::Budget;
use crate::runtime::quota::{Admission, COUNTED_BY, QuotaStep};

/// Whether a fill may be sent, and what to keep until it has ended.
///
/// # Cost
/// One round trip now and then, two on a cluster, and none without a quota.
pub(crate) async fn admit(subject: &Subject, budget: &mut Budget) -> Result<Option<Admission>, ()> {
    let (Some(quota), Some((_, store))) = (&subject.runtime.quota, subject.place()) else { return Ok(None) };
    loop {
        let question = match quota.step(clock::now()) {
            QuotaStep::Send(admission) => return Ok(Some(admission)),
            QuotaStep::Refuse => return Err(()),
            QuotaStep::Ask(question) => question,
        };
        let counting = |until| store.facts(COUNTED_BY, until);
        // Without an answer the fill will have none either.
        let Ok(facts) = budget.ask(&subject.counters, StoreOperation::Explain, counting).await else { return Ok(None) };
        quota.counted(&question, facts.dependents, clock::now());
    }
}
