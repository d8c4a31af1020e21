//! Looks that change nothing: at what an invalidation would reach.

use super::{Command, RedisStore, reply, scripts};
use crate::clock::Instant;
use crate::config::{
    EXPLAIN_DEPENDENTS_MAX, EXPLAIN_NAMES_MAX, LEARNED_BYTES_MAX, LIST_KEYS_PER_PAGE, PARTITIONS_MAX,
    SWEEP_KEYS_PER_PAGE, TRAIL_NAMES_MAX,
};
use crate::error::Error;
use crate::name::Name;
use crate::store::{Catalogue, CataloguePage, KeyFacts, Look, Recall, Sight, Store, SweepScope, TrailPage};

impl RedisStore {
    pub(super) async fn look(&self, look: Look<'_>, until: Instant) -> Result<Sight, Error> {
        let declared = self.layout.declared();
        let words = self.words(look);
        let args: Vec<&[u8]> =
            [self.layout.root()].into_iter().chain(words.iter().map(|word| &**word)).map(str::as_bytes).collect();
        reply::sight(
            &self.pool.run(&scripts::PREVIEW, self.layout.stripe(&declared), &[&declared], &args, until).await?,
        )
    }

    pub(super) async fn facts(&self, key: &str, until: Instant) -> Result<KeyFacts, Error> {
        let physical_key = self.layout.value(key);
        let keys = [&self.layout.declared(), &physical_key, &self.layout.lease(key), &self.layout.learned(key)];
        let partitions_max = if self.layout.is_in_slot() { PARTITIONS_MAX.into() } else { 0 };
        let limits = [EXPLAIN_NAMES_MAX, EXPLAIN_DEPENDENTS_MAX, LEARNED_BYTES_MAX, partitions_max];
        let limits = limits.map(|limit| limit.to_string());
        let args = [self.layout.root(), key, &limits[0], &limits[1], &limits[2], &limits[3]].map(str::as_bytes);
        let reply = self.pool.run(&scripts::EXPLAIN, self.stripe(key), &keys.map(String::as_str), &args, until).await?;
        Ok(KeyFacts { physical_key: Some(physical_key), ..reply::facts(&reply)? })
    }

    /// Makes the clock if there is none: without it a look would be no place to go on from.
    pub(super) async fn fences_since(&self, seq: u64, until: Instant) -> Result<TrailPage, Error> {
        let page = self.fences_shown(seq, until).await?;
        if !page.incarnation.is_empty() {
            return Ok(page);
        }
        Store::read_clock(self, "", Recall::Nothing, until).await?;
        self.fences_shown(seq, until).await
    }

    async fn fences_shown(&self, seq: u64, until: Instant) -> Result<TrailPage, Error> {
        let (clock, seq, most) = (self.layout.clock(), seq.max(1).to_string(), TRAIL_NAMES_MAX.to_string());
        let args = [seq.as_bytes(), most.as_bytes()];
        let reply = self.pool.run(&scripts::FOLLOWED, self.layout.stripe(&clock), &[&clock], &args, until).await?;
        let page = reply::trail(&reply)?;
        self.losses.saw(page.seq);
        Ok(page)
    }

    /// A plain `SCAN`: who lists need not know more of a key than its name.
    pub(super) async fn list(
        &self,
        catalogue: Catalogue,
        pattern: &str,
        cursor: u64,
        until: Instant,
    ) -> Result<CataloguePage, Error> {
        let glob = match catalogue {
            Catalogue::Keys => self.layout.values_matching(pattern),
            Catalogue::Tags => self.layout.tags_matching(pattern),
        };
        let scan = Command::new("SCAN").number(cursor).arg("MATCH").arg(glob);
        let scan = scan.arg("COUNT").number(LIST_KEYS_PER_PAGE as u64);
        let page = self.pool.command(self.layout.stripe(&self.layout.declared()), scan, until).await?;
        reply::catalogue(&page, |physical| match catalogue {
            Catalogue::Keys => self.layout.logical(physical).filter(|key| !key.starts_with('~')),
            Catalogue::Tags => self.layout.tag(physical),
        })
    }

    /// What `preview.lua` is told behind root and mark.
    fn words(&self, look: Look<'_>) -> Vec<String> {
        let named = |first: &[String], names: &[Name]| {
            first.iter().cloned().chain(names.iter().map(|name| name.as_str().to_owned())).collect()
        };
        match look {
            Look::Losses => vec!["losses".to_owned()],
            Look::Given(names) => named(&["given".to_owned()], names),
            Look::Members { names, from } => named(&["members".to_owned(), from.to_string()], names),
            Look::Page { pattern, scope, cursor } => {
                let (walked, glob) = self.walk(pattern, scope);
                vec![walked.to_owned(), glob, cursor.to_string(), SWEEP_KEYS_PER_PAGE.to_string()]
            }
        }
    }

    /// What a walk visits, and the glob over physical keys.
    pub(super) fn walk(&self, pattern: &str, scope: SweepScope) -> (&'static str, String) {
        match scope {
            SweepScope::Values => ("values", self.layout.values_matching(pattern)),
            SweepScope::Dependents => ("indexes", self.layout.dependents_matching(pattern)),
            SweepScope::AllIndexes => ("indexes", self.layout.all_indexes()),
        }
    }
}
