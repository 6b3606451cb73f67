-- Ids are UUIDs as text, times are milliseconds since 1970 UTC.

CREATE TABLE players (
    id TEXT PRIMARY KEY NOT NULL,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL UNIQUE,
    email TEXT,
    email_key TEXT UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Guests have none.
CREATE TABLE credentials (
    player_id TEXT PRIMARY KEY NOT NULL REFERENCES players (id) ON DELETE CASCADE,
    password_hash TEXT NOT NULL
) STRICT;

CREATE TABLE refresh_tokens (
    token_hash BLOB PRIMARY KEY NOT NULL,
    family TEXT NOT NULL,
    player_id TEXT NOT NULL REFERENCES players (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    replaced_at INTEGER
) STRICT;
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_player ON refresh_tokens (player_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE secrets (
    name TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE matches (
    id TEXT PRIMARY KEY NOT NULL,
    game_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    room_id TEXT NOT NULL UNIQUE,
    room_sid TEXT,
    module_sha256 TEXT NOT NULL,
    teams INTEGER NOT NULL,
    options TEXT NOT NULL,
    -- Player ids in the order of slots, a JSON array.
    players TEXT NOT NULL,
    status TEXT NOT NULL,
    outcome TEXT,
    reason TEXT,
    winner TEXT REFERENCES players (id),
    ticks INTEGER,
    created_at INTEGER NOT NULL,
    ready_at INTEGER,
    started_at INTEGER,
    ended_at INTEGER,
    lease_holder TEXT,
    lease_epoch INTEGER NOT NULL DEFAULT 0,
    lease_expires_at INTEGER
) STRICT;
CREATE INDEX matches_live ON matches (created_at) WHERE status IN ('forming', 'open', 'running');

CREATE TABLE match_slots (
    match_id TEXT NOT NULL REFERENCES matches (id),
    slot INTEGER NOT NULL,
    player_id TEXT NOT NULL REFERENCES players (id),
    team INTEGER,
    placement INTEGER,
    result_team INTEGER,
    score INTEGER,
    -- Pairs of name and value, a JSON array.
    statistics TEXT,
    PRIMARY KEY (match_id, slot)
) STRICT;
CREATE UNIQUE INDEX match_slots_player ON match_slots (player_id, match_id);

CREATE TABLE tickets (
    id TEXT PRIMARY KEY NOT NULL,
    player_id TEXT NOT NULL REFERENCES players (id),
    game_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    code TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    match_id TEXT REFERENCES matches (id),
    queued_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX tickets_one_live ON tickets (player_id) WHERE status IN ('queued', 'placing');
CREATE INDEX tickets_queue ON tickets (game_id, queued_at) WHERE status = 'queued';
CREATE INDEX tickets_player ON tickets (player_id, queued_at);
CREATE INDEX tickets_match ON tickets (match_id);

-- Every score that was submitted; boards are made from it.
CREATE TABLE scores (
    id TEXT PRIMARY KEY NOT NULL,
    game_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    player_id TEXT NOT NULL REFERENCES players (id),
    match_id TEXT NOT NULL REFERENCES matches (id),
    score INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (match_id, player_id)
) STRICT;
CREATE INDEX scores_game ON scores (game_id, score DESC);
