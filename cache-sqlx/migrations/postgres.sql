-- What is still to be invalidated. The number of a row is never used again. A living transaction
-- takes what its own changes have written, by `xact`, and relays leave that alone until it is due.
CREATE TABLE IF NOT EXISTS cache_outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    intent TEXT NOT NULL,
    xact XID8 NOT NULL DEFAULT pg_current_xact_id(),
    due TIMESTAMPTZ NOT NULL DEFAULT now()
)
