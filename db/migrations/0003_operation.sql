-- What running the service needs beyond the document: who subscribed to what, who owns which
-- number, the lines and costs of a call, prices, and the guards that make writing repeatable.

-- Who subscribes to which plan. At most one live subscription per user.
CREATE TABLE subscriptions (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    user_id UUID NOT NULL REFERENCES user_profiles(id) ON DELETE CASCADE,
    plan_id TEXT NOT NULL REFERENCES subscription_plans(id),
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('trialing', 'active', 'past_due', 'cancelled')),
    current_period_start TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    current_period_end TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    CHECK (current_period_end > current_period_start)
);
CREATE UNIQUE INDEX subscriptions_one_live ON subscriptions(user_id) WHERE status <> 'cancelled';
CREATE INDEX idx_subscriptions_user ON subscriptions(user_id);
CREATE INDEX idx_subscriptions_plan ON subscriptions(plan_id);

-- Lets a foreign key demand that an agent and what uses it belong to the same user.
ALTER TABLE ai_agents ADD CONSTRAINT ai_agents_id_user_id_key UNIQUE (id, user_id);

-- The numbers a user owns and the agent that answers each; no agent = nobody answers.
CREATE TABLE phone_numbers (
    number TEXT PRIMARY KEY CHECK (number ~ '^\+[1-9][0-9]{6,14}$'),
    user_id UUID NOT NULL REFERENCES user_profiles(id) ON DELETE CASCADE,
    agent_id TEXT,
    carrier_number_id TEXT,
    label TEXT NOT NULL DEFAULT '',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    FOREIGN KEY (agent_id, user_id) REFERENCES ai_agents(id, user_id) ON DELETE SET NULL (agent_id)
);
CREATE INDEX idx_phone_numbers_user ON phone_numbers(user_id);
CREATE INDEX idx_phone_numbers_agent ON phone_numbers(agent_id, user_id);

-- What happened in a call, appended while it runs: rewriting conversation_data for each line
-- would cost the square of the call's length. The key makes writing a row again harmless.
CREATE TABLE call_events (
    call_id TEXT NOT NULL REFERENCES call_sessions(id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    kind TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    data JSONB NOT NULL DEFAULT '{}'::jsonb,
    PRIMARY KEY (call_id, sequence, kind)
);

-- What a call cost, in micro-dollars (1 USD = 1,000,000), as booked when it was consumed.
CREATE TABLE call_costs (
    call_id TEXT NOT NULL REFERENCES call_sessions(id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    item TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    micro_usd BIGINT NOT NULL CHECK (micro_usd >= 0),
    at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (call_id, sequence)
);

-- What usage_metrics has counted of each ended call, so that counting it again adds only what
-- is new. The day is fixed when the call is first counted.
CREATE TABLE call_usage (
    call_id TEXT PRIMARY KEY REFERENCES call_sessions(id) ON DELETE CASCADE,
    user_id UUID NOT NULL REFERENCES user_profiles(id) ON DELETE CASCADE,
    date DATE NOT NULL,
    calls_made INTEGER NOT NULL DEFAULT 0,
    calls_successful INTEGER NOT NULL DEFAULT 0,
    duration_ms BIGINT NOT NULL DEFAULT 0,
    cost_micro_usd BIGINT NOT NULL DEFAULT 0,
    scam_detections INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX idx_call_usage_user_date ON call_usage(user_id, date);

-- Exact beside total_cost_usd, whose four digits would lose a call of 40 micro-dollars.
ALTER TABLE usage_metrics ADD COLUMN total_cost_micro_usd BIGINT NOT NULL DEFAULT 0;

-- micro_usd for each started `per` units, from an instant on.
CREATE TABLE prices (
    item TEXT NOT NULL,
    micro_usd BIGINT NOT NULL CHECK (micro_usd >= 0),
    per BIGINT NOT NULL CHECK (per > 0),
    effective_from TIMESTAMPTZ NOT NULL,
    source TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (item, effective_from)
);
-- Twilio's US list prices as read in 2026; they hold until a later row says otherwise.
INSERT INTO prices (item, micro_usd, per, effective_from, source) VALUES
('twilio.voice_inbound.minutes', 8500, 1, '2000-01-01T00:00:00Z', 'list price, US local number'),
('twilio.voice_outbound.minutes', 14000, 1, '2000-01-01T00:00:00Z', 'list price, US'),
('twilio.media_stream.minutes', 4400, 1, '2000-01-01T00:00:00Z', 'list price'),
('local.stt.milliseconds', 0, 1, '2000-01-01T00:00:00Z', 'runs on this machine'),
('local.tts.characters', 0, 1, '2000-01-01T00:00:00Z', 'runs on this machine'),
('local.llm.turns', 0, 1, '2000-01-01T00:00:00Z', 'runs on this machine');

-- Booking twice under one key is booking once; keys of different vendors never meet.
-- call_session_id is no foreign key: an order is committed at once, while the rows of its call
-- may still wait for a slow database.
ALTER TABLE orders
    ADD COLUMN idempotency_key TEXT,
    ADD COLUMN call_session_id TEXT,
    ADD COLUMN scheduled_text TEXT NOT NULL DEFAULT '',
    ADD CONSTRAINT orders_vendor_id_idempotency_key_key UNIQUE (vendor_id, idempotency_key);
CREATE INDEX idx_orders_call_session ON orders(call_session_id);

CREATE INDEX idx_referrals_created_by ON referrals(created_by);
CREATE INDEX idx_referrals_used_by ON referrals(used_by);
CREATE INDEX idx_calling_campaigns_agent ON calling_campaigns(agent_id);
CREATE INDEX idx_call_sessions_agent ON call_sessions(agent_id);
CREATE INDEX idx_call_sessions_campaign ON call_sessions(campaign_id);
CREATE INDEX idx_call_sessions_twilio_call ON call_sessions(twilio_call_id);
CREATE INDEX idx_scam_detections_call_session ON scam_detections(call_session_id);

ALTER TABLE ai_agents ADD COLUMN updated_at TIMESTAMPTZ DEFAULT NOW();
ALTER TABLE calling_campaigns ADD COLUMN updated_at TIMESTAMPTZ DEFAULT NOW();
ALTER TABLE call_sessions ADD COLUMN updated_at TIMESTAMPTZ DEFAULT NOW();
