//! Walks over what matches a pattern, page by page.

use super::moment::Now;
use super::state::State;
use crate::name::{Glob, Name};
use crate::store::rules::Rule;
use crate::store::{SweepScope, VisitReply};

impl State {
    /// Every page raises the floor, not the first alone: a load that began between two pages may
    /// have read an entry that a later page removes, or that expires before its page comes.
    ///
    /// What a page has left is to be visited before the next page. Returns the names that it has
    /// visited, and where the next one begins.
    pub(super) fn sweep(
        &mut self,
        pattern: &str,
        scope: SweepScope,
        cursor: u64,
        now: Now,
    ) -> (Vec<Name>, Option<u64>, VisitReply) {
        let mut cascade = self.cascade(0, now);
        if self.rules.keep(Rule::SweepRaisesTheFloor) {
            self.raise_floor_to(&cascade);
        }
        let (page, next) = self.page(scope, cursor);
        let glob = Glob::new(pattern);
        let is_meant = |name: &Name| match scope {
            SweepScope::Values => name.as_key().is_some_and(|key| glob.matches(key)),
            SweepScope::Dependents => {
                name.as_key().is_some_and(|key| glob.matches(key))
                    && self.rules.keep(Rule::SweepFollowsEntriesThatAreGone)
            }
            SweepScope::AllIndexes => true,
        };
        let names: Vec<Name> = page.into_iter().filter(is_meant).collect();
        self.visit_all(&names, None, scope != SweepScope::Values, &mut cascade);
        let visited = self.end_cascade(cascade, &names);
        (names, next, visited)
    }

    pub(super) fn page(&self, scope: SweepScope, cursor: u64) -> (Vec<Name>, Option<u64>) {
        let count = self.settings.keys_per_page;
        let page = match scope {
            SweepScope::Values => self.entries.page(cursor, count),
            SweepScope::Dependents | SweepScope::AllIndexes => self.indexes.page(cursor, count),
        };
        let next = page.last().filter(|_| page.len() == count).map(|(position, _)| *position);
        (page.into_iter().map(|(_, name)| name).collect(), next)
    }
}
