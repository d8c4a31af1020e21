//! The litmus: a load that read "old" before a change must not store it after the change.

use std::collections::BTreeSet;

use axum::http::Method;
use tokio::task::JoinHandle;

use super::client::Reply;
use super::{Outcome, PATIENCE, Tour, board, report, shown_delay};
use crate::db::HeldQuery;

pub(super) async fn run(tour: &mut Tour) -> Outcome {
    single_flight(tour).await?;
    tour.chapter("A load is overtaken by a change: what it read is never served");
    a_key(tour).await?;
    a_dependency(tour).await?;
    a_tag_of_the_result(tour).await?;
    a_pattern(tour).await
}

async fn single_flight(tour: &mut Tour) -> Outcome {
    tour.chapter("64 clients want one board at once");
    tour.invalidate("pattern", "*").await?;
    let requests: Vec<_> = (0..64).map(|_| in_background(tour, &board("ATL"))).collect();
    let mut queries = 0;
    let mut answers = BTreeSet::new();
    for request in requests {
        let answer = request.await??;
        queries += answer.database_queries;
        answers.insert(answer.body.to_string());
    }
    tour.claim_count("they got one answer", answers.len() as u64, 1);
    tour.claim_count("for the queries of one load: the airport, the list, its flights, their destinations", queries, 4);
    Ok(())
}

async fn a_key(tour: &mut Tour) -> Outcome {
    println!("   by key: a read of flight 14725 stands after its query, its delay of 8 minutes in hand");
    let (held, reader) = hold(tour, 1, "/flights/14725").await?;
    let refused = tour.refused_fills();
    tour.delay(14_725, 77).await?;
    let meanwhile = tour.get("/flights/14725").await?;
    tour.claim("a read that starts now does not wait for the old one, and shows 77", meanwhile.body["delay_min"] == 77);
    let late = release(held, reader, "/flights/14725").await?;
    tour.claim("the first read, begun before the change, answers 8", late.body["delay_min"] == 8);
    tour.claim_count("and its fill was refused", tour.refused_fills() - refused, 1);
    let next = tour.get("/flights/14725").await?;
    tour.claim("the cache holds 77", next.is_cached() && next.body["delay_min"] == 77);
    Ok(())
}

async fn a_dependency(tour: &mut Tour) -> Outcome {
    println!("   through a dependency: a board stands after the query for one of its flights");
    tour.get(&board("DFW")).await?;
    tour.invalidate("key", "flight:14749").await?;
    // The first query of the board is its list; all other flights are cached.
    let (held, reader) = hold(tour, 2, &board("DFW")).await?;
    let refused = tour.refused_fills();
    tour.delay(14_749, 50).await?;
    let late = release(held, reader, &board("DFW")).await?;
    tour.claim("it shows the old delay", shown_delay(&late.body["departures"], 14_749) == Some(-5));
    tour.claim_count("both fills were refused, the flight's and the board's", tour.refused_fills() - refused, 2);
    let next = tour.get(&board("DFW")).await?;
    tour.claim("the next board shows the new one", shown_delay(&next.body["departures"], 14_749) == Some(50));
    Ok(())
}

async fn a_tag_of_the_result(tour: &mut Tour) -> Outcome {
    const ROUTE: &str = "/statistics/routes/DFW/LAS";
    println!("   by a tag that only the change's result names: the statistics of a route");
    let (held, reader) = hold(tour, 1, ROUTE).await?;
    let refused = tour.refused_fills();
    tour.delay(14_749, 1_000).await?;
    let late = release(held, reader, ROUTE).await?;
    tour.claim("they do not know of the delay yet", late.body["worst_delay_min"].as_i64() < Some(1_000));
    tour.claim_count("their fill was refused", tour.refused_fills() - refused, 1);
    let next = tour.get(ROUTE).await?;
    tour.claim("the next ones do", next.body["worst_delay_min"] == 1_000);
    Ok(())
}

async fn a_pattern(tour: &mut Tour) -> Outcome {
    println!("   by pattern: somebody else wrote to the database, and an operator says so");
    let (held, reader) = hold(tour, 1, "/flights/1").await?;
    let refused = tour.refused_fills();
    tour.db.set_delay(1, 300).await?;
    tour.invalidate("pattern", "flight:*").await?;
    let late = release(held, reader, "/flights/1").await?;
    tour.claim("the read that stood answers 66", late.body["delay_min"] == 66);
    tour.claim_count("its fill was refused", tour.refused_fills() - refused, 1);
    let next = tour.get("/flights/1").await?;
    tour.claim("the next read answers 300", next.body["delay_min"] == 300);
    Ok(())
}

type Reader = JoinHandle<Result<Reply, hyper_util::client::legacy::Error>>;

fn in_background(tour: &Tour, path: &str) -> Reader {
    let (client, path) = (tour.client.clone(), path.to_owned());
    tokio::spawn(async move { client.ask(Method::GET, &path, None).await })
}

/// Starts a read, and returns when its `nth` query has read its rows.
async fn hold(tour: &Tour, nth: u32, path: &str) -> Outcome<(HeldQuery, Reader)> {
    let mut held = tour.db.hold_query(nth);
    let reader = in_background(tour, path);
    tokio::time::timeout(PATIENCE, held.has_read()).await?;
    Ok((held, reader))
}

async fn release(held: HeldQuery, reader: Reader, path: &str) -> Outcome<Reply> {
    held.release();
    let answer = tokio::time::timeout(PATIENCE, reader).await???;
    report("(released) GET", path, &answer);
    Ok(answer)
}
