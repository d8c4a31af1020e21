//! Looks that change nothing: at what an invalidation would reach.

use super::moment::Now;
use super::state::State;
use crate::clock::millis;
use crate::config::{EXPLAIN_DEPENDENTS_MAX, EXPLAIN_NAMES_MAX, LIST_KEYS_PER_PAGE};
use crate::name::{Glob, Name};
use crate::store::{Catalogue, CataloguePage, KeyFacts, LeaseFacts, Look, NameFacts, Sight, SweepScope};

impl State {
    pub(super) fn facts(&self, key: &Name, now: Now) -> KeyFacts {
        let entry = self.entries.get(key).filter(|entry| entry.is_live(now.at));
        let entry_names = entry.map_or(&[][..], |entry| &entry.names);
        let name_facts = |name: &Name| NameFacts {
            name: name.clone(),
            fence: self.fences.of(name),
            marks: self.closings.marks(name, now.at) as u64,
        };
        let first_dependents = self.indexes.members_from(key, 0).take(EXPLAIN_DEPENDENTS_MAX);
        let is_stored = |key: &Name| self.entries.get(key).is_some_and(|entry| entry.is_live(now.at));
        KeyFacts {
            physical_key: None,
            now_ms: now.wall_us / 1_000,
            head: entry.map(|entry| entry.value.clone()),
            kept_ms: entry.map_or(0, |entry| millis(entry.expires.saturating_duration_since(now.at))),
            floor: self.fences.floor(),
            names: std::iter::once(key).chain(entry_names.iter().take(EXPLAIN_NAMES_MAX)).map(name_facts).collect(),
            entry_names: entry_names.len() as u64,
            dependents: self.indexes.members_from(key, 0).count() as u64,
            first_dependents: first_dependents.map(|member| (member.text().into(), is_stored(member))).collect(),
            unanswered_partitions: 0,
            lease: self.leases.get(key).filter(|lease| lease.ends > now.at).map(|lease| LeaseFacts {
                remaining_ms: millis(lease.ends.saturating_duration_since(now.at)),
                held_ms: millis(now.at.saturating_duration_since(lease.since)),
                takeovers: lease.takeovers.into(),
                is_overtaken: !self.is_leased(key, now),
            }),
            learned: self.learned.get(key, now.at),
        }
    }

    pub(super) fn look(&self, look: Look<'_>, now: Now) -> Sight {
        let mut sight = Sight::default();
        match look {
            // This store loses none.
            Look::Losses => {}
            Look::Given(names) => {
                for (place, name) in names.iter().enumerate() {
                    self.fall_if_there(&mut sight, name, place, now);
                    self.lead(&mut sight, name);
                }
            }
            Look::Members { names, from } => self.look_at_members(&mut sight, names, from, now),
            Look::Page { pattern, scope, cursor } => {
                let (page, next) = self.page(scope, cursor);
                sight.next = next.map(|cursor| (0, cursor));
                let glob = Glob::new(pattern);
                let matches = |name: &Name| name.as_key().is_some_and(|key| glob.matches(key));
                for name in page.iter().filter(|name| scope == SweepScope::AllIndexes || matches(name)) {
                    if scope == SweepScope::Values {
                        self.fall_if_there(&mut sight, name, 0, now);
                    }
                    self.lead(&mut sight, name);
                }
            }
        }
        sight
    }

    pub(super) fn list(&self, catalogue: Catalogue, pattern: &str, cursor: u64, now: Now) -> CataloguePage {
        let page = match catalogue {
            Catalogue::Keys => self.entries.page(cursor, LIST_KEYS_PER_PAGE),
            Catalogue::Tags => self.indexes.page(cursor, LIST_KEYS_PER_PAGE),
        };
        let next = page.last().filter(|_| page.len() == LIST_KEYS_PER_PAGE).map(|(position, _)| *position);
        let glob = Glob::new(pattern);
        let is_meant = |name: &Name| match catalogue {
            Catalogue::Keys => self.entries.get(name).is_some_and(|entry| entry.is_live(now.at)),
            Catalogue::Tags => name.as_key().is_none(),
        };
        let names = page.iter().map(|(_, name)| name).filter(|name| glob.matches(name.text()) && is_meant(name));
        CataloguePage { names: names.map(|name| name.text().into()).collect(), next }
    }

    fn look_at_members(&self, sight: &mut Sight, names: &[Name], from: u64, now: Now) {
        let (mut budget, mut from) = (self.settings.members_per_chunk, from);
        for (place, name) in names.iter().enumerate() {
            for member in self.indexes.members_from(name, from) {
                if budget == 0 {
                    sight.next = Some((place, from));
                    return;
                }
                budget -= 1;
                from += 1;
                // As in `visit`.
                if name == member || self.entries.get(member).is_some_and(|entry| entry.depends_on(name)) {
                    self.fall_if_there(sight, member, place, now);
                }
                self.lead(sight, member);
            }
            from = 0;
        }
    }

    fn fall_if_there(&self, sight: &mut Sight, name: &Name, place: usize, now: Now) {
        if let Some(key) = name.as_key()
            && self.entries.get(name).is_some_and(|entry| entry.is_live(now.at))
        {
            sight.falling.push((key.into(), place));
        }
    }

    fn lead(&self, sight: &mut Sight, name: &Name) {
        if self.is_depended_on(name) {
            sight.leads.push(name.clone());
        }
    }
}
