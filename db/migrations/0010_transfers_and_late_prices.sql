-- Callers who are being put through to a human: what any process must know to go on where the
-- one that rang the human is gone. One row a call: its newest attempt.
CREATE TABLE call_transfers (
    call_id TEXT PRIMARY KEY REFERENCES call_sessions(id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL CHECK (attempt > 0),
    carrier_call_id TEXT NOT NULL,  -- the caller's leg
    direction TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    held_since_ms BIGINT,  -- Unix; when the caller was put on hold, NULL = the transfer is blind
    whisper TEXT NOT NULL,  -- what the human hears first; gone once nobody may ask for it
    human_id TEXT NOT NULL DEFAULT '',  -- the human's leg, "" while unknown
    state TEXT NOT NULL DEFAULT 'ringing' CHECK (state IN ('ringing', 'taken', 'missed', 'gone')),
    -- How much of the caller's line is booked, NULL while whoever has the call may do that; and
    -- how long it lasted, once the carrier has said so.
    booked_ms BIGINT,
    ended_s INTEGER,
    due_at TIMESTAMPTZ  -- when somebody must see to it whatever has become of who began it
);
ALTER TABLE call_transfers ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON call_transfers FROM anon, authenticated;
GRANT ALL ON call_transfers TO service_role;
GRANT SELECT ON call_transfers TO authenticated;
CREATE POLICY "Users can view own transfers" ON call_transfers FOR SELECT TO authenticated
    USING (EXISTS (
        SELECT FROM call_sessions
        WHERE call_sessions.id = call_id AND call_sessions.user_id = (SELECT auth.uid())
    ));
CREATE POLICY "Admins view all transfers" ON call_transfers FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));
CREATE INDEX idx_call_transfers_due ON call_transfers(due_at) WHERE due_at IS NOT NULL;
CREATE INDEX idx_call_transfers_carrier ON call_transfers(carrier_call_id);

-- The language model of a hosted agent is booked as the service passes it on, in micro-dollars.
INSERT INTO prices (item, micro_usd, per, effective_from, source) VALUES
('elevenlabs.agents_llm.micro_usd', 1, 1, '2000-01-01T00:00:00Z', 'as told for each call');
