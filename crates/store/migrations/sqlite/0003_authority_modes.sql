-- How the authority shares the work with the players; what ran before this column was `full`.
ALTER TABLE matches ADD COLUMN authority_mode TEXT NOT NULL DEFAULT 'full';
-- Whether scores of the match count.
ALTER TABLE matches ADD COLUMN rated INTEGER NOT NULL DEFAULT 1;
-- What else is known of how it ended, a JSON object.
ALTER TABLE matches ADD COLUMN details TEXT;
