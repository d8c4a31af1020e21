//! Makes the lists of homes complete again after a clock was lost, by the rules of
//! `store/memory/several/model/upkeep.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::at_once::all_ok;
use super::super::{reply, scripts};
use super::clocks::PartitionState;
use super::set::PartitionSet;
use crate::clock::{self, Instant, millis, timers};
use crate::config::{LIST_KEYS_PER_PAGE, RECONCILE_DEADLINE, RECONCILE_JITTER, RECONCILE_PAUSE};
use crate::error::{Error, ErrorKind};
use crate::name::Name;
use crate::store::HomeReading;

impl PartitionSet {
    /// Has what was lost made good, in a task of its own: one of this process at a time, and not in
    /// step with other processes.
    pub(super) fn heal(&self) {
        let Ok(runtime) = timers() else { return };
        let Some(turn) = self.reconciling.take_turn() else { return };
        let set = self.own.clone();
        runtime.spawn(async move {
            sleep(jitter()).await;
            let Some(set) = set.upgrade() else { return };
            let reconciled = timeout(RECONCILE_DEADLINE, set.reconcile(clock::now() + RECONCILE_DEADLINE)).await;
            match reconciled {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    tracing::debug!("something was lost while the cluster's partitions listed what they have")
                }
                Ok(Err(error)) => tracing::debug!(%error, "the lists of the cluster's partitions are still incomplete"),
                Err(_) => tracing::debug!("the lists of the cluster's partitions took too long to complete"),
            }
            drop(turn);
        });
    }

    /// Waits until the lists of all homes are complete.
    ///
    /// # Errors
    /// `Config` at once; `Unavailable` if they are not complete in time.
    pub(super) async fn complete_lists(&self, until: Instant) -> Result<(), Error> {
        loop {
            let failed = match self.reconcile(until).await {
                Ok(true) => return Ok(()),
                Ok(false) => None,
                Err(error) if error.kind() == ErrorKind::Config => return Err(error),
                Err(error) => Some(error),
            };
            sleep(clock::spread(RECONCILE_PAUSE).min(until.saturating_duration_since(clock::now()))).await;
            if clock::now() >= until {
                self.heal();
                return Err(incomplete(failed));
            }
        }
    }

    /// Makes the lists of all homes complete, and has each partition list what it has. `false`: it
    /// gave up, because something was lost meanwhile. Whoever meets that begins again.
    ///
    /// # Cost
    /// Two rounds of one script for each partition if nothing is amiss. Else two scripts more for
    /// each, and one for each home of the names of a page.
    pub(super) async fn reconcile(&self, until: Instant) -> Result<bool, Error> {
        // What is written down may be lost, too.
        self.record(until).await?;
        // Partitions first, then homes: a partition that has adopted something newer since refuses.
        let read = self.states(until).await?;
        let homes = self.states(until).await?;
        let is_listed = |home: u16, is: &PartitionState| {
            let knows = |(of, was): (u16, &PartitionState)| of == home || was.known.get(&home) == Some(&is.text());
            is.is_complete && (0..).zip(&read).all(knows)
        };
        let amiss: Vec<u16> =
            (0..).zip(&homes).filter(|(home, is)| !is_listed(*home, is)).map(|(home, _)| home).collect();
        if amiss.is_empty() {
            return Ok(true);
        }
        tracing::info!(homes = amiss.len(), "partitions of the cluster list anew what they have");
        let listed = all_ok((0..).zip(&read).map(|(of, was)| self.list_at((of, was), &amiss, &homes, until))).await?;
        if listed.contains(&false) {
            return Ok(false);
        }
        let complete =
            amiss.iter().map(|home| self.note_listed((*home, *home), &homes[usize::from(*home)].reading, &[], until));
        Ok(!all_ok(complete).await?.contains(&false))
    }

    async fn states(&self, until: Instant) -> Result<Vec<PartitionState>, Error> {
        all_ok(self.numbers().map(|number| self.state(number, until))).await
    }

    /// Has a partition adopt these homes as they are, and list there what it has. `false`:
    /// something was lost meanwhile.
    async fn list_at(
        &self,
        (of, was): (u16, &PartitionState),
        amiss: &[u16],
        homes: &[PartitionState],
        until: Instant,
    ) -> Result<bool, Error> {
        let mut args = vec![was.text()];
        for home in amiss.iter().filter(|home| **home != of) {
            let adopted = was.known.get(home).cloned().unwrap_or_default();
            args.extend([home.to_string(), homes[usize::from(*home)].text(), adopted]);
        }
        if args.len() == 1 {
            return Ok(true);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let is_adopted = reply::integer(&self.run(of, &scripts::ADOPT, &args, until).await?)? == 1;
        Ok(is_adopted && self.note_what_is_in(of, amiss, homes, until).await?)
    }

    /// Has these homes note the names of which a partition has members.
    async fn note_what_is_in(
        &self,
        of: u16,
        amiss: &[u16],
        homes: &[PartitionState],
        until: Instant,
    ) -> Result<bool, Error> {
        let (mut cursor, count) = ("0".to_owned(), LIST_KEYS_PER_PAGE.to_string());
        loop {
            let page = reply::words(&self.run(of, &scripts::LIST, &[&cursor, &count], until).await?)?;
            let (next, names) = page.split_first().ok_or_else(reply::unexpected)?;
            let mut by_home = BTreeMap::<u16, Vec<String>>::new();
            for name in names.iter().filter_map(|name| Name::parse(name)) {
                let home = self.partitions.home(&name);
                if !self.partitions.is_home(&name, of) && amiss.contains(&home) {
                    by_home.entry(home).or_default().push(name.as_str().to_owned());
                }
            }
            let noted = by_home.iter().map(|(home, names)| async move {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.note_listed((*home, of), &homes[usize::from(*home)].reading, &names, until).await
            });
            if all_ok(noted).await?.contains(&false) {
                return Ok(false);
            }
            if next == "0" {
                return Ok(true);
            }
            cursor.clone_from(next);
        }
    }

    /// No names: all have been listed.
    pub(super) async fn note_listed(
        &self,
        (home, of): (u16, u16),
        reading: &HomeReading,
        names: &[&str],
        until: Instant,
    ) -> Result<bool, Error> {
        let (of, retention_ms) = (of.to_string(), millis(self.retention).to_string());
        let args = [&[&*of, &reading.incarnation, &retention_ms, &retention_ms], names].concat();
        Ok(reply::integer(&self.run(home, &scripts::NOTE_LISTED, &args, until).await?)? == 1)
    }
}

impl PartitionState {
    fn text(&self) -> String {
        self.reading.incarnation.to_string()
    }
}

fn incomplete(failed: Option<Error>) -> Error {
    let message = "the lists of the cluster's partitions are still incomplete: they are completed in the background, \
                   and until then not all is stored";
    let error = Error::new(ErrorKind::Unavailable, message);
    match failed {
        Some(failed) => error.with_source(failed),
        None => error,
    }
}

fn jitter() -> Duration {
    RECONCILE_JITTER.mul_f64(fastrand::f64())
}
