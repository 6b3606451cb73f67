-- The form in which no two names look alike. Filled when the store is opened; absent where two
-- players had such names before there was this column.
ALTER TABLE players ADD COLUMN username_skeleton TEXT;
CREATE UNIQUE INDEX players_skeleton ON players (username_skeleton);
-- When the player asked to be forgotten; the row stays for the results.
ALTER TABLE players ADD COLUMN erased_at INTEGER;

CREATE TABLE bans (
    player_id TEXT PRIMARY KEY NOT NULL REFERENCES players (id),
    reason TEXT NOT NULL,
    banned_at INTEGER NOT NULL,
    -- For good where absent.
    until INTEGER
) STRICT;

CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY NOT NULL,
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE player_statistics (
    player_id TEXT NOT NULL REFERENCES players (id),
    game_id TEXT NOT NULL,
    mode TEXT NOT NULL,
    matches INTEGER NOT NULL,
    wins INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    draws INTEGER NOT NULL,
    best_score INTEGER,
    total_score INTEGER NOT NULL,
    -- Named sums, a JSON object.
    statistics TEXT NOT NULL,
    rating REAL NOT NULL,
    rating_uncertainty REAL NOT NULL,
    last_played_at INTEGER,
    PRIMARY KEY (player_id, game_id, mode)
) STRICT;

CREATE TABLE boards (
    id INTEGER PRIMARY KEY NOT NULL,
    game_id TEXT NOT NULL,
    board TEXT NOT NULL,
    season TEXT NOT NULL,
    UNIQUE (game_id, board, season)
) STRICT;

CREATE TABLE board_entries (
    board_id INTEGER NOT NULL REFERENCES boards (id),
    player_id TEXT NOT NULL REFERENCES players (id),
    score INTEGER NOT NULL,
    reached_at INTEGER NOT NULL,
    PRIMARY KEY (board_id, player_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX board_entries_order ON board_entries (board_id, score DESC, reached_at, player_id);
CREATE INDEX board_entries_player ON board_entries (player_id);

-- A player may wait for several games at once, but once for each.
DROP INDEX tickets_one_live;
CREATE UNIQUE INDEX tickets_one_live ON tickets (player_id, game_id)
    WHERE status IN ('queued', 'placing');
