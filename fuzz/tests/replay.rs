//! Every target reads what once broke it, and some thousand inputs more that are the same each
//! time. One test: memory is counted for the whole process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuzz::{Mutator, TARGETS};

const INPUTS: usize = 3_000;

#[test]
fn nothing_that_is_read_breaks_a_target() {
    for target in &TARGETS {
        let (seeds, mut mutator) = (target.seeds(), Mutator::new(7));
        let mut inputs = seeds.clone();
        for _ in 0..INPUTS {
            let (one, other) = (mutator.pick(&seeds).to_vec(), mutator.pick(&seeds));
            inputs.push(mutator.mutate(&one, other, target.pieces()));
        }
        for input in inputs {
            let read = catch_unwind(AssertUnwindSafe(|| target.read(&input)));
            assert!(read.is_ok(), "{} is broken by {:?}", target.name, String::from_utf8_lossy(&input));
        }
    }
}
