-- What the result changed of the rating of whoever was matched into the slot.
ALTER TABLE match_slots ADD COLUMN rating_before DOUBLE PRECISION;
ALTER TABLE match_slots ADD COLUMN uncertainty_before DOUBLE PRECISION;
ALTER TABLE match_slots ADD COLUMN rating_after DOUBLE PRECISION;
ALTER TABLE match_slots ADD COLUMN uncertainty_after DOUBLE PRECISION;

-- Slots of running matches that a substitute may take.
CREATE TABLE match_open_slots (
    match_id UUID NOT NULL REFERENCES matches (id),
    slot SMALLINT NOT NULL,
    team SMALLINT,
    opened_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (match_id, slot)
);

-- Who took slots of running matches.
CREATE TABLE match_substitutes (
    match_id UUID NOT NULL REFERENCES matches (id),
    -- In the order in which they came, from 0.
    number INTEGER NOT NULL,
    slot SMALLINT NOT NULL,
    team SMALLINT,
    player_id UUID NOT NULL REFERENCES players (id),
    -- Tickets are forgotten before matches are.
    ticket_id UUID NOT NULL,
    -- placing until the room knows of the player, then playing, left, or stayed to the match's end.
    status TEXT NOT NULL,
    PRIMARY KEY (match_id, number)
);
CREATE UNIQUE INDEX match_substitutes_current ON match_substitutes (match_id, slot)
    WHERE status IN ('placing', 'playing');
CREATE INDEX match_substitutes_player ON match_substitutes (player_id, match_id);
-- A player's live match, however long the player's history is.
CREATE INDEX match_substitutes_live ON match_substitutes (player_id)
    WHERE status IN ('placing', 'playing');
