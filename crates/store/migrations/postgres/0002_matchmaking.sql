-- Those who queue together share a group; of whoever is alone it is the ticket's own. What processes
-- of the version before write is a group of its own.
ALTER TABLE tickets ADD COLUMN group_id UUID NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE tickets ADD COLUMN party_id UUID;
-- What the player is matched by.
ALTER TABLE tickets ADD COLUMN search JSONB NOT NULL
    DEFAULT '{"skill": 1500, "rating": [1500, 350], "matches": 0}';
-- Whether a match of it fell apart before it began, through others.
ALTER TABLE tickets ADD COLUMN returned BOOLEAN NOT NULL DEFAULT FALSE;
-- What the player answered who was asked to accept the match.
ALTER TABLE tickets ADD COLUMN accepted BOOLEAN;
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
ALTER TABLE matches ADD COLUMN capacity SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE matches ADD COLUMN backfill BOOLEAN NOT NULL DEFAULT FALSE;
-- Until when the players are asked to accept it.
ALTER TABLE matches ADD COLUMN accept_until TIMESTAMPTZ;
CREATE INDEX matches_accepting ON matches (accept_until) WHERE status = 'accepting';

-- Who makes matches of a game's queue.
CREATE TABLE queue_leaders (
    game_id VARCHAR(100) PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE parties (
    id UUID PRIMARY KEY,
    -- What others join by.
    code TEXT NOT NULL UNIQUE,
    leader_id UUID NOT NULL REFERENCES players (id),
    created_at TIMESTAMPTZ NOT NULL,
    -- When somebody joined, left or queued last.
    used_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX parties_used ON parties (used_at);

-- A player is in one party at a time.
CREATE TABLE party_members (
    player_id UUID PRIMARY KEY REFERENCES players (id),
    party_id UUID NOT NULL REFERENCES parties (id) ON DELETE CASCADE,
    joined_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX party_members_party ON party_members (party_id, joined_at);
