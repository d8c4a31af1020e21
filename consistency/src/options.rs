//! What a history is made of.

use std::collections::BTreeSet;
use std::time::Duration;

use cache_tests::ServerKind;

use crate::bias::{Bias, USUAL_MIX};
use crate::faults::Selection;

pub(crate) const USAGE: &str = "\
cargo xtask check-consistency [options]
  --store redis|valkey|embedded|redis-cluster|valkey-cluster
                                  where the cache is (redis); a cluster has three primaries, a replica each, and 16 partitions of ours
  --reads N                       end after so many checked reads (1,000,000 without --minutes)
  --minutes N                     end after this time; a fraction will do
  --seed N                        of the mix of calls (random)
  --processes N                   processes of the application (4)
  --tasks N                       tasks of each that make calls (48)
  --faults NAME[,NAME…]|all|random
                                  what goes wrong meanwhile, one after the other, or at random: see cache-core/docs/consistency.md
  --ablate RULE                   leave a rule of the protocol out, and look for a stale read: see cache-core/docs/consistency.md
  --record                        note the run in consistency/history.md, and its sums in cache-core/docs/consistency.md
  --mix-of RULE|usual             the mix of calls with which that rule is left out, or the usual one; every rule is kept, and
                                  scripts are as small as when one is left out, so that calls meet their ends
  --witness FILE                  where the drawing of a stale read goes (target/consistency/stale.svg)";

/// Where the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Embedded,
    Server(ServerKind),
    Cluster(ServerKind),
}

impl Place {
    const ALL: [(Self, &str); 5] = [
        (Self::Server(ServerKind::Redis), "redis"),
        (Self::Server(ServerKind::Valkey), "valkey"),
        (Self::Embedded, "embedded"),
        (Self::Cluster(ServerKind::Redis), "redis-cluster"),
        (Self::Cluster(ServerKind::Valkey), "valkey-cluster"),
    ];

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(place, its)| (its == name).then_some(place))
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find_map(|(place, name)| (place == self).then_some(name)).expect("each has a name")
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) place: Place,
    pub(crate) reads_max: u64,
    pub(crate) lasts_max: Duration,
    pub(crate) seed: u64,
    pub(crate) processes: u16,
    pub(crate) tasks: u16,
    pub(crate) witness: String,
    /// Whether the run is noted where all runs are.
    pub(crate) records: bool,
    /// All of these as they were given.
    pub(crate) line: String,
    pub(crate) faults: Option<Selection>,
    /// The rule that this build leaves out.
    pub(crate) ablate: Option<String>,
    /// The rule whose mix of calls it is, or the usual one.
    pub(crate) mix: String,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let (recording, arguments): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| *argument == "--record");
        let (mut reads, mut minutes) = (None, None);
        let mut options = Self {
            place: Place::Server(ServerKind::Redis),
            reads_max: u64::MAX,
            lasts_max: Duration::MAX,
            seed: fastrand::u64(..),
            processes: 4,
            tasks: 48,
            ablate: None,
            records: !recording.is_empty(),
            line: arguments.iter().map(|argument| argument.as_str()).collect::<Vec<_>>().join(" "),
            mix: USUAL_MIX.to_owned(),
            faults: None,
            witness: "target/consistency/stale.svg".to_owned(),
        };
        for pair in arguments.chunks(2) {
            let &[name, value] = pair else { return Err(format!("{}: no value\n{USAGE}", pair[0])) };
            let bad = || format!("{name} {value}: not understood\n{USAGE}");
            match name.as_str() {
                "--store" => options.place = Place::of(value).ok_or_else(bad)?,
                "--reads" => reads = Some(value.replace(['_', ','], "").parse().map_err(|_| bad())?),
                "--minutes" => minutes = Some(value.parse::<f64>().map_err(|_| bad())?),
                "--seed" => options.seed = value.parse().map_err(|_| bad())?,
                "--processes" => options.processes = positive(value).ok_or_else(bad)?,
                "--tasks" => options.tasks = positive(value).ok_or_else(bad)?,
                "--faults" => options.faults = Some(Selection::parse(value).ok_or_else(bad)?),
                "--ablate" if !cfg!(cache_ablation) => {
                    return Err("this build keeps every rule: use `cargo xtask check-consistency --ablate`".to_owned());
                }
                "--ablate" => options.ablate = Some(value.clone()),
                "--mix-of" => options.mix.clone_from(value),
                "--witness" => options.witness.clone_from(value),
                _ => return Err(bad()),
            }
        }
        if options.records && options.ablate.is_some() {
            return Err("a run without one of the rules is not recorded".to_owned());
        }
        if options.records && options.faults.is_some() {
            return Err("a run with faults is not recorded: some of them promise less than others".to_owned());
        }
        if let Some(faults) = &options.faults {
            if options.place == Place::Embedded {
                return Err(format!("--faults: the embedded store has no server that could have any\n{USAGE}"));
            }
            if *faults == Selection::Random && matches!(options.place, Place::Cluster(_)) {
                return Err(format!("--faults random: the faults of a cluster are in each other's way\n{USAGE}"));
            }
            if let Some(fault) =
                faults.faults(options.place).into_iter().find(|fault| !fault.is_possible(options.place))
            {
                return Err(format!("--faults {}: cannot be done to {}\n{USAGE}", fault.name(), options.place.name()));
            }
        }
        if let Some(rule) = &options.ablate {
            known(rule, options.place)?;
            options.mix.clone_from(rule);
        }
        let default = minutes.is_none().then_some(1_000_000);
        options.reads_max = reads.or(default).unwrap_or(u64::MAX);
        if let Some(minutes) = minutes {
            let lasts = Duration::try_from_secs_f64(minutes * 60.0);
            options.lasts_max = lasts.map_err(|_| format!("--minutes {minutes}: not understood\n{USAGE}"))?;
        }
        Ok(options)
    }

    pub(crate) fn bias(&self) -> Bias {
        Bias::of(&self.mix, self.faults.is_some())
    }

    pub(crate) fn store(&self) -> &'static str {
        self.place.name()
    }
}

/// A name that no rule of the store has would leave nothing out, and so find nothing.
fn known(rule: &str, place: Place) -> Result<(), String> {
    let rules = rules_of(place);
    if rules.contains(rule) {
        return Ok(());
    }
    let list: String = rules.iter().map(|rule| format!("  {rule}\n")).collect();
    Err(format!("--ablate {rule}: no rule of this store. They are:\n{list}"))
}

#[cfg(cache_ablation)]
fn rules_of(place: Place) -> BTreeSet<&'static str> {
    cache_core::__ablation::rules_of(place == Place::Embedded)
}

#[cfg(not(cache_ablation))]
fn rules_of(_: Place) -> BTreeSet<&'static str> {
    BTreeSet::new()
}

fn positive(text: &str) -> Option<u16> {
    text.parse().ok().filter(|number| (1..=64).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_history_ends_by_reads_or_by_time() {
        assert_eq!(parse("").unwrap().reads_max, 1_000_000);
        let timed = parse("--minutes 0.5 --store embedded").unwrap();
        assert_eq!((timed.reads_max, timed.lasts_max.as_secs(), timed.store()), (u64::MAX, 30, "embedded"));
        assert_eq!(parse("--store valkey-cluster").unwrap().place, Place::Cluster(ServerKind::Valkey));
        assert_eq!(parse("--reads 100_000_000 --minutes 60").unwrap().reads_max, 100_000_000);
        let recorded = parse("--seed 7 --record --reads 5").unwrap();
        assert_eq!((recorded.records, &*recorded.line, recorded.reads_max), (true, "--seed 7 --reads 5", 5));
        for wrong in ["--reads", "--reads x", "--store memcached", "--tasks 0", "--minutes -1", "--what 1"] {
            assert!(parse(wrong).unwrap_err().contains("cargo xtask"), "{wrong}");
        }
    }

    #[test]
    fn faults_come_with_the_default_deadline_whatever_the_mix() {
        let deadline_ms = |line: &str| parse(line).unwrap().bias().deadline.as_millis();
        assert_eq!((deadline_ms(""), deadline_ms("--mix-of DebtBypasses")), (20_000, 8));
        assert_eq!((deadline_ms("--faults all"), deadline_ms("--mix-of DebtBypasses --faults reset")), (250, 250));
        for wrong in [
            "--faults nothing",
            "--faults all --store embedded",
            "--record --faults all",
            "--faults node-killed",
            "--faults flushall --store redis-cluster",
            "--faults atomic-reshard --store redis-cluster",
            "--faults random --store valkey-cluster",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
