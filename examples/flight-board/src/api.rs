//! The board over HTTP, and the header that tells what a response cost.

use std::future::Future;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use cache_core::{Cache, Invalidation, Stats, WarmError, Warmed};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::db::{self, Db};
use crate::error::Error;
use crate::flights;
use crate::input::{self, Body, Path, Query, Refusal};
use crate::model::{Airport, DeparturesBoard, Flight, Itinerary, Origin, RouteStatistics};
use crate::warm;

/// `cache`, `database` or `none`.
pub const SERVED_FROM: &str = "x-served-from";
/// How many database queries the request ran.
pub const DATABASE_QUERIES: &str = "x-database-queries";

type Answer<T> = Result<Json<T>, Refusal>;

/// Most warmers and keys in one warm-up.
const WANTED_MAX: usize = 1_000;

/// What the handlers share. The cached functions use the installed cache; this is the
/// same one, for the admin routes.
#[derive(Clone)]
pub struct App {
    /// Where the truth is.
    pub db: Db,
    /// Where it is remembered.
    pub cache: Cache,
    /// Held by whoever warms, so that one warm-up at a time burdens the database.
    pub warming: Arc<Mutex<()>>,
}

impl App {
    /// Nobody warms yet.
    pub fn new(db: Db, cache: Cache) -> Self {
        Self { db, cache, warming: Arc::default() }
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/airports/{iata}", get(airport).put(replace_airport))
        .route("/airports/{iata}/departures", get(departures))
        .route("/flights/{id}", get(flight).delete(delete_flight))
        .route("/flights/{id}/delay", put(set_delay))
        .route("/flights/{id}/departure", put(reschedule))
        .route("/itineraries", get(itinerary))
        .route("/statistics/routes/{origin}/{destination}", get(route_statistics))
        .route("/statistics/busiest-origins", get(busiest_origins))
        .route_layer(middleware::from_fn(tell_where_it_came_from))
        .route("/admin/invalidate", post(invalidate))
        .route("/admin/warm", post(warm_now))
        .route("/admin/stats", get(stats))
        .route("/metrics", get(metrics))
        .fallback(async || Refusal(StatusCode::NOT_FOUND, "no such path".to_owned()))
        .method_not_allowed_fallback(async || {
            Refusal(StatusCode::METHOD_NOT_ALLOWED, "this path has no such method".to_owned())
        })
        .layer(middleware::map_response(default_to_none))
        .with_state(app)
}

/// Counts the queries that ran. A read that was answered without one, with a value or
/// with 404, came from the cache.
async fn tell_where_it_came_from(request: Request, next: Next) -> Response {
    let is_read = request.method() == Method::GET;
    let (mut response, queries) = db::count_queries(next.run(request)).await;
    let served_from = match (queries, response.status()) {
        (1.., _) => "database",
        (0, StatusCode::OK | StatusCode::NOT_FOUND) if is_read => "cache",
        _ => "none",
    };
    response.headers_mut().insert(SERVED_FROM, HeaderValue::from_static(served_from));
    response.headers_mut().insert(DATABASE_QUERIES, HeaderValue::from(queries));
    response
}

/// Responses of all other paths show no data.
async fn default_to_none(mut response: Response) -> Response {
    response.headers_mut().entry(SERVED_FROM).or_insert(HeaderValue::from_static("none"));
    response.headers_mut().entry(DATABASE_QUERIES).or_insert(HeaderValue::from(0));
    response
}

async fn airport(State(app): State<App>, Path(iata): Path<String>) -> Answer<Airport> {
    let iata = input::iata(&iata)?;
    Ok(Json(flights::get_airport(&app.db, &iata).await?.ok_or(Error::NoSuchAirport(iata))?))
}

async fn flight(State(app): State<App>, Path(id): Path<u64>) -> Answer<Flight> {
    Ok(Json(flights::get_flight(&app.db, id).await?.ok_or(Error::NoSuchFlight(id))?))
}

#[derive(Deserialize)]
struct DayQuery {
    day: String,
}

async fn departures(
    State(app): State<App>,
    Path(iata): Path<String>,
    Query(DayQuery { day }): Query<DayQuery>,
) -> Answer<DeparturesBoard> {
    Ok(Json(flights::get_departures(&app.db, &input::iata(&iata)?, input::day(&day)?).await?))
}

#[derive(Deserialize)]
struct FlightsQuery {
    flights: String,
}

async fn itinerary(
    State(app): State<App>,
    Query(FlightsQuery { flights: ids }): Query<FlightsQuery>,
) -> Answer<Itinerary> {
    Ok(Json(flights::get_itinerary(&app.db, &input::flight_ids(&ids)?).await?))
}

async fn route_statistics(State(app): State<App>, Path(route): Path<(String, String)>) -> Answer<RouteStatistics> {
    let (origin, destination) = (input::iata(&route.0)?, input::iata(&route.1)?);
    match flights::get_route_statistics(&app.db, &origin, &destination).await? {
        Some(statistics) => Ok(Json(statistics)),
        None => Err(Refusal(StatusCode::NOT_FOUND, format!("nothing flew from {origin} to {destination}"))),
    }
}

#[derive(Deserialize)]
struct Limit {
    limit: u8,
}

async fn busiest_origins(State(app): State<App>, Query(Limit { limit }): Query<Limit>) -> Answer<Vec<Origin>> {
    Ok(Json(flights::get_busiest_origins(&app.db, limit.into()).await?))
}

#[derive(Deserialize)]
struct Delay {
    delay_min: i32,
}

async fn set_delay(
    State(app): State<App>,
    Path(id): Path<u64>,
    Body(Delay { delay_min }): Body<Delay>,
) -> Answer<Flight> {
    let delay_min = input::delay_min(delay_min)?;
    Ok(Json(to_the_end(async move { flights::set_delay(&app.db, id, delay_min).await }).await?))
}

#[derive(Deserialize)]
struct NewDeparture {
    scheduled_departure: String,
}

async fn reschedule(
    State(app): State<App>,
    Path(id): Path<u64>,
    Body(NewDeparture { scheduled_departure }): Body<NewDeparture>,
) -> Answer<Flight> {
    let departure = input::departure(&scheduled_departure)?.to_owned();
    let rescheduled = to_the_end(async move { flights::reschedule(&app.db, id, departure).await }).await?;
    Ok(Json(rescheduled.ok_or(Error::NoSuchFlight(id))?))
}

async fn delete_flight(State(app): State<App>, Path(id): Path<u64>) -> Answer<Flight> {
    Ok(Json(to_the_end(async move { flights::delete_flight(&app.db, id).await }).await?))
}

async fn replace_airport(
    State(app): State<App>,
    Path(iata): Path<String>,
    Body(new): Body<Airport>,
) -> Answer<Airport> {
    if input::iata(&iata)? != new.iata {
        return Err(Refusal(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the code in the body is not that of the path".to_owned(),
        ));
    }
    Ok(Json(to_the_end(async move { flights::replace_airport(&app.db, new).await }).await?))
}

/// Runs a change in a task of its own. axum drops a handler when its client hangs up; SQLite would
/// still make the change, and a tag that only the result names would not be invalidated.
async fn to_the_end<T: Send + 'static>(change: impl Future<Output = T> + Send + 'static) -> T {
    let (output, queries) = tokio::spawn(db::count_queries(change)).await.expect("a change does not panic");
    db::add_queries(queries);
    output
}

/// `{"key": "flight:42"}`, `{"tag": "state:TX"}`, `{"pattern": "board:DFW:*"}`, or several of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Targets {
    key: Option<String>,
    tag: Option<String>,
    pattern: Option<String>,
}

async fn invalidate(State(app): State<App>, Body(targets): Body<Targets>) -> Answer<Value> {
    let mut invalidation = Invalidation::new().keys(targets.key).tags(targets.tag);
    if let Some(pattern) = targets.pattern {
        invalidation = invalidation.pattern(pattern);
    }
    if invalidation.is_empty() {
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, "name a key, a tag or a pattern".to_owned()));
    }
    let invalidated = app.cache.invalidate(invalidation).await?;
    Ok(Json(json!({ "removed": invalidated.entries })))
}

/// `{"names": ["busiest boards"]}`, `{"keys": ["flight:42", "board:DFW:2001-03-09"]}`, or both.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WarmRequest {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
}

/// Without a body: all that is warmed at the start. What cannot be warmed is part of the answer,
/// and keeps nothing else from being warmed. A client that hangs up stops its warm-up.
async fn warm_now(State(app): State<App>, wanted: Result<Option<Json<WarmRequest>>, JsonRejection>) -> Answer<Value> {
    let WarmRequest { names, keys } = wanted?.map(|Json(wanted)| wanted).unwrap_or_default();
    if names.len() + keys.len() > WANTED_MAX {
        let message = format!("at most {WANTED_MAX} names and keys are warmed at once");
        return Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    let Ok(_turn) = app.warming.try_lock() else {
        return Err(Refusal(StatusCode::CONFLICT, "a warm-up is under way".to_owned()));
    };
    let warmer = warm::warmer(&app.db, &app.cache);
    let (named, keys) = if names.is_empty() && keys.is_empty() {
        (warmer.run().await, Warmed::default())
    } else {
        tokio::join!(warmer.run_named(names), warmer.warm_keys(keys))
    };
    let errors = named.errors().iter().chain(keys.errors());
    let error = |of: &WarmError| json!({ "name": of.name, "failed": of.failed, "error": of.message });
    Ok(Json(json!({
        "total": named.total + keys.total, "done": named.done + keys.done, "failed": named.failed + keys.failed,
        "errors": errors.map(error).collect::<Vec<_>>(),
    })))
}

async fn stats(State(app): State<App>) -> Json<Stats> {
    Json(app.cache.stats())
}

/// What Prometheus scrapes.
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let format = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (format, app.cache.stats().to_prometheus())
}
