-- Which store this is: another one has another id. `heartbeat` is written every second, to know that
-- changes are taken; there is no index on it, so that its row is updated in place.
CREATE TABLE tagrail_store (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    store_id TEXT COLLATE "C" NOT NULL,
    heartbeat BIGINT NOT NULL
) WITH (fillfactor = 10);
INSERT INTO tagrail_store (id, store_id, heartbeat)
    VALUES (1, md5(random()::text || clock_timestamp()::text || random()::text), 0);
