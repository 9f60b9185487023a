-- Records are kept whole as JSON in `body`; what is searched, summed or changed on its own is a column
-- beside it, and then the column counts. Times are milliseconds since 1970, UTC.

CREATE TABLE tagrail_generation (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    value BIGINT NOT NULL,
    -- Changes up to this one are not in the log any more.
    pruned BIGINT NOT NULL
);
INSERT INTO tagrail_generation (id, value, pruned) VALUES (1, 0, 0);

CREATE TABLE tagrail_changes (
    generation BIGINT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (generation, kind, id)
);

CREATE TABLE tagrail_teams (
    id TEXT NOT NULL PRIMARY KEY,
    organization_id TEXT,
    body TEXT NOT NULL,
    spend DOUBLE PRECISION NOT NULL,
    reset_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX tagrail_teams_created ON tagrail_teams (created_at, id);
CREATE INDEX tagrail_teams_reset ON tagrail_teams (reset_at);

CREATE TABLE tagrail_members (
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    PRIMARY KEY (user_id, team_id)
);
CREATE INDEX tagrail_members_team ON tagrail_members (team_id);

CREATE TABLE tagrail_keys (
    hash TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    team_id TEXT,
    user_id TEXT,
    body TEXT NOT NULL,
    spend DOUBLE PRECISION NOT NULL,
    reset_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_active BIGINT
);
CREATE UNIQUE INDEX tagrail_keys_alias ON tagrail_keys (alias);
CREATE INDEX tagrail_keys_team ON tagrail_keys (team_id);
CREATE INDEX tagrail_keys_user ON tagrail_keys (user_id);
CREATE INDEX tagrail_keys_created ON tagrail_keys (created_at, hash);
CREATE INDEX tagrail_keys_reset ON tagrail_keys (reset_at);

-- What was spent by a key's earlier hash, and reaches the store later, is the key's.
CREATE TABLE tagrail_replaced (
    old_hash TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL
);
CREATE INDEX tagrail_replaced_hash ON tagrail_replaced (hash);

CREATE TABLE tagrail_users (
    id TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL,
    spend DOUBLE PRECISION NOT NULL,
    reset_at BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX tagrail_users_created ON tagrail_users (created_at, id);
CREATE INDEX tagrail_users_reset ON tagrail_users (reset_at);

CREATE TABLE tagrail_tags (
    name TEXT NOT NULL PRIMARY KEY,
    -- 1 or 0 as somebody decided; NULL while nobody has.
    reserved BIGINT,
    body TEXT NOT NULL,
    spend DOUBLE PRECISION NOT NULL,
    reset_at BIGINT,
    version BIGINT NOT NULL
);
CREATE INDEX tagrail_tags_reserved ON tagrail_tags (reserved);
CREATE INDEX tagrail_tags_reset ON tagrail_tags (reset_at);

-- One for every call: what is a column is not in `body` again, unless it is longer than an index takes.
CREATE TABLE tagrail_spend (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL,
    key_hash TEXT NOT NULL,
    team_id TEXT,
    user_id TEXT,
    started BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX tagrail_spend_call ON tagrail_spend (call_id);
CREATE INDEX tagrail_spend_key ON tagrail_spend (key_hash, started);
CREATE INDEX tagrail_spend_team ON tagrail_spend (team_id, started) WHERE team_id IS NOT NULL;
CREATE INDEX tagrail_spend_user ON tagrail_spend (user_id, started) WHERE user_id IS NOT NULL;
CREATE INDEX tagrail_spend_started ON tagrail_spend (started, id);

CREATE TABLE tagrail_daily (
    -- key, team, user, tag, model
    spender TEXT NOT NULL,
    day TEXT NOT NULL,
    id TEXT NOT NULL,
    model TEXT NOT NULL,
    cost DOUBLE PRECISION NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    PRIMARY KEY (spender, day, id, model)
);
