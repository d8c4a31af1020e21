//! Makes the lists of homes complete again after a clock was lost, by the rules of
//! `store/memory/partitions/upkeep.rs`.

use std::collections::BTreeMap;

use super::several::{PartitionState, RedisPartitions, all};
use super::{reply, scripts};
use crate::clock::{Instant, millis};
use crate::config::LIST_KEYS_PER_PAGE;
use crate::error::Error;
use crate::name::Name;
use crate::store::HomeReading;

impl RedisPartitions {
    /// Makes the lists of all homes complete, and has each partition list what it has. Gives up if
    /// anything is lost meanwhile: whoever meets that begins again.
    pub(crate) async fn reconcile(&self, until: Instant) -> Result<(), Error> {
        // In this order: what is adopted is then known to be no newer than what was read.
        let read: Vec<_> = all(self.numbers().map(|of| self.state(of, until))).await;
        let read = read.into_iter().collect::<Result<Vec<_>, _>>()?;
        let homes: Vec<_> = all(self.numbers().map(|home| self.state(home, until))).await;
        let homes = homes.into_iter().collect::<Result<Vec<_>, _>>()?;
        for (of, was) in self.numbers().zip(&read) {
            for (home, is) in self.numbers().zip(&homes).filter(|(home, _)| *home != of) {
                let adopted = was.known.get(&home).map_or("", |known| known);
                let args = [&*home.to_string(), &is.reading.incarnation, &was.reading.incarnation, adopted];
                if reply::integer(&self.run(of, &scripts::ADOPT, &args, until).await?)? == 0 {
                    return Ok(());
                }
            }
            if !self.note_what_is_in(of, &homes, until).await? {
                return Ok(());
            }
        }
        for (home, is) in self.numbers().zip(&homes) {
            self.note_listed((home, home), &is.reading, &[], until).await?;
        }
        Ok(())
    }

    /// Has the homes note the names of which a partition has members.
    async fn note_what_is_in(&self, of: u16, homes: &[PartitionState], until: Instant) -> Result<bool, Error> {
        let (mut cursor, count) = ("0".to_owned(), LIST_KEYS_PER_PAGE.to_string());
        loop {
            let mut page = reply::words(&self.run(of, &scripts::LIST, &[&cursor, &count], until).await?)?;
            let mut by_home = BTreeMap::<u16, Vec<String>>::new();
            for name in page.drain(1..).filter_map(|name| Name::parse(&name)) {
                if !self.partitions.is_home(&name, of) {
                    by_home.entry(self.partitions.home(&name)).or_default().push(name.as_str().to_owned());
                }
            }
            for (home, names) in by_home {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                if !self.note_listed((home, of), &homes[usize::from(home)].reading, &names, until).await? {
                    return Ok(false);
                }
            }
            cursor = page.pop().ok_or_else(reply::unexpected)?;
            if cursor == "0" {
                return Ok(true);
            }
        }
    }

    /// No names: all have been listed.
    async fn note_listed(
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
