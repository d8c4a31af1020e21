//! `cargo xtask model`: gives the second model of the protocol, `model/protocol.pml`, to spin.
//!
//! Every scenario must hold. Without a rule, the scenario that needs it must not: what leads to the
//! stale read is printed as a story.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::install;
use crate::steps::workspace;

/// What a search may take of memory, in megabytes. None takes a tenth of it today.
const MEGABYTES_MAX: u32 = 2_000;
/// Steps of one run of the model. None takes a tenth of it today.
const DEPTH_MAX: u32 = 300_000;

/// A scenario: how many processes of each kind there are and what may happen, by the definitions
/// in the head of the model; and the rules without which it does not hold.
struct Scenario {
    name: &'static str,
    is: &'static str,
    needs: &'static str,
}

/// Keys and names are bits: A 1, B 2, C 4, V 8, T 16. Homes have two bits for each name.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a tag and its cascade",
        is: "LOADS=4 MORE_LOADS=4 INVALIDATIONS=1 KEY_ALONE EXPIRIES=1",
        needs: "GIVEN_NAMES_ARE_FENCED REMOVED_NAMES_ARE_FENCED FILLS_CHECK_EVERY_NAME",
    },
    Scenario {
        name: "a key and its cascade",
        is: "STORED=4 LOADS=4 MORE_LOADS=2 INVALIDATIONS=1 GIVEN=1 KEY_ALONE EXPIRIES=2",
        needs: "",
    },
    Scenario {
        name: "an invalidation of two scripts",
        is: "STORED=4 LOADS=4 MORE_LOADS=4 INVALIDATIONS=1 KEY_ALONE BUDGET=1 EXPIRIES=1",
        needs: "REMOVED_NAMES_ARE_FENCED",
    },
    Scenario {
        name: "an invalidation that dies between two scripts, and another",
        is: "STORED=4 LOADS=4 INVALIDATIONS=2 KEY_ALONE BUDGET=1 CRASHES=1",
        needs: "",
    },
    Scenario {
        name: "entries that expire",
        is: "STORED=4 LOADS=4 INVALIDATIONS=1 KEY_ALONE EXPIRIES=3",
        needs: "MEMBERS_WITHOUT_ENTRY_COUNT",
    },
    Scenario {
        name: "dead members with dependents",
        is: "STORED=4 LOADS=4 INVALIDATIONS=1 KEY_ALONE EXPIRIES=2 RETENTIONS=2",
        needs: "DEPENDED_ON_MEMBERS_STAY DEAD_MEMBERS_STAY_A_WHILE OLD_LOADS_ARE_REFUSED",
    },
    Scenario {
        name: "dropped fences",
        is: "LOADS=4 MORE_LOADS=1 INVALIDATIONS=1 KEY_ALONE EXPIRIES=1 DROPS=1",
        needs: "DROPPED_FENCES_RAISE_THE_FLOOR",
    },
    Scenario {
        name: "a lost clock",
        is: "LOADS=4 MORE_LOADS=2 INVALIDATIONS=1 KEY_ALONE LOSSES=1 CLOCK_ALONE",
        needs: "INCARNATION_IS_CHECKED",
    },
    Scenario {
        name: "two writers of a key, and a script that is resent",
        is: "STORED=2 LOADS=4 WRITES=2 KEY_ALONE EXPIRIES=1 RESENDS=1",
        needs: "WRITES_FENCE_THEIR_KEY",
    },
    Scenario {
        name: "a pattern, and what depends on what it matches",
        is: "STORED=2 LOADS=2 MORE_LOADS=1 SWEEPS=1 KEY_ALONE EXPIRIES=2",
        needs: "SWEEP_FOLLOWS_ENTRIES_THAT_ARE_GONE",
    },
    Scenario {
        name: "a pattern that matches what is being loaded",
        is: "LOADS=2 MORE_LOADS=1 SWEEPS=1 KEY_ALONE",
        needs: "SWEEP_RAISES_THE_FLOOR",
    },
    Scenario {
        name: "a change around which a tag is closed",
        is: "STORED=2 LOADS=4 MORE_LOADS=2 CLOSINGS=1 KEY_ALONE EXPIRIES=1",
        needs: "CLOSED_NAMES_REFUSE",
    },
    Scenario {
        name: "a change around which a tag is closed that nothing has yet",
        is: "LOADS=2 MORE_LOADS=1 CLOSINGS=1 KEY_ALONE EXPIRIES=1",
        needs: "OPENING_FENCES",
    },
    Scenario {
        name: "a change around which a tag is closed, and what declares what falls with it",
        is: "STORED=2 LOADS=10 CLOSINGS=1 KEY_ALONE EXPIRIES=1",
        needs: "REACHED_NAMES_ARE_CLOSED REACHED_NAMES_ARE_FENCED",
    },
    Scenario {
        name: "a change whose process dies while a tag is closed",
        is: "STORED=2 LOADS=2 MORE_LOADS=1 CLOSINGS=1 KEY_ALONE CRASHES=1 MARK_ENDS=1",
        needs: "ENDED_MARKS_FENCE",
    },
    Scenario {
        name: "two changes that overlap, around which a tag is closed",
        is: "STORED=2 LOADS=8 CLOSINGS=2 KEY_ALONE CRASHES=1",
        needs: "CLOSINGS_SHARE_WHAT_THEY_REACH",
    },
    Scenario {
        name: "two partitions: caller and called apart",
        is: "PARTITIONS=2 HOMES=4 LOADS=2 MORE_LOADS=2 INVALIDATIONS=1 KEY_ALONE EXPIRIES=1",
        needs: "REGISTRATION HOMES_CHECK REMOVED_NAMES_ARE_FENCED VISITS_ADVANCE_THE_CLOCK MARKS_ARE_VISITED",
    },
    Scenario {
        name: "three partitions: tag, caller and called apart",
        is: "PARTITIONS=3 HOMES=516 LOADS=2 MORE_LOADS=2 INVALIDATIONS=1 KEY_ALONE EXPIRIES=1",
        needs: "HOMES_CHECK",
    },
    Scenario {
        name: "two partitions: two invalidations that settle, one of which may die",
        is: "PARTITIONS=2 HOMES=256 LOADS=1 MORE_LOADS=1 INVALIDATIONS=2 SETTLES CRASHES=1",
        needs: "SETTLING_COMPARES_STAMPS SETTLING_COMPARES_FENCES",
    },
    Scenario {
        name: "three partitions: two invalidations that settle, and what declares what falls",
        is: "PARTITIONS=3 HOMES=133 STORED=10 LOADS=8 INVALIDATIONS=2 KEY_ALONE SETTLES",
        needs: "KEPT_NAMES_KEEP_THEIR_MARK",
    },
    Scenario {
        name: "three partitions: a cascade through all of them whose operation dies, and another",
        is: "PARTITIONS=3 HOMES=36 STORED=4 LOADS=4 INVALIDATIONS=2 KEY_ALONE CRASHES=1 BUDGET=1",
        needs: "MEMBERSHIPS_OUTLIVE_THEIR_WORK MARKS_KEEP_MEMBERS",
    },
    Scenario {
        name: "three partitions: one of them is lost at any time",
        is: "PARTITIONS=3 HOMES=36 STORED=4 LOADS=4 INVALIDATIONS=1 LOSSES=1",
        needs: "LOST_HOMES_ARE_VISITED_EVERYWHERE",
    },
    Scenario {
        name: "two partitions: one of them is lost during a load",
        is: "PARTITIONS=2 HOMES=1 LOADS=1 MORE_LOADS=1 INVALIDATIONS=1 LOSSES=1",
        needs: "INCARNATION_IS_CHECKED",
    },
    Scenario {
        name: "two partitions: two writers",
        is: "PARTITIONS=2 HOMES=256 STORED=2 LOADS=2 WRITES=2 KEY_ALONE",
        needs: "WRITES_FENCE_THEIR_KEY",
    },
    Scenario {
        name: "two partitions: a pattern",
        is: "PARTITIONS=2 HOMES=4 STORED=2 LOADS=2 SWEEPS=1 KEY_ALONE EXPIRIES=2",
        needs: "SWEEP_FOLLOWS_ENTRIES_THAT_ARE_GONE",
    },
];

/// False if a scenario does not hold, or holds without a rule that it needs.
pub(crate) fn run(arguments: &[String]) -> Result<bool, String> {
    let asked = arguments.first().map_or("", String::as_str);
    let spin = install::spin()?;
    let directory = workspace().join("target/model");
    let scenarios: Vec<_> = SCENARIOS.iter().filter(|scenario| scenario.name.contains(asked)).collect();
    let (mut passed, mut failed, mut states) = (0, 0, 0);
    for (scenario, found) in scenarios.iter().zip(examine_all(&spin, &directory, &scenarios)) {
        let Findings { kept, without } = found?;
        states += kept.states;
        println!("{:>9} states  {}", kept.states, scenario.name);
        match kept.story {
            None => passed += 1,
            Some(story) => {
                failed += 1;
                println!("FAILED: it does not hold\n{story}");
            }
        }
        for (rule, found) in without {
            let rule = rule.to_lowercase().replace('_', " ");
            match found.story {
                Some(story) => {
                    passed += 1;
                    println!("  unless \"{rule}\": found after {} states\n{story}", found.states);
                }
                None => {
                    failed += 1;
                    println!("FAILED: it holds without \"{rule}\" as well: {} states", found.states);
                }
            }
        }
    }
    println!("{states} states in which every rule was kept\n{passed} passed, {failed} failed");
    Ok(failed == 0 && passed > 0)
}

/// What the searches through one scenario found: with every rule, and without each that it needs.
struct Findings {
    kept: Search,
    without: Vec<(&'static str, Search)>,
}

/// As many scenarios at a time as there are cores: a search keeps one of them busy. The findings
/// are in the order of the scenarios.
fn examine_all(spin: &Path, directory: &Path, scenarios: &[&Scenario]) -> Vec<Result<Findings, String>> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let take = || {
        let at = next.fetch_add(1, Ordering::Relaxed);
        scenarios.get(at).map(|scenario| (at, scenario))
    };
    let work = || {
        while let Some((at, scenario)) = take() {
            let findings = examine(spin, &directory.join(at.to_string()), scenario);
            found.lock().expect("nobody panics with it").insert(at, findings);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    found.into_inner().expect("nobody panicked with it").into_values().collect()
}

fn examine(spin: &Path, directory: &Path, scenario: &Scenario) -> Result<Findings, String> {
    fs::create_dir_all(directory).map_err(|error| format!("cannot make {}: {error}", directory.display()))?;
    let without = |rule| Ok((rule, search(spin, directory, &format!("{} WITHOUT_{rule}", scenario.is))?));
    Ok(Findings {
        kept: search(spin, directory, scenario.is)?,
        without: scenario.needs.split_whitespace().map(without).collect::<Result<_, String>>()?,
    })
}

struct Search {
    states: u64,
    /// What leads to a state that must not be.
    story: Option<String>,
}

/// Tries every interleaving of one scenario.
fn search(spin: &Path, directory: &Path, definitions: &str) -> Result<Search, String> {
    let model = workspace().join("model/protocol.pml");
    let definitions: Vec<String> = definitions.split_whitespace().map(|word| format!("-D{word}")).collect();
    let trail = directory.join("protocol.pml.trail");
    let _ = fs::remove_file(&trail);
    // The trail is written into the working directory, under the name of the model.
    let copy = directory.join("protocol.pml");
    fs::copy(&model, &copy).map_err(|error| format!("cannot copy {}: {error}", model.display()))?;
    output(Command::new(spin).arg("-a").args(&definitions).arg("protocol.pml").current_dir(directory))?;
    let limits = [format!("-DMEMLIM={MEGABYTES_MAX}"), "-DVECTORSZ=2048".to_owned()];
    output(
        Command::new("gcc")
            .args(["-O0", "-w", "-DSAFETY", "-DCOLLAPSE"])
            .args(limits)
            .args(["-o", "pan", "pan.c"])
            .current_dir(directory),
    )?;
    let depth = format!("-m{DEPTH_MAX}");
    let verdict = output(Command::new(directory.join("pan")).args([&depth, "-E", "-w22"]).current_dir(directory))?;
    let states = states(&verdict).ok_or_else(|| format!("the search did not end as it should:\n{verdict}"))?;
    if !trail.is_file() {
        // Nothing was found: that counts only if everything was looked at.
        let limits = ["max search depth too small", "out of memory", "Search not completed"];
        if limits.into_iter().any(|limit| verdict.contains(limit)) {
            return Err(format!("the search met a limit:\n{verdict}"));
        }
        return Ok(Search { states, story: None });
    }
    let told = output(Command::new(spin).arg("-t").args(&definitions).arg("protocol.pml").current_dir(directory))?;
    Ok(Search { states, story: Some(story(&told)) })
}

/// Runs a program; its output, or its complaint.
fn output(command: &mut Command) -> Result<String, String> {
    let program = PathBuf::from(command.get_program());
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // spin says in its output, and not by its status, what is wrong with a model.
    if !output.status.success() && !text.contains("pan:1:") || text.contains("Error: syntax") {
        return Err(format!("{}: {text}{}", program.display(), String::from_utf8_lossy(&output.stderr)));
    }
    Ok(text)
}

/// How many states a search met: `  50662 states, stored`.
fn states(verdict: &str) -> Option<u64> {
    let line = verdict.lines().find(|line| line.contains(" states, stored"))?;
    let number: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number as u64)
}

/// The lines that the model prints, with names in the place of numbers.
fn story(told: &str) -> String {
    let lines = told.lines().map(str::trim).filter(|line| {
        ["call of ", "operation ", "...", "<", "lost:", "dropped:", "time:"].iter().any(|word| line.starts_with(word))
    });
    let mut story: Vec<String> = lines.map(|line| format!("    {}", named(line))).collect();
    let failed = told.lines().find(|line| line.contains("text of failed assertion"));
    story.push(format!(
        "    then {}",
        if failed.is_some_and(|line| line.contains("required")) {
            "a call that starts now is served what was invalidated"
        } else {
            "an entry is stored that one of its names does not lead to"
        }
    ));
    story.join("\n")
}

/// `<3>` is a key, `{17}` a set of names.
fn named(line: &str) -> String {
    const NAMES: [&str; 5] = ["A", "B", "C", "V", "T"];
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['<', '{']) {
        let close = if rest[at..].starts_with('<') { '>' } else { '}' };
        let Some(length) = rest[at..].find(close) else { break };
        let number: Option<usize> = rest[at + 1..at + length].parse().ok();
        text.push_str(&rest[..at]);
        match number {
            Some(number) if close == '>' => text.push_str(NAMES.get(number).unwrap_or(&"?")),
            Some(set) => {
                let names: Vec<&str> = (0..NAMES.len()).filter(|at| set >> at & 1 == 1).map(|at| NAMES[at]).collect();
                text.push_str(&if names.is_empty() { "nothing".to_owned() } else { names.join(", ") });
            }
            None => text.push_str(&rest[at..=at + length]),
        }
        rest = &rest[at + length + 1..];
    }
    (text + rest).replace("[0]", "refused").replace("[1]", "stored")
}

#[cfg(test)]
mod tests {
    use super::{SCENARIOS, named, states, story};

    #[test]
    fn numbers_of_the_model_become_names() {
        assert_eq!(named("call of <1>: the fill of <0> with {17}"), "call of B: the fill of A with A, T");
        assert_eq!(named("operation 2: reaches {0}: [0]"), "operation 2: reaches nothing: refused");
    }

    #[test]
    fn a_verdict_says_how_many_states_there_were() {
        assert_eq!(states("State-vector 132 byte, errors: 0\n    50662 states, stored\n"), Some(50_662));
        assert_eq!(states(" 5.09e+06 states, stored\n"), Some(5_090_000));
        assert_eq!(states("pan: out of memory"), None);
    }

    /// How many states they have is known after a run only.
    #[test]
    fn the_pages_count_the_scenarios_and_the_rules_that_are_taken_away() {
        let rules: usize = SCENARIOS.iter().map(|scenario| scenario.needs.split_whitespace().count()).sum();
        let readme = include_str!("../../model/README.md");
        assert!(readme.contains(&format!("of {} scenarios", SCENARIOS.len())), "{} scenarios", SCENARIOS.len());
        assert!(readme.contains(&format!(": {rules} times")), "{rules} rules");
        let page = include_str!("../../cache-core/docs/consistency.md");
        assert!(page.contains(&format!("| {} scenarios on", SCENARIOS.len())), "{} scenarios", SCENARIOS.len());
        assert!(page.contains(&format!(" states | {rules} |")), "{rules} rules");
        let changes = include_str!("../../CHANGELOG.md");
        assert!(changes.contains(&format!("tries {} scenarios", SCENARIOS.len())), "{} scenarios", SCENARIOS.len());
    }

    #[test]
    fn a_story_ends_with_what_must_not_be() {
        let told = "spin: x\n      call of <0>: reads\nspin: text of failed assertion: assert(entry < required)\n";
        assert_eq!(story(told), "    call of A: reads\n    then a call that starts now is served what was invalidated");
    }
}
