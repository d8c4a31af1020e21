//! How marks go on which nothing hangs any more.

use std::collections::BTreeMap;

use super::super::at_once::all_ok;
use super::super::{reply, scripts};
use super::set::PartitionSet;
use crate::clock::{Instant, millis, timers};
use crate::config::SETTLE_MARKS_PER_SCRIPT;
use crate::error::Error;
use crate::name::Name;
use crate::store::{FollowedMark, HomeReading, MetMark, Operation};

impl PartitionSet {
    /// Takes away what an operation that is done has followed. Nobody waits for it, and what is not
    /// settled is met again, or reaped.
    pub(super) fn settle(&self, operation: &Operation<'_>) {
        let Ok(runtime) = timers() else { return };
        for (home, followed) in operation.settlements() {
            let Ok(permit) = self.settlements.clone().try_acquire_owned() else { return };
            let set = self.own.clone();
            runtime.spawn(async move {
                if let Some(set) = set.upgrade() {
                    let _ = set.settle_at(home, &followed).await;
                }
                drop(permit);
            });
        }
    }

    /// One script after the other, so that others get their turns. Returns how many were sent.
    pub(super) async fn settle_at(&self, home: u16, followed: &[FollowedMark]) -> Result<usize, Error> {
        let chunks = followed.chunks(SETTLE_MARKS_PER_SCRIPT);
        let sent = chunks.len();
        for marks in chunks {
            let until = self.at(home).pool.answer_due();
            let mut args = Vec::new();
            for FollowedMark { mark, visited } in marks {
                let [number, stamp, seq] =
                    [u64::from(mark.of), mark.stamp, visited.seq].map(|number| number.to_string());
                args.extend([mark.name.as_str().to_owned(), number, stamp, visited.incarnation.to_string(), seq]);
            }
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            self.run(home, &scripts::SETTLE, &args, until).await?;
        }
        Ok(sent)
    }

    /// Takes away the marks of names whose time has passed, after their partitions were asked. The
    /// home fences the name first, and a partition that is asked fences it, too: what has
    /// registered before is then refused, and nothing is stored after the answer.
    pub(in crate::store::redis) async fn reap_marks(&self, home: u16, names: Vec<String>) -> Result<(), Error> {
        let until = self.at(home).pool.answer_due();
        let looks = names.iter().filter_map(|name| Name::parse(name));
        let dead = all_ok(looks.map(|name| self.dead_marks(home, name, until))).await?;
        let mut by_partition = BTreeMap::<u16, Vec<FollowedMark>>::new();
        for mark in dead.into_iter().flatten().filter(|dead| self.partitions.has(dead.mark.of)) {
            by_partition.entry(mark.mark.of).or_default().push(mark);
        }
        let asked = by_partition.into_iter().map(|(of, marks)| self.ask_for(home, of, marks, until));
        all_ok(asked).await.map(drop)
    }

    async fn dead_marks(&self, home: u16, name: Name, until: Instant) -> Result<Vec<FollowedMark>, Error> {
        let retention_ms = millis(self.retention).to_string();
        let words = reply::words(&self.run(home, &scripts::LOOK, &[&retention_ms, name.as_str()], until).await?)?;
        let [incarnation, seq, marks @ ..] = &words[..] else { return Err(reply::unexpected()) };
        let visited = HomeReading { incarnation: (**incarnation).into(), seq: reply::number(seq)? };
        self.saw(home, &visited);
        let mark = |mark: &[String]| {
            let [of, stamp] = mark else { return None };
            let mark = MetMark { name: name.clone(), of: of.parse().ok()?, stamp: stamp.parse().ok()? };
            Some(FollowedMark { mark, visited: visited.clone() })
        };
        Ok(marks.chunks(2).filter_map(mark).collect())
    }

    /// A mark whose partition still has members stays, for a retention more.
    async fn ask_for(&self, home: u16, of: u16, marks: Vec<FollowedMark>, until: Instant) -> Result<(), Error> {
        let retention_ms = millis(self.retention).to_string();
        let names = marks.iter().map(|dead| dead.mark.name.as_str());
        let args: Vec<&str> = [&*retention_ms].into_iter().chain(names).collect();
        let answers = reply::words(&self.run(of, &scripts::ASK, &args, until).await?)?;
        let (kept, over): (Vec<_>, Vec<_>) = marks.into_iter().zip(&answers).partition(|(_, answer)| *answer != "0");
        let over: Vec<FollowedMark> = over.into_iter().map(|(dead, _)| dead).collect();
        if !over.is_empty() {
            self.settle_at(home, &over).await?;
        }
        let names: Vec<&str> = kept.iter().map(|(dead, _)| dead.mark.name.as_str()).collect();
        if let Some((dead, _)) = kept.first() {
            self.note_listed((home, of), &dead.visited, &names, until).await?;
        }
        Ok(())
    }
}
