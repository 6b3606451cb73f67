-- Times are UTC, to the millisecond. The tables of the specification are players, scores, matches.

CREATE TABLE players (
    id UUID PRIMARY KEY,
    username VARCHAR(50) NOT NULL,
    -- In lower case: what players sign in with.
    username_key VARCHAR(50) NOT NULL UNIQUE,
    -- The form in which no two names look alike.
    username_skeleton VARCHAR(50) NOT NULL UNIQUE,
    email VARCHAR(255),
    email_key VARCHAR(255) UNIQUE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    erased_at TIMESTAMPTZ,
    metadata JSONB
);

-- Guests have none.
CREATE TABLE credentials (
    player_id UUID PRIMARY KEY REFERENCES players (id) ON DELETE CASCADE,
    password_hash TEXT NOT NULL
);

CREATE TABLE refresh_tokens (
    token_hash BYTEA PRIMARY KEY,
    family UUID NOT NULL,
    player_id UUID NOT NULL REFERENCES players (id) ON DELETE CASCADE,
    expires_at TIMESTAMPTZ NOT NULL,
    replaced_at TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_player ON refresh_tokens (player_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE bans (
    player_id UUID PRIMARY KEY REFERENCES players (id),
    reason TEXT NOT NULL,
    banned_at TIMESTAMPTZ NOT NULL,
    -- For good where absent.
    until TIMESTAMPTZ
);

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE signing_keys (
    id UUID PRIMARY KEY,
    secret BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE matches (
    id UUID PRIMARY KEY,
    game_id VARCHAR(100) NOT NULL,
    mode TEXT NOT NULL,
    room_id VARCHAR(100) NOT NULL UNIQUE,
    room_sid TEXT,
    module_sha256 TEXT NOT NULL,
    teams SMALLINT NOT NULL,
    options TEXT NOT NULL,
    authority_mode TEXT NOT NULL,
    rated BOOLEAN NOT NULL,
    -- In the order of slots.
    players UUID[] NOT NULL,
    status TEXT NOT NULL,
    outcome TEXT,
    reason TEXT,
    winner UUID REFERENCES players (id),
    ticks BIGINT,
    created_at TIMESTAMPTZ NOT NULL,
    ready_at TIMESTAMPTZ,
    started_at TIMESTAMPTZ,
    ended_at TIMESTAMPTZ,
    lease_holder TEXT,
    lease_epoch BIGINT NOT NULL DEFAULT 0,
    lease_expires_at TIMESTAMPTZ,
    -- What else is known of how it ended, as the authority wrote it.
    metadata JSONB
);
CREATE INDEX matches_live ON matches (created_at, id) WHERE status IN ('forming', 'open', 'running');
-- A player's live match, however long the player's history is.
CREATE INDEX matches_live_players ON matches USING gin (players) WITH (fastupdate = off)
    WHERE status IN ('open', 'running');

CREATE TABLE match_slots (
    match_id UUID NOT NULL REFERENCES matches (id),
    slot SMALLINT NOT NULL,
    player_id UUID NOT NULL REFERENCES players (id),
    team SMALLINT,
    placement SMALLINT,
    result_team SMALLINT,
    score INTEGER,
    -- Pairs of name and value.
    statistics JSONB,
    PRIMARY KEY (match_id, slot)
    -- Each row is written twice: the result finds room beside it.
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX match_slots_player ON match_slots (player_id, match_id);

CREATE TABLE tickets (
    id UUID PRIMARY KEY,
    player_id UUID NOT NULL REFERENCES players (id),
    game_id VARCHAR(100) NOT NULL,
    mode TEXT NOT NULL,
    code TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    match_id UUID REFERENCES matches (id),
    queued_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX tickets_one_live ON tickets (player_id, game_id) WHERE status IN ('queued', 'placing');
CREATE INDEX tickets_queue ON tickets (game_id, queued_at, id) WHERE status = 'queued';
CREATE INDEX tickets_player ON tickets (player_id, queued_at);
CREATE INDEX tickets_match ON tickets (match_id);
-- Tickets to which nothing more happens, the oldest first: these are forgotten.
CREATE INDEX tickets_final ON tickets (changed_at)
    WHERE status IN ('matched', 'cancelled', 'timed_out', 'failed');

-- Every score that counted; boards can be recounted from it.
CREATE TABLE scores (
    id UUID PRIMARY KEY,
    game_id VARCHAR(100) NOT NULL,
    mode TEXT NOT NULL,
    player_id UUID NOT NULL REFERENCES players (id),
    match_id UUID NOT NULL REFERENCES matches (id),
    score INTEGER NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    UNIQUE (match_id, player_id)
);
CREATE INDEX idx_game_score ON scores (game_id, score DESC);

CREATE TABLE player_statistics (
    player_id UUID NOT NULL REFERENCES players (id),
    game_id VARCHAR(100) NOT NULL,
    mode TEXT NOT NULL,
    matches BIGINT NOT NULL DEFAULT 0,
    wins BIGINT NOT NULL DEFAULT 0,
    losses BIGINT NOT NULL DEFAULT 0,
    draws BIGINT NOT NULL DEFAULT 0,
    best_score INTEGER,
    total_score BIGINT NOT NULL DEFAULT 0,
    -- Named sums, a JSON object.
    statistics JSONB NOT NULL DEFAULT '{}',
    -- Null until the first rated match.
    rating DOUBLE PRECISION,
    rating_uncertainty DOUBLE PRECISION,
    last_played_at TIMESTAMPTZ,
    PRIMARY KEY (player_id, game_id, mode)
    -- Each result writes its players' rows anew: room for that on the same page spares the index.
) WITH (fillfactor = 80);

CREATE TABLE boards (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    game_id VARCHAR(100) NOT NULL,
    board TEXT NOT NULL,
    season TEXT NOT NULL,
    UNIQUE (game_id, board, season)
);

CREATE TABLE board_entries (
    board_id INTEGER NOT NULL REFERENCES boards (id),
    player_id UUID NOT NULL REFERENCES players (id),
    score BIGINT NOT NULL,
    reached_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (board_id, player_id)
);
CREATE INDEX board_entries_order ON board_entries (board_id, score DESC, reached_at, player_id);

-- What the sorted sets in Redis have not taken over yet: an outbox.
CREATE TABLE board_changes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    board_id INTEGER NOT NULL,
    player_id UUID NOT NULL,
    score BIGINT NOT NULL
);

CREATE TABLE board_rebuilds (
    id UUID PRIMARY KEY,
    game_id VARCHAR(100) NOT NULL,
    board TEXT,
    requested_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    entries BIGINT NOT NULL DEFAULT 0,
    done_at TIMESTAMPTZ
);
CREATE INDEX board_rebuilds_open ON board_rebuilds (requested_at) WHERE done_at IS NULL;
