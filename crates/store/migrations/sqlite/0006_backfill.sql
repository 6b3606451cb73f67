-- What the result changed of the rating of whoever was matched into the slot.
ALTER TABLE match_slots ADD COLUMN rating_before REAL;
ALTER TABLE match_slots ADD COLUMN uncertainty_before REAL;
ALTER TABLE match_slots ADD COLUMN rating_after REAL;
ALTER TABLE match_slots ADD COLUMN uncertainty_after REAL;

-- Slots of running matches that a substitute may take.
CREATE TABLE match_open_slots (
    match_id TEXT NOT NULL REFERENCES matches (id),
    slot INTEGER NOT NULL,
    team INTEGER,
    opened_at INTEGER NOT NULL,
    PRIMARY KEY (match_id, slot)
) STRICT;

-- Who took slots of running matches.
CREATE TABLE match_substitutes (
    match_id TEXT NOT NULL REFERENCES matches (id),
    -- In the order in which they came, from 0.
    number INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    team INTEGER,
    player_id TEXT NOT NULL REFERENCES players (id),
    -- Tickets are forgotten before matches are.
    ticket_id TEXT NOT NULL,
    -- placing until the room knows of the player, then playing, left, or stayed to the match's end.
    status TEXT NOT NULL,
    PRIMARY KEY (match_id, number)
) STRICT;
CREATE UNIQUE INDEX match_substitutes_current ON match_substitutes (match_id, slot)
    WHERE status IN ('placing', 'playing');
CREATE INDEX match_substitutes_player ON match_substitutes (player_id, match_id);
