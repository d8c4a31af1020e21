//! A GraphQL service over a cache: each field loads what it needs, a loader joins the loads of one
//! request, and a cached function spares the database what another request has loaded.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::{ComplexObject, Context, EmptySubscription, Object, Schema, SimpleObject};
use cache_core::{Cache, CacheContext, cached, in_current_load, invalidates};
use serde::{Deserialize, Serialize};

/// An airline. Who reads one reads a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SimpleObject)]
pub struct Airline {
    id: u64,
    name: String,
}

/// A flight. It has the number of its airline, and a field that loads the airline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, SimpleObject)]
#[graphql(complex)]
pub struct Flight {
    id: u64,
    #[graphql(skip)]
    airline_id: u64,
}

/// Tables, and a count of the queries: imagine a pool of connections.
#[derive(Debug, Default)]
pub struct Database {
    airlines: Mutex<BTreeMap<u64, String>>,
    flights: Vec<Flight>,
    queries: Mutex<Vec<String>>,
}

/// What every resolver has.
#[derive(Clone, Debug, CacheContext)]
pub struct App {
    cache: Cache,
    database: Arc<Database>,
}

impl Database {
    /// So many flights, of so many airlines by turns.
    fn with(flights: u64, airlines: u64) -> Self {
        Self {
            airlines: Mutex::new((0..airlines).map(|id| (id, format!("Airline {id}"))).collect()),
            flights: (0..flights).map(|id| Flight { id, airline_id: id % airlines }).collect(),
            ..Self::default()
        }
    }

    fn query(&self, sql: String) {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner).push(sql);
    }
}

impl App {
    /// A service with so many flights, of so many airlines.
    pub fn new(cache: Cache, flights: u64, airlines: u64) -> Self {
        Self { cache, database: Arc::new(Database::with(flights, airlines)) }
    }

    /// The queries that the database has seen since the last time that this was asked.
    pub fn queries(&self) -> Vec<String> {
        std::mem::take(&mut self.database.queries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many values with keys of this prefix were served from the cache.
    pub fn cache_hits(&self, prefix: &str) -> u64 {
        self.cache.stats().prefix(prefix).hits
    }

    /// The schema. A request needs [loaders](Self::loaders) of its own.
    pub fn schema(&self) -> Schema<Query, Mutation, EmptySubscription> {
        Schema::build(Query, Mutation, EmptySubscription).data(self.clone()).finish()
    }

    /// What joins the loads of one request. The values are kept by the cache, where an invalidation
    /// reaches them, and not by the loader.
    pub fn loaders(&self) -> DataLoader<Airlines> {
        // A task of its own would not be part of the load or the response that is made here.
        DataLoader::new(Airlines(self.clone()), |load| tokio::spawn(in_current_load(load)))
    }
}

/// All flights.
#[cached(prefix = "flights", ttl = "60s", context = app)]
async fn flights(app: &App) -> Vec<Flight> {
    app.database.query("SELECT * FROM flights".to_owned());
    app.database.flights.clone()
}

/// Many airlines in one query: those that are not stored. Each is an entry of its own.
#[cached(prefix = "airline", ttl = "60s", each = ids, context = app)]
async fn airlines(app: &App, ids: &[u64]) -> Result<HashMap<u64, Airline>, async_graphql::Error> {
    app.database.query(format!("SELECT * FROM airlines WHERE id IN {ids:?}"));
    let table = app.database.airlines.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(ids.iter().filter_map(|id| Some((*id, Airline { id: *id, name: table.get(id)?.clone() }))).collect())
}

#[invalidates(keys = [airlines(id)], context = app)]
async fn rename(app: &App, id: u64, name: String) -> Result<Airline, async_graphql::Error> {
    app.database.query(format!("UPDATE airlines SET name = '{name}' WHERE id = {id}"));
    app.database.airlines.lock().unwrap_or_else(PoisonError::into_inner).insert(id, name.clone());
    Ok(Airline { id, name })
}

/// Loads the airlines that the fields of one request ask for.
#[derive(Debug)]
pub struct Airlines(App);

impl Loader<u64> for Airlines {
    type Value = Airline;
    type Error = async_graphql::Error;

    async fn load(&self, ids: &[u64]) -> Result<HashMap<u64, Airline>, async_graphql::Error> {
        airlines(&self.0, ids).await
    }
}

/// The reads.
#[derive(Debug)]
pub struct Query;

#[Object]
impl Query {
    /// All flights.
    async fn flights(&self, context: &Context<'_>) -> Result<Vec<Flight>, async_graphql::Error> {
        Ok(flights(context.data::<App>()?).await)
    }
}

#[ComplexObject]
impl Flight {
    /// Who flies it. Each flight asks for its own airline, and all of them are loaded at once.
    async fn airline(&self, context: &Context<'_>) -> Result<Option<Airline>, async_graphql::Error> {
        context.data::<DataLoader<Airlines>>()?.load_one(self.airline_id).await
    }
}

/// The changes.
#[derive(Debug)]
pub struct Mutation;

#[Object]
impl Mutation {
    /// Gives an airline another name.
    async fn rename(&self, context: &Context<'_>, id: u64, name: String) -> Result<Airline, async_graphql::Error> {
        rename(context.data::<App>()?, id, name).await
    }
}
