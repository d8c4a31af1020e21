//! What is loaded before anybody asks for it: the busiest boards at the
//! start, and what an operator names.

use std::error::Error;

use cache_core::{Cache, Warmed, Warmer};
use indicatif::{ProgressBar, ProgressStyle};

use crate::api::App;
use crate::db::Db;
use crate::flights;
use crate::input::{self, Refusal};

/// The boards that most flights leave from, each an airport on a day.
pub const BUSIEST_BOARDS: &str = "busiest boards";

/// How many boards are warmed: at most four queries each, and a moment.
const BOARDS: u32 = 100;

type BoxError = Box<dyn Error + Send + Sync>;

/// What can be warmed here: the busiest boards, and single boards, flights and airports by their
/// keys. What is there already is not loaded again.
pub fn warmer(db: &Db, cache: &Cache) -> Warmer {
    let warmer = Warmer::new(cache);
    let of = db.clone();
    warmer.register_keys(BUSIEST_BOARDS, move || {
        let db = of.clone();
        async move {
            let boards = db.busiest_boards(BOARDS).await?;
            let keys = boards.iter().map(|(iata, day)| flights::get_departures::key(iata, day).to_string());
            Ok::<Vec<_>, BoxError>(keys.collect())
        }
    });
    let of = db.clone();
    warmer.loader("board", move |id| {
        let db = of.clone();
        async move {
            let (iata, day) = id.split_once(':').ok_or("a board is `board:AIRPORT:DAY`")?;
            let (iata, day) = (input::iata(iata).map_err(message)?, input::day(day).map_err(message)?);
            flights::get_departures(&db, &iata, day).await?;
            Ok::<_, BoxError>(())
        }
    });
    let of = db.clone();
    warmer.batch_loader("flight", str::parse::<u64>, move |ids| {
        let db = of.clone();
        async move { flights::get_flights(&db, &ids).await }
    });
    let of = db.clone();
    warmer.batch_loader(
        "airport",
        |iata| input::iata(iata).map_err(message),
        move |iatas| {
            let db = of.clone();
            async move { flights::get_airports(&db, &iatas).await }
        },
    );
    warmer
}

/// Warms the busiest boards, with a progress bar where there is a terminal.
pub async fn at_start(app: &App) -> Warmed {
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").expect("a valid template"))
        .with_message("warming boards");
    let warmer = warmer(&app.db, &app.cache);
    let shown = bar.clone();
    warmer.on_progress(move |progress| {
        shown.set_length(progress.total);
        shown.set_position(progress.done + progress.failed);
    });
    let _turn = app.warming.lock().await;
    let warmed = warmer.run().await;
    bar.finish_and_clear();
    warmed
}

fn message(Refusal(_, message): Refusal) -> String {
    message
}
