-- Those who queue together share a group; of whoever is alone it is the ticket's own.
ALTER TABLE tickets ADD COLUMN group_id TEXT NOT NULL DEFAULT '';
UPDATE tickets SET group_id = id;
ALTER TABLE tickets ADD COLUMN party_id TEXT;
-- What the player is matched by.
ALTER TABLE tickets ADD COLUMN search TEXT NOT NULL
    DEFAULT '{"skill": 1500, "rating": [1500, 350], "matches": 0}';
-- Whether a match of it fell apart before it began, through others.
ALTER TABLE tickets ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
-- What the player answered who was asked to accept the match.
ALTER TABLE tickets ADD COLUMN accepted INTEGER;
CREATE INDEX tickets_group ON tickets (group_id) WHERE status IN ('queued', 'accepting', 'placing');
CREATE INDEX tickets_party ON tickets (party_id)
    WHERE party_id IS NOT NULL AND status IN ('queued', 'accepting', 'placing');
-- The order in which a queue is read: groups are together.
DROP INDEX tickets_queue;
CREATE INDEX tickets_queue ON tickets (game_id, queued_at, group_id, id) WHERE status = 'queued';
-- The order in which tickets were drawn, in which they are recorded.
CREATE INDEX tickets_game ON tickets (game_id, queued_at, id);
DROP INDEX tickets_one_live;
CREATE UNIQUE INDEX tickets_one_live ON tickets (player_id, game_id)
    WHERE status IN ('queued', 'accepting', 'placing');

ALTER TABLE matches ADD COLUMN region TEXT;
-- Slots of the game; 0: as many as players.
ALTER TABLE matches ADD COLUMN capacity INTEGER NOT NULL DEFAULT 0;
ALTER TABLE matches ADD COLUMN backfill INTEGER NOT NULL DEFAULT 0;
-- Until when the players are asked to accept it.
ALTER TABLE matches ADD COLUMN accept_until INTEGER;
CREATE INDEX matches_accepting ON matches (accept_until) WHERE status = 'accepting';

-- Who makes matches of a game's queue.
CREATE TABLE queue_leaders (
    game_id TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE parties (
    id TEXT PRIMARY KEY NOT NULL,
    -- What others join by.
    code TEXT NOT NULL UNIQUE,
    leader_id TEXT NOT NULL REFERENCES players (id),
    created_at INTEGER NOT NULL,
    -- When somebody joined, left or queued last.
    used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX parties_used ON parties (used_at);

-- A player is in one party at a time.
CREATE TABLE party_members (
    player_id TEXT PRIMARY KEY NOT NULL REFERENCES players (id),
    party_id TEXT NOT NULL REFERENCES parties (id) ON DELETE CASCADE,
    joined_at INTEGER NOT NULL
) STRICT;
CREATE INDEX party_members_party ON party_members (party_id, joined_at);
