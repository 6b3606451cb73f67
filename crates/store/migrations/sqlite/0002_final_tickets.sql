-- Tickets to which nothing more happens, the oldest first: these are forgotten.
CREATE INDEX tickets_final ON tickets (changed_at)
    WHERE status IN ('matched', 'cancelled', 'timed_out', 'failed');
