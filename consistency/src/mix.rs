//! The random mix of calls that one task makes, and what is recorded of each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::{CallResult, Invalidation, observe};
use tokio::sync::oneshot;

use crate::bias::Bias;
use crate::clock;
use crate::database::Query;
use crate::link::{Link, OpenCall};
use crate::names::{DATA, GROUPS, Kind, Name};
use crate::record::{Call, Change, How, Part, Read, Scope};
use crate::world::{self, Committed, Transaction, Value, World};

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Read(Kind, u16),
    Batch(Vec<u16>),
    Refresh(u16),
    Peek(u16),
    Change(How, u16),
    /// What it changes is promised to nobody at any moment.
    ChangeInBackground(u16),
}

pub(crate) fn step(bias: &Bias, random: &mut fastrand::Rng) -> Step {
    let at = bias.row(random);
    let reads = 10_000 - bias.changes - bias.patterns;
    match random.u32(0..10_000) {
        step if step < reads * 97 / 100 => Step::Read(bias.kind(random), at),
        step if step < reads - 40 => Step::Batch((0..random.usize(2..9)).map(|_| bias.row(random)).collect()),
        step if step < reads - 20 => Step::Refresh(at),
        step if step < reads => Step::Peek(at),
        // Patterns make all loads in flight in vain, so there are few.
        step if step < reads + bias.patterns => Step::Change(pattern(random), at),
        _ if random.u8(0..32) == 0 => Step::ChangeInBackground(at),
        _ => Step::Change(bias.way(random), at),
    }
}

fn pattern(random: &mut fastrand::Rng) -> How {
    match random.u8(0..8) {
        0 => How::Clear,
        1..4 => How::Prefix,
        _ => How::Suffix,
    }
}

impl World {
    pub(crate) async fn run(&self, step: &Step, random: &mut fastrand::Rng) {
        match step {
            Step::Read(Kind::Near, at) => self.read_near(*at).await,
            Step::Read(kind, at) => {
                let call = self.link.begin();
                if let Some(value) = self.read(*kind, *at).await {
                    self.expect(*kind, *at, &value);
                    self.note_read(call, value, false);
                }
            }
            Step::Batch(rows) => {
                let call = self.link.begin();
                let Ok(found) = world::leaves(self, rows).await;
                rows.iter().for_each(|at| self.expect(Kind::Leaf, *at, found.get(at).map_or(&[], Vec::as_slice)));
                self.note_read(call, found.into_values().flatten().collect(), false);
            }
            Step::Refresh(at) => {
                let call = self.link.begin();
                let value = world::leaf::refresh(self, *at).await;
                self.expect(Kind::Leaf, *at, &value);
                self.note_read(call, value, false);
            }
            Step::Peek(at) => {
                let call = self.link.begin();
                if let Ok(Some(value)) = self.cache.peek(world::leaf::key(at)).await {
                    self.note_read(call, value, false);
                }
            }
            Step::Change(how, at) => self.change(*how, *at, random).await,
            Step::ChangeInBackground(at) => _ = world::set_in_background(self, *at).await,
        }
    }

    async fn read_near(&self, at: u16) {
        let call = self.link.begin();
        let (value, log) = observe(self.read(Kind::Near, at)).await;
        if let Some(value) = value {
            self.expect(Kind::Near, at, &value);
            self.note_read(call, value, log.count(CallResult::NearHit) > 0);
        }
    }

    /// A value says what it was loaded for.
    fn expect(&self, kind: Kind, at: u16, value: &[Part]) {
        if value.first().is_none_or(|part| (part.kind, part.at) != (kind, at)) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every entry once.
    pub(crate) async fn read_everything(&self) {
        for kind in Kind::ALL {
            for at in 0..DATA {
                self.run(&Step::Read(kind, at), &mut fastrand::Rng::with_seed(0)).await;
            }
        }
    }

    fn note_read(&self, call: OpenCall<'_>, parts: Value, is_copy: bool) {
        let (process, start) = (self.link.process(), call.start);
        call.end(|end| Call::Read(Read { process, start, end, is_copy, parts }));
    }

    /// Invalidations of this process that have failed so far.
    fn failures(&self) -> u64 {
        self.cache.stats().total().failed_invalidations
    }

    async fn change(&self, how: How, at: u16, random: &mut fastrand::Rng) {
        match how {
            How::Keys => {
                let (call, failed) = (self.link.begin(), self.failures());
                let done = world::set_by_keys(self, at).await;
                let kinds = [
                    Kind::Leaf,
                    Kind::ChainC,
                    Kind::RingA,
                    Kind::Revalidated,
                    Kind::Early,
                    Kind::Adaptive,
                    Kind::Covered,
                ];
                let names = kinds.into_iter().map(|kind| Name::Key(kind, at)).collect();
                self.note_body(call, how, self.scope_since(failed), (at, done), names);
            }
            How::Around => {
                let (call, failed) = (self.link.begin(), self.failures());
                let done = world::set_around(self, at).await;
                self.note_body(call, how, self.scope_since(failed), (at, done), vec![Name::Row(at)]);
            }
            How::WriteThrough | How::WriteAround => self.write(how, at).await,
            How::Put => self.put(at).await,
            How::Close => self.close(at, random).await,
            How::Transaction => {
                let mut transaction = Transaction::default();
                world::set_in_transaction(&mut transaction, at).await;
                let version = self.commit(at).await;
                let names = vec![Name::Key(Kind::Leaf, at), Name::Row(at), Name::Key(Kind::Early, at)];
                self.invalidate(how, transaction.collected, Some((at, version)), names).await;
            }
            How::Tag => {
                let version = self.commit(at).await;
                let name = Name::Row(at);
                self.invalidate(how, Invalidation::new().tag(&*name.text()), Some((at, version)), vec![name]).await;
            }
            How::Suffix => {
                let version = self.commit(at).await;
                let name = Name::Suffix(at);
                self.invalidate(how, Invalidation::new().pattern(name.text()), Some((at, version)), vec![name]).await;
            }
            How::Clear => {
                let version = self.commit(at).await;
                let call = self.link.begin();
                let done = self.cache.clear().await;
                self.note_change(call, how, scope(done.is_ok()), Some((at, version)), vec![Name::All]);
            }
            _ => self.invalidate_nothing_new(how, at, random).await,
        }
    }

    /// No row is changed, and what was loaded before is not served after it all the same.
    async fn invalidate_nothing_new(&self, how: How, at: u16, random: &mut fastrand::Rng) {
        let kind = self.bias.kind(random);
        let (name, invalidation) = match how {
            How::Prefix => (Name::Prefix(kind), Invalidation::new().pattern(Name::Prefix(kind).text())),
            How::Group => {
                let name = Name::Group(at % GROUPS);
                (name, Invalidation::new().tag(&*name.text()))
            }
            _ => (Name::Key(kind, at), Invalidation::new().key(&*Name::Key(kind, at).text())),
        };
        self.invalidate(how, invalidation, None, vec![name]).await;
    }

    async fn invalidate(&self, how: How, invalidation: Invalidation, committed: Option<(u16, u64)>, names: Vec<Name>) {
        let call = self.link.begin();
        let done = self.cache.invalidate(invalidation).await;
        self.note_change(call, how, scope(done.is_ok()), committed, names);
    }

    async fn write(&self, how: How, at: u16) {
        let (call, failed) = (self.link.begin(), self.failures());
        let value = match how {
            How::WriteAround => world::write_around(self, at).await,
            _ => world::write(self, at).await,
        };
        // Loads that began while the body ran may be stored before the write. What was loaded
        // before the call is gone after it.
        let (scope, committed) = (self.scope_since(failed), value.first().map(|part| (at, part.version)));
        self.note_change(call, how, scope, committed, vec![Name::Key(Kind::Leaf, at)]);
    }

    /// Within the transaction: the row is locked until the value is put.
    async fn put(&self, at: u16) {
        let Some((version, lock)) = self.write_and_lock(at).await else { return };
        let call = self.link.begin();
        let put = self.cache.put(world::leaf::key(&at), &self.to_put(at, version)).await;
        self.note_change(call, How::Put, scope(put.is_ok()), Some((at, version)), vec![Name::Key(Kind::Leaf, at)]);
        drop(lock);
    }

    /// In a task of its own: a lock that nobody waits for any more is given back when it is
    /// granted.
    async fn write_and_lock(&self, at: u16) -> Option<(u64, Lock)> {
        let (granted, lock) = oneshot::channel();
        let link = self.link.clone();
        tokio::spawn(async move {
            let version = link.ask(Query::WriteAndLock(at)).await;
            _ = granted.send((version, Lock(link, at)));
        });
        lock.await.ok()
    }

    async fn close(&self, at: u16, random: &mut fastrand::Rng) {
        let name = Name::Row(at);
        let call = self.link.begin();
        // What fails to close changes nothing, and owes nothing.
        let Ok(closing) = self.cache.close(Invalidation::new().tag(&*name.text())).await else { return };
        self.note_change(call, How::Close, Scope::Everybody, None, vec![name]);
        tokio::time::sleep(Duration::from_micros(random.u64(0..3_000))).await;
        let asked = clock::now();
        let confirmed = closing.confirm().await.is_ok();
        let call = self.link.begin();
        let version = self.commit(at).await;
        // For so long the names stay closed, whatever becomes of this process.
        if confirmed && u128::from(clock::now() - asked) < self.bias.closing_lifetime.as_nanos() / 2 {
            // From the moment of the commit on, and not when it is opened.
            let (process, start) = (self.link.process(), call.start);
            let (how, scope, committed, names) = (How::Commit, Scope::Everybody, Some((at, version)), vec![name]);
            call.end(|end| Call::Change(Change { process, how, start, end, since: 0, scope, committed, names }));
        }
        tokio::time::sleep(Duration::from_micros(random.u64(0..3_000))).await;
        let call = self.link.begin();
        let opened = closing.open().await;
        self.note_change(call, How::Open, scope(opened.is_ok()), Some((at, version)), vec![name]);
    }

    /// A call that does not say whether its invalidation has failed: it has not if none did.
    fn scope_since(&self, failed: u64) -> Scope {
        scope(self.failures() == failed)
    }

    /// The invalidation began after the body.
    fn note_body(&self, call: OpenCall<'_>, how: How, scope: Scope, (at, done): (u16, Committed), names: Vec<Name>) {
        let (process, start, since, committed) = (self.link.process(), call.start, done.when, Some((at, done.version)));
        call.end(|end| Call::Change(Change { process, how, start, end, since, scope, committed, names }));
    }

    fn note_change(&self, call: OpenCall<'_>, how: How, scope: Scope, committed: Option<(u16, u64)>, names: Vec<Name>) {
        let (process, start) = (self.link.process(), call.start);
        call.end(|end| Call::Change(Change { process, how, start, end, since: start, scope, committed, names }));
    }
}

fn scope(is_done: bool) -> Scope {
    if is_done { Scope::Everybody } else { Scope::OwnProcess }
}

/// A row that is locked until this is dropped.
struct Lock(Arc<Link>, u16);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.tell(Query::Unlock(self.1));
    }
}
