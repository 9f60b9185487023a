-- Which store this is: another one has another id. `heartbeat` is written every second, to know that
-- changes are taken.
CREATE TABLE tagrail_store (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    store_id TEXT NOT NULL,
    heartbeat BIGINT NOT NULL
);
INSERT INTO tagrail_store (id, store_id, heartbeat) VALUES (1, lower(hex(randomblob(16))), 0);
