//! Several partitions, by the protocol of a cluster. Each is a store of its own, and answers for
//! the names that are at home there.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::Access;
use super::at_once::{all, all_ok};
use super::reply::{self, SweptPage};
use crate::clock::{self, Instant};
use crate::config::Config;
use crate::entry::Version;
use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::observe::StoreLinks;
use crate::store::place_of;
use crate::store::rules::Rules;
use crate::store::{
    Catalogue, CataloguePage, ClockReading, ClosingId, CopyKeeper, FenceTrail, Fill, FillReply, IfPresent, Intent,
    KeyFacts, LeaseReply, LeaseRequest, Look, LossListener, Operation, Partitions, Recall, Refusal, Removal, Sight,
    Store, StoreFuture, StoreHealth, StoreKey, StoreLoss, SweepReply, SweepScope, Token, TrailPosition, Voucher, Watch,
    WriteReply,
};

mod clocks;
mod count;
mod errand;
mod losses;
mod marks;
mod reconciling;
mod set;

#[cfg(test)]
mod tests;

use set::PartitionSet;

/// Entries, indexes and clocks in the partitions of a cluster, under one namespace.
pub(crate) struct RedisPartitions(Arc<PartitionSet>);

impl RedisPartitions {
    /// Opens no connection.
    pub(crate) fn open(url: &str, access: &Access, config: &Config, partitions: Partitions) -> Result<Self, Error> {
        Ok(Self(PartitionSet::open(url, access, config, partitions)?))
    }

    /// The namespace of a tenant, over the same connections.
    pub(crate) fn tenant(&self, config: &Config) -> Self {
        Self(self.0.tenant(config))
    }

    /// As the task in the background does it.
    #[cfg(test)]
    pub(super) async fn reap_marks_of(&self, tag: &str) -> Result<(), Error> {
        self.0.reap_marks(self.0.partitions.home_of_key(tag), vec![["t", tag].concat()]).await
    }

    /// The highest sequence number that was seen of the partition that a tag is at home in.
    #[cfg(test)]
    pub(super) fn seen_at_home_of(&self, tag: &str) -> u64 {
        self.0.home(tag).losses.highest()
    }

    /// As [`Store::settle`] does it for one home. Returns how many scripts were sent.
    #[cfg(test)]
    pub(super) async fn settle_marks(&self, home: u16, marks: &[crate::store::FollowedMark]) -> Result<usize, Error> {
        self.0.settle_at(home, marks).await
    }

    /// As if each partition had been further than it is.
    #[cfg(test)]
    pub(super) fn pretend_to_have_seen_more(&self) {
        self.0.each.iter().for_each(|store| store.losses.saw(1 << 53));
    }
}

impl Store for RedisPartitions {
    fn identity(&self) -> Option<u128> {
        self.0.each[0].identity()
    }

    fn physical_key(&self, of: StoreKey<'_>) -> Option<String> {
        match of {
            StoreKey::Value(text) | StoreKey::Dependents(text) | StoreKey::Tagged(text) => self.0.home(text),
            StoreKey::Clock | StoreKey::Due | StoreKey::Partitions => &self.0.each[0],
            StoreKey::ClockOf(number) => self.0.each.get(usize::from(number))?,
        }
        .physical_key(of)
    }

    fn refuses(&self) -> bool {
        self.0.is_of_others() || self.0.each[0].refuses()
    }

    fn home(&self, key: &str) -> u16 {
        self.0.partitions.home_of_key(key)
    }

    fn get<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, Option<Bytes>> {
        self.0.home(key).get(key, until)
    }

    fn get_to_copy<'a>(
        &'a self,
        key: &'a str,
        until: Instant,
    ) -> StoreFuture<'a, (Option<Bytes>, Option<Arc<Voucher>>)> {
        self.0.home(key).get_to_copy(key, until)
    }

    fn keep_copies(&self, keeper: Weak<dyn CopyKeeper>) {
        self.0.each[0].keep_copies(keeper);
    }

    fn confirm_copies(&self) {
        self.0.each[0].confirm_copies();
    }

    fn get_many<'a>(&'a self, keys: &'a [Arc<str>], until: Instant) -> StoreFuture<'a, Vec<Option<Bytes>>> {
        keys.first().map_or(&self.0.each[0], |key| self.0.home(key)).get_many(keys, until)
    }

    fn take_lease<'a>(&'a self, key: &'a str, request: LeaseRequest, until: Instant) -> StoreFuture<'a, LeaseReply> {
        Box::pin(async move {
            self.0.confirm(until).await?;
            let own = self.0.partitions.home_of_key(key);
            Ok(match self.0.at(own).take_lease(key, request, until).await? {
                LeaseReply::Granted(clock) => LeaseReply::Granted(self.0.with_homes(own, clock, until).await?),
                LeaseReply::Held { clock, remaining } => {
                    LeaseReply::Held { clock: self.0.with_homes(own, clock, until).await?, remaining }
                }
                hit @ LeaseReply::Hit(_) => hit,
            })
        })
    }

    fn renew_lease<'a>(&'a self, key: &'a str, token: Token, lease: Duration, until: Instant) -> StoreFuture<'a, bool> {
        self.0.home(key).renew_lease(key, token, lease, until)
    }

    fn release_lease<'a>(&'a self, key: &'a str, token: Token, until: Instant) -> StoreFuture<'a, ()> {
        self.0.home(key).release_lease(key, token, until)
    }

    fn discard<'a>(
        &'a self,
        key: &'a str,
        token: Token,
        version: Option<Version>,
        until: Instant,
    ) -> StoreFuture<'a, ()> {
        self.0.home(key).discard(key, token, version, until)
    }

    fn watch<'a>(&'a self, key: &'a str, if_present: IfPresent, until: Instant) -> StoreFuture<'a, Option<Watch>> {
        self.0.home(key).watch(key, if_present, until)
    }

    fn read_clock<'a>(&'a self, key: &'a str, recall: Recall, until: Instant) -> StoreFuture<'a, ClockReading> {
        Box::pin(async move {
            self.0.confirm(until).await?;
            let own = self.0.partitions.home_of_key(key);
            let clock = self.0.at(own).read_clock(key, recall, until).await?;
            self.0.with_homes(own, clock, until).await
        })
    }

    fn fill<'a>(&'a self, fill: Fill<'a>, until: Instant) -> StoreFuture<'a, FillReply> {
        Box::pin(async move {
            let own = self.0.partitions.home_of_key(fill.key);
            let reply = match self.0.register(own, &fill, None, until).await? {
                Ok(homes) => self.0.at(own).fill_from(fill, &homes, until).await?,
                Err(refusal) => self.0.at(own).refuse(&fill, refusal, until).await,
            };
            self.0.heal_after(reply);
            Ok(reply)
        })
    }

    /// Runs whatever the homes say, and if some do not answer, in the time that they leave: the key
    /// and what depends on it are to fall. A value that is not registered is not stored.
    fn write<'a>(&'a self, fill: Fill<'a>, opens: Option<ClosingId>, until: Instant) -> StoreFuture<'a, WriteReply> {
        Box::pin(async move {
            let (own, key) = (self.0.partitions.home_of_key(fill.key), [Name::key(fill.key)?]);
            let registered = self.0.register(own, &fill, opens, until).await;
            let registered = registered.unwrap_or_else(|error| Err(unregistered(&error)));
            let refused = registered.as_ref().err().copied();
            let homes = registered.unwrap_or_else(|_| vec!["!known:none".to_owned()]);
            let intent = opens.map_or(Intent::Invalidate, |by| Intent::Open { by });
            let began = fill.clock.homes.clone();
            let (mut reply, mut visited) = self.0.at(own).write_from(fill, &homes, opens, until).await?;
            if let Some(refusal) = refused {
                reply = FillReply::Refused(refusal);
            }
            self.0.heal_after(reply);
            self.0.heed(own, &mut visited);
            let (rest, drained) = self.0.rest_of((own, &key), intent, visited, began.as_deref());
            Ok(WriteReply { fill: reply, drained, rest })
        })
    }

    fn begin<'a>(&self, names: &'a [Name], intent: Intent) -> Operation<'a> {
        Operation::over(self.0.partitions, &self.0.known.copy(), names, intent, Rules::default())
    }

    /// One round: a script in each partition in which something is to be visited, all at once. What
    /// the others tell counts, although one fails.
    fn step<'a>(&'a self, operation: &'a mut Operation<'_>, until: Instant) -> StoreFuture<'a, Removal> {
        Box::pin(async move {
            self.0.confirm(until).await?;
            if operation.is_to_learn() {
                self.0.know_clocks(until).await;
                operation.learn(&self.0.known.copy());
            }
            let chunks = self.0.numbers().filter_map(|number| operation.next_chunk(number)).collect::<Vec<_>>();
            let replies = all(chunks.iter().map(|chunk| self.0.at(chunk.partition).chunk(chunk, until))).await;
            let (mut removal, mut failed) = (Removal::default(), Ok(()));
            for (chunk, reply) in chunks.iter().zip(replies) {
                match reply {
                    Ok(mut reply) => {
                        self.0.heed(chunk.partition, &mut reply);
                        removal.add(operation.take_in(chunk, reply));
                    }
                    Err(error) => failed = failed.and(Err(error)),
                }
            }
            if let Err(error) = failed {
                operation.keep_uncounted(removal);
                return Err(error);
            }
            Ok(removal)
        })
    }

    fn settle(&self, operation: Operation<'_>) {
        self.0.settle(&operation);
    }

    fn sweep<'a>(
        &'a self,
        pattern: &'a str,
        scope: SweepScope,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, SweepReply> {
        Box::pin(async move {
            self.0.confirm(until).await?;
            let (number, at) = place_of(cursor);
            let SweptPage { next, incarnation, mut visited } =
                self.0.at(number).page(pattern, scope, at, until).await?;
            self.0.heed(number, &mut visited);
            let (rest, drained) = self.0.rest_of((number, &[]), Intent::Invalidate, visited, None);
            Ok(SweepReply {
                next: self.0.partitions.cursor(number, next),
                began: cursor - at,
                incarnation,
                drained,
                rest,
            })
        })
    }

    fn facts<'a>(&'a self, key: &'a str, until: Instant) -> StoreFuture<'a, KeyFacts> {
        Box::pin(async move {
            let own = self.0.partitions.home_of_key(key);
            let mut facts = self.0.at(own).facts(key, until).await?;
            let others = self.0.numbers().filter(|number| *number != own);
            for elsewhere in all(others.map(|number| self.0.at(number).facts(key, until))).await {
                match elsewhere {
                    Ok(elsewhere) => facts.add_dependents(elsewhere),
                    Err(_) => facts.unanswered_partitions += 1,
                }
            }
            Ok(facts)
        })
    }

    fn fenced_since<'a>(&'a self, since: Option<&'a TrailPosition>, until: Instant) -> StoreFuture<'a, FenceTrail> {
        Box::pin(async move {
            let page = |number| self.0.at(number).fences_since(TrailPosition::seq_in(since, number), until);
            let pages = all(self.0.numbers().map(page)).await;
            match pages.iter().any(Result::is_ok) {
                true => Ok(FenceTrail::of(pages.into_iter().map(Result::ok).collect(), since)),
                false => Err(pages.into_iter().find_map(Result::err).unwrap_or_else(reply::unexpected)),
            }
        })
    }

    /// One partition after the other, and one name at a time.
    fn look<'a>(&'a self, look: Look<'a>, until: Instant) -> StoreFuture<'a, Sight> {
        Box::pin(async move {
            match look {
                Look::Losses => Ok(Sight::default()),
                Look::Given(names) => {
                    let mut sight = Sight::default();
                    for found in all_ok(self.0.each.iter().map(|store| store.look(Look::Given(names), until))).await? {
                        sight.falling.extend(found.falling);
                        sight.leads.extend(found.leads);
                    }
                    Ok(sight)
                }
                Look::Members { names, from } => {
                    let (number, from) = place_of(from);
                    let first = Look::Members { names: &names[..1], from };
                    let mut sight = self.0.at(number).look(first, until).await?;
                    let rest = || (names.len() > 1).then_some((1, 0));
                    let next = self.0.partitions.cursor(number, sight.next.map(|(_, at)| at));
                    sight.next = next.map(|at| (0, at)).or_else(rest);
                    Ok(sight)
                }
                Look::Page { pattern, scope, cursor } => {
                    let (number, cursor) = place_of(cursor);
                    let mut sight = self.0.at(number).look(Look::Page { pattern, scope, cursor }, until).await?;
                    sight.next = self.0.partitions.cursor(number, sight.next.map(|(_, at)| at)).map(|at| (0, at));
                    Ok(sight)
                }
            }
        })
    }

    fn list<'a>(
        &'a self,
        catalogue: Catalogue,
        pattern: &'a str,
        cursor: u64,
        until: Instant,
    ) -> StoreFuture<'a, CataloguePage> {
        Box::pin(async move {
            let Some((number, at)) = self.0.partitions.place_of(cursor) else { return Ok(CataloguePage::default()) };
            let CataloguePage { mut names, next } = self.0.at(number).list(catalogue, pattern, at, until).await?;
            if catalogue == Catalogue::Tags {
                let lead = all_ok(names.iter().map(|tag| self.0.has_members(number, tag, until))).await?;
                let mut lead = lead.into_iter();
                names.retain(|_| lead.next() == Some(true));
            }
            Ok(CataloguePage { names, next: self.0.partitions.cursor(number, next) })
        })
    }

    /// Also waits until the lists of the partitions are complete, as they are not in a new
    /// namespace: until then nothing is stored that has a name of another partition. If they are
    /// not complete in time, they are completed in the background.
    fn ready(&self, timeout: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let until = clock::after(timeout);
            self.0.each[0].ready(timeout).await?;
            self.0.complete_lists(until).await
        })
    }

    fn on_loss(&self, listener: LossListener) {
        self.0.losses.listen(listener);
    }

    fn loss(&self) -> Option<StoreLoss> {
        self.0.losses.last()
    }

    fn make_good<'a>(&'a self, loss: &'a StoreLoss, until: Instant) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            match loss {
                StoreLoss::OfPartitions(each) => {
                    all_ok(each.iter().map(|(of, loss)| self.0.at(*of).make_good(loss, until))).await?;
                    self.0.losses.note_made_good();
                }
                StoreLoss::Members(number) => {
                    for (of, mark) in self.0.losses.members_up_to(*number) {
                        self.0.at(of).make_good(&StoreLoss::Members(mark), until).await?;
                        self.0.losses.members_made_good(of, mark);
                    }
                }
                StoreLoss::Writes(_) => {}
            }
            Ok(())
        })
    }

    fn end_reaping(&self) {
        self.0.each.iter().for_each(Store::end_reaping);
    }

    fn links(&self) -> Option<StoreLinks> {
        let overwritten_bookkeeping = self.0.losses.any_replaced();
        self.0.each[0].links().map(|links| StoreLinks { overwritten_bookkeeping, ..links })
    }

    fn is_breaker_open(&self) -> bool {
        self.0.each[0].is_breaker_open()
    }

    fn health(&self) -> StoreHealth {
        StoreHealth { overwritten_bookkeeping: self.0.losses.any_replaced(), ..self.0.each[0].health() }
    }
}

/// Why a write is not stored whose home has failed so.
fn unregistered(error: &Error) -> Refusal {
    if error.kind() == ErrorKind::Limit { Refusal::OutOfMemory } else { Refusal::Unregistered }
}
