//! How many queries a request is, and what it is served.

use std::collections::BTreeSet;

use async_graphql::Request;
use cache_core::Cause;
use cache_tests::{TestStore, each_store};
use graphql::App;
use serde_json::Value;

const FLIGHTS: u64 = 100;
const AIRLINES: u64 = 10;
const ALL: &str = "{ flights { id airline { name } } }";

async fn asked(app: &App, query: &str) -> Value {
    let answer = app.schema().execute(Request::new(query).data(app.loaders())).await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    answer.data.into_json().unwrap()
}

fn names(answer: &Value) -> BTreeSet<&str> {
    answer["flights"].as_array().unwrap().iter().map(|flight| flight["airline"]["name"].as_str().unwrap()).collect()
}

each_store! {
    async fn a_request_for_a_hundred_flights_is_two_queries_and_the_next_one_none(store: TestStore) {
        let app = App::new(store.cache().await, FLIGHTS, AIRLINES);
        let first = asked(&app, ALL).await;
        assert_eq!(first["flights"].as_array().unwrap().len(), FLIGHTS as usize);
        let queries = app.queries();
        assert_eq!(queries.len(), 2, "not one for each flight: {queries:?}");
        assert_eq!(asked(&app, ALL).await, first);
        assert_eq!(app.queries(), Vec::<String>::new());
        assert_eq!(app.cache_hits("airline"), AIRLINES);
    }

    async fn the_request_after_a_change_is_served_it_and_loads_that_alone(store: TestStore) {
        let app = App::new(store.cache().await, FLIGHTS, AIRLINES);
        assert!(names(&asked(&app, ALL).await).contains("Airline 7"));
        app.queries();
        asked(&app, r#"mutation { rename(id: 7, name: "Seven") { id } }"#).await;
        assert_eq!(app.queries(), ["UPDATE airlines SET name = 'Seven' WHERE id = 7"]);
        let next = asked(&app, ALL).await;
        assert!(names(&next).contains("Seven") && !names(&next).contains("Airline 7"), "{next}");
        assert_eq!(app.queries(), ["SELECT * FROM airlines WHERE id IN [7]"]);
    }

    /// The loader loads in a task of its own. What it reads is part of the response all the same.
    async fn a_response_is_made_from_what_the_loader_reads(store: TestStore) {
        let cache = store.cache().await;
        let app = App::new(cache.clone(), FLIGHTS, AIRLINES);
        for _ in 0..2 {
            let (_, trace) = cache.trace(asked(&app, ALL)).await;
            let airlines = trace.names().iter().filter(|name| matches!(name, Cause::Key(key) if key.starts_with("airline:")));
            assert_eq!(airlines.count(), AIRLINES as usize, "{trace:?}");
            assert!(trace.fresh_for().is_some());
        }
    }
}
