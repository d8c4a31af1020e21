//! What the freshness policies do to changing data, measured and drawn.
//!
//! The decisions are the library's own; time is simulated and every seed is fixed, so a run prints
//! the same numbers again. `cargo run --package simulations` prints them and draws the plots of the
//! documentation; what the documentation claims is asserted by `cargo test --package simulations`.

mod data;
mod early_refresh;
mod plot;
mod refill;
mod report;
mod scenario;
mod verdict;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let plots = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cache-core/docs/plots");
    std::fs::create_dir_all(&plots)?;
    for (file, svg) in report::all() {
        std::fs::write(plots.join(file), svg)?;
    }
    Ok(())
}
