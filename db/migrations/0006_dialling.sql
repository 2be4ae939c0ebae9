-- Calls that we place, and what was recorded of calls.

-- One row per call to be placed, committed before anything leaves for the carrier: what a dead
-- process had in mind is found here and asked of the carrier, never dialled again.
CREATE TABLE dial_intents (
    id TEXT PRIMARY KEY REFERENCES call_sessions(id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES user_profiles(id) ON DELETE CASCADE,
    agent_id TEXT,
    to_number TEXT NOT NULL CHECK (to_number ~ '^\+[1-9][0-9]{6,14}$'),
    from_number TEXT NOT NULL CHECK (from_number ~ '^\+[1-9][0-9]{6,14}$'),
    state TEXT NOT NULL DEFAULT 'intended'
        CHECK (state IN ('intended', 'requested', 'placed', 'indeterminate', 'finished')),
    -- How it ended, in the words of call_sessions.status, and in the carrier's or our own words.
    status TEXT NOT NULL DEFAULT 'initiated'
        CHECK (status IN ('initiated', 'ringing', 'answered', 'completed', 'failed', 'cancelled')),
    raw_status TEXT NOT NULL DEFAULT '',
    carrier_call_id TEXT UNIQUE,
    answered_by TEXT NOT NULL DEFAULT '',  -- the carrier's verdict on machines, "" = none
    answered_by_ms INTEGER CHECK (answered_by_ms >= 0),
    price_micro_usd BIGINT,  -- the carrier's own price of the call, which arrives later
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    requested_at TIMESTAMPTZ,
    placed_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ,
    settled_at TIMESTAMPTZ,  -- the session has its last row
    checked_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),  -- when somebody last asked the carrier
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    FOREIGN KEY (agent_id, user_id) REFERENCES ai_agents(id, user_id) ON DELETE SET NULL (agent_id),
    CHECK ((state = 'finished') = (finished_at IS NOT NULL)),
    CHECK (state <> 'finished' OR status IN ('completed', 'failed', 'cancelled'))
);
-- The carrier's list of calls names two numbers and no id of ours: with one open call between
-- two numbers a lookup has one answer, and nobody's phone rings twice at a time.
CREATE UNIQUE INDEX dial_intents_one_open ON dial_intents(to_number, from_number)
    WHERE state <> 'finished';
CREATE INDEX idx_dial_intents_unsettled ON dial_intents(checked_at) WHERE settled_at IS NULL;
CREATE INDEX idx_dial_intents_unpriced ON dial_intents(checked_at)
    WHERE settled_at IS NOT NULL AND price_micro_usd IS NULL AND carrier_call_id IS NOT NULL;
CREATE INDEX idx_dial_intents_user ON dial_intents(user_id, created_at);
CREATE INDEX idx_dial_intents_agent ON dial_intents(agent_id, user_id);

-- What the carrier recorded and we fetched. `path` is relative to the data directory.
CREATE TABLE call_recordings (
    id TEXT PRIMARY KEY,  -- the carrier's id of the recording
    call_id TEXT NOT NULL REFERENCES call_sessions(id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES user_profiles(id) ON DELETE CASCADE,
    status TEXT NOT NULL CHECK (status IN ('completed', 'absent', 'failed')),
    channels INTEGER NOT NULL DEFAULT 0,
    duration_ms BIGINT NOT NULL DEFAULT 0,
    path TEXT NOT NULL DEFAULT '',
    bytes BIGINT NOT NULL DEFAULT 0,
    sha256 TEXT NOT NULL DEFAULT '',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE INDEX idx_call_recordings_call ON call_recordings(call_id);
CREATE INDEX idx_call_recordings_user ON call_recordings(user_id, created_at);

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['dial_intents', 'call_recordings'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('REVOKE ALL ON %I FROM anon, authenticated', name);
        EXECUTE format('GRANT ALL ON %I TO service_role', name);
        EXECUTE format('GRANT SELECT ON %I TO authenticated', name);
    END LOOP;
END
$$;
CREATE TRIGGER touch_updated_at BEFORE UPDATE ON dial_intents FOR EACH ROW
    EXECUTE FUNCTION private.touch_updated_at();

CREATE POLICY "Users can view own dial intents" ON dial_intents FOR SELECT TO authenticated
    USING ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins view all dial intents" ON dial_intents FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));
CREATE POLICY "Users can view own call recordings" ON call_recordings FOR SELECT TO authenticated
    USING ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins view all call recordings" ON call_recordings FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));
