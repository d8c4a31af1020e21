-- What is still to be invalidated. The number of a row is never used again.
CREATE TABLE IF NOT EXISTS cache_outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    intent TEXT NOT NULL
)
