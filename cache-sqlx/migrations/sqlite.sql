-- What is still to be invalidated. AUTOINCREMENT: the number of a row is never used again.
CREATE TABLE IF NOT EXISTS cache_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    intent TEXT NOT NULL
) STRICT
