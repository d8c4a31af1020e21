//! The shop. What it reads is cached; what it changes is invalidated by the transaction that
//! changes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cache_core::{Cache, CacheContext, cached, invalidates};
use cache_sqlx::{Outbox, Transaction};
use serde::{Deserialize, Serialize};
use sqlx::Pool;

use super::Db;

/// The product of which one goes along with each order while there are any.
pub(crate) const SAMPLE: i64 = 3;
/// How often this process has asked the database, in each answer.
pub(crate) const READS: &str = "x-database-reads";

/// What all handlers share.
#[derive(Clone, CacheContext)]
pub(crate) struct Shop {
    pub(crate) pool: Pool<Db>,
    pub(crate) cache: Cache,
    pub(crate) outbox: Outbox<Db>,
    reads: Arc<AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct Product {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) units: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct Order {
    id: i64,
    product: i64,
    units: i64,
}

#[derive(Deserialize)]
pub(crate) struct NewOrder {
    customer: String,
    product: i64,
    units: i64,
}

#[derive(Serialize)]
struct Placed {
    id: i64,
    sample: bool,
}

/// A product, with what is left of it.
#[cached(prefix = "product", ttl = "10m", context = shop)]
pub(crate) async fn product(shop: &Shop, id: i64) -> Result<Option<Product>, sqlx::Error> {
    shop.reads.fetch_add(1, Ordering::Relaxed);
    let product = "SELECT p.id, p.name, s.units FROM products p JOIN stock s ON s.product = p.id WHERE p.id = $1";
    sqlx::query_as(product).bind(id).fetch_optional(&shop.pool).await
}

/// What a customer has ordered.
#[cached(prefix = "orders_of", ttl = "10m", context = shop, tags = ["customer:{customer}"])]
pub(crate) async fn orders_of(shop: &Shop, customer: &str) -> Result<Vec<Order>, sqlx::Error> {
    shop.reads.fetch_add(1, Ordering::Relaxed);
    let orders = "SELECT id, product, units FROM orders WHERE customer = $1 ORDER BY id";
    sqlx::query_as(orders).bind(customer).fetch_all(&shop.pool).await
}

/// Takes units out of the stock; refused if there are not as many.
#[invalidates(keys = [product(id)], after = tx)]
pub(crate) async fn take(tx: &mut Transaction<'_, Db>, id: i64, units: i64) -> Result<(), Failure> {
    let taken = sqlx::query("UPDATE stock SET units = units - $2 WHERE product = $1").bind(id).bind(units);
    match taken.execute(&mut **tx).await {
        Ok(taken) if taken.rows_affected() == 1 => Ok(()),
        Ok(_) => Err(Failure::Refused(StatusCode::NOT_FOUND, "there is no such product")),
        Err(sqlx::Error::Database(error)) if error.is_check_violation() => {
            Err(Failure::Refused(StatusCode::CONFLICT, "there are not as many"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes an order down; its number.
#[invalidates(tags = ["customer:{order.customer}"], after = tx)]
async fn enter(tx: &mut Transaction<'_, Db>, order: &NewOrder) -> Result<i64, Failure> {
    let insert = "INSERT INTO orders (customer, product, units) VALUES ($1, $2, $3) RETURNING id";
    let insert = sqlx::query_scalar(insert).bind(&order.customer).bind(order.product).bind(order.units);
    Ok(insert.fetch_one(&mut **tx).await?)
}

/// Places an order: all of it, or nothing.
async fn place(State(shop): State<Shop>, Json(order): Json<NewOrder>) -> Result<impl IntoResponse, Failure> {
    let mut tx = shop.outbox.begin(&shop.cache).await?;
    take(&mut tx, order.product, order.units).await?;
    let id = enter(&mut tx, &order).await?;
    // The order stands without a sample: what the savepoint has collected is forgotten with it.
    let mut savepoint = tx.begin().await?;
    let sample = match take(&mut savepoint, SAMPLE, 1).await {
        Ok(()) => savepoint.commit().await.map(|_| true)?,
        Err(Failure::Refused(..)) => savepoint.rollback().await.map(|()| false)?,
        Err(failure) => return Err(failure),
    };
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(Placed { id, sample })))
}

async fn show_product(State(shop): State<Shop>, Path(id): Path<i64>) -> Result<impl IntoResponse, Failure> {
    let missing = Failure::Refused(StatusCode::NOT_FOUND, "there is no such product");
    product(&shop, id).await?.map(Json).ok_or(missing)
}

async fn show_orders(State(shop): State<Shop>, Path(customer): Path<String>) -> Result<impl IntoResponse, Failure> {
    Ok(Json(orders_of(&shop, &customer).await?))
}

impl Shop {
    pub(crate) fn new(pool: Pool<Db>, cache: Cache) -> Self {
        Self { outbox: Outbox::new(pool.clone()), pool, cache, reads: Arc::default() }
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/products/{id}", get(show_product))
            .route("/customers/{customer}/orders", get(show_orders))
            .route("/orders", post(place))
            .layer(from_fn_with_state(self.clone(), count_reads))
            .with_state(self.clone())
    }
}

async fn count_reads(State(shop): State<Shop>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(READS, HeaderValue::from(shop.reads.load(Ordering::Relaxed)));
    response
}

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(StatusCode, &'static str),
    Database(sqlx::Error),
    Transaction(cache_sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<cache_sqlx::Error> for Failure {
    fn from(error: cache_sqlx::Error) -> Self {
        Self::Transaction(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error: &dyn std::fmt::Display = match &self {
            Self::Refused(status, reason) => return (*status, *reason).into_response(),
            Self::Database(error) => error,
            Self::Transaction(error) => error,
        };
        tracing::error!(%error, "a request failed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
