//! Completions for shells.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Arguments;
use crate::ending::{Ending, Failure};
use crate::terminal::draw;

pub(crate) fn run(shell: Shell) -> Result<Ending, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "cachectl", &mut script);
    draw(&String::from_utf8_lossy(&script))?;
    Ok(Ending::Done)
}
