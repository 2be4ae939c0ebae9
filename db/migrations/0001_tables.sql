-- The ten tables of the schema document, with its names, defaults and checks unchanged.

-- The document's defaults need uuid-ossp, which not every server has. On a hosted project the
-- function is found through the search path and is left alone.
DO $$
BEGIN
    IF to_regprocedure('uuid_generate_v4()') IS NULL THEN
        CREATE FUNCTION public.uuid_generate_v4() RETURNS UUID
            LANGUAGE sql VOLATILE PARALLEL SAFE
            AS 'SELECT pg_catalog.gen_random_uuid()';
    END IF;
END
$$;

CREATE TABLE user_profiles (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    role TEXT NOT NULL CHECK (role IN ('admin', 'vendor')),
    full_name TEXT NOT NULL,
    email TEXT UNIQUE NOT NULL,
    phone TEXT NOT NULL,
    referral_id TEXT,
    service_area JSONB DEFAULT '{
        "latitude": 0,
        "longitude": 0,
        "radius": 10
    }'::jsonb,
    notification_preferences JSONB DEFAULT '{
        "new_orders": true,
        "order_updates": true,
        "whatsapp_integration": true,
        "push_notifications": true,
        "email_notifications": true
    }'::jsonb,
    preferences JSONB DEFAULT '{
        "language": "en",
        "theme": "light"
    }'::jsonb,
    orders_stats JSONB DEFAULT '{
        "total": 0,
        "completed": 0,
        "pending": 0,
        "canceled": 0
    }'::jsonb,
    status TEXT DEFAULT 'active' CHECK (status IN ('active', 'pending', 'blocked')),
    is_online BOOLEAN DEFAULT false,
    last_seen TIMESTAMP WITH TIME ZONE,
    services TEXT[],
    device_tokens TEXT[],
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    created_by_role TEXT DEFAULT 'system',
    updated_by_role TEXT DEFAULT 'system'
);

CREATE TABLE user_api_keys (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    user_id UUID REFERENCES user_profiles(id) ON DELETE CASCADE,
    provider TEXT NOT NULL CHECK (provider IN ('elevenlabs', 'twilio', 'openai', 'anthropic', 'google', 'grok', 'serpapi')),
    api_key_encrypted TEXT NOT NULL,
    api_key_hash TEXT NOT NULL,
    is_valid BOOLEAN DEFAULT true,
    last_validated TIMESTAMP WITH TIME ZONE,
    usage_count INTEGER DEFAULT 0,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    UNIQUE(user_id, provider)
);

CREATE TABLE orders (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    order_id TEXT UNIQUE NOT NULL,
    customer_name TEXT NOT NULL,
    customer_phone TEXT NOT NULL,
    customer_address TEXT,
    customer_email TEXT,
    service_type TEXT NOT NULL CHECK (service_type IN ('plumbing', 'electrical', 'cleaning', 'repairs', 'maintenance', 'other')),
    description TEXT,
    priority TEXT DEFAULT 'medium' CHECK (priority IN ('low', 'medium', 'high', 'urgent')),
    status TEXT DEFAULT 'new' CHECK (status IN ('new', 'accepted', 'on_way', 'processing', 'completed', 'cancelled')),
    vendor_id UUID REFERENCES user_profiles(id) ON DELETE SET NULL,
    assigned_at TIMESTAMP WITH TIME ZONE,
    scheduled_date TIMESTAMP WITH TIME ZONE,
    before_image_url TEXT,
    after_image_url TEXT,
    dealing_price DECIMAL(10,2),
    invoice JSONB DEFAULT '{
        "final_price": 0,
        "service_name": "",
        "service_details": "",
        "primary_contact": "",
        "secondary_contact": "",
        "invoice_url": ""
    }'::jsonb,
    estimated_value DECIMAL(10,2),
    created_by_role TEXT DEFAULT 'admin',
    updated_by_role TEXT DEFAULT 'system',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    notifications_sent JSONB DEFAULT '{
        "customer_email": false,
        "customer_sms": false,
        "vendor_emails": false,
        "vendor_push": false
    }'::jsonb
);

CREATE TABLE referrals (
    id UUID PRIMARY KEY DEFAULT uuid_generate_v4(),
    referral_code TEXT UNIQUE NOT NULL,
    is_valid BOOLEAN DEFAULT true,
    used_by UUID REFERENCES user_profiles(id) ON DELETE SET NULL,
    created_by UUID REFERENCES user_profiles(id) ON DELETE CASCADE,
    usage_limit INTEGER DEFAULT 1,
    used_count INTEGER DEFAULT 0,
    expires_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE TABLE ai_agents (
    id TEXT PRIMARY KEY,
    user_id UUID REFERENCES user_profiles(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    voice_config JSONB DEFAULT '{
        "voice_id": "",
        "model_id": "eleven_flash_v2_5",
        "settings": {}
    }'::jsonb,
    llm_config JSONB DEFAULT '{
        "model": "gpt-4o-mini",
        "system_prompt": "",
        "temperature": 0.7,
        "max_tokens": 1000
    }'::jsonb,
    behavior_config JSONB DEFAULT '{
        "language": "en",
        "conversation_style": "professional",
        "scam_detection_enabled": true,
        "max_call_duration": 300000,
        "auto_end_on_silence": true
    }'::jsonb,
    elevenlabs_config JSONB DEFAULT '{}'::jsonb,
    status TEXT DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'training')),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE TABLE calling_campaigns (
    id TEXT PRIMARY KEY,
    user_id UUID REFERENCES user_profiles(id) ON DELETE CASCADE,
    agent_id TEXT REFERENCES ai_agents(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    phone_number TEXT NOT NULL,
    target_leads JSONB DEFAULT '[]'::jsonb,
    campaign_settings JSONB DEFAULT '{
        "call_interval": 30000,
        "max_concurrent_calls": 5,
        "retry_failed_calls": true,
        "max_retries": 2
    }'::jsonb,
    status TEXT DEFAULT 'active' CHECK (status IN ('active', 'paused', 'completed', 'cancelled')),
    stats JSONB DEFAULT '{
        "total_leads": 0,
        "calls_made": 0,
        "calls_answered": 0,
        "calls_completed": 0,
        "calls_failed": 0
    }'::jsonb,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE TABLE call_sessions (
    id TEXT PRIMARY KEY,
    user_id UUID REFERENCES user_profiles(id) ON DELETE CASCADE,
    agent_id TEXT REFERENCES ai_agents(id) ON DELETE CASCADE,
    campaign_id TEXT REFERENCES calling_campaigns(id) ON DELETE SET NULL,
    twilio_call_id TEXT,
    elevenlabs_conversation_id TEXT,
    from_number TEXT NOT NULL,
    to_number TEXT NOT NULL,
    status TEXT DEFAULT 'initiated' CHECK (status IN ('initiated', 'ringing', 'answered', 'completed', 'failed', 'cancelled')),
    duration_ms INTEGER DEFAULT 0,
    cost_usd DECIMAL(10,4) DEFAULT 0.00,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    answered_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    metadata JSONB DEFAULT '{}'::jsonb,
    conversation_data JSONB DEFAULT '{
        "transcripts": [],
        "agent_responses": [],
        "scam_alerts": []
    }'::jsonb
);

CREATE TABLE scam_detections (
    id UUID DEFAULT uuid_generate_v4() PRIMARY KEY,
    conversation_id TEXT NOT NULL,
    user_id UUID REFERENCES user_profiles(id) ON DELETE CASCADE,
    call_session_id TEXT REFERENCES call_sessions(id) ON DELETE CASCADE,
    risk_score DECIMAL(3,2) NOT NULL,
    severity_level TEXT NOT NULL CHECK (severity_level IN ('minimal', 'low', 'medium', 'high', 'critical')),
    patterns_detected JSONB DEFAULT '[]'::jsonb,
    ml_predictions JSONB DEFAULT '[]'::jsonb,
    suspicious_keywords TEXT[],
    behavioral_indicators JSONB DEFAULT '[]'::jsonb,
    transcript_segments JSONB DEFAULT '[]'::jsonb,
    confidence_score DECIMAL(3,2) NOT NULL,
    model_version TEXT,
    processing_time_ms INTEGER,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE TABLE subscription_plans (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    price_usd DECIMAL(8,2) NOT NULL,
    billing_interval TEXT NOT NULL CHECK (billing_interval IN ('monthly', 'yearly')),
    features JSONB DEFAULT '{}'::jsonb,
    limits JSONB DEFAULT '{
        "calls_per_month": 1000,
        "agents_limit": 5,
        "campaigns_limit": 10,
        "phone_numbers_limit": 3
    }'::jsonb,
    is_active BOOLEAN DEFAULT true,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

INSERT INTO subscription_plans (id, name, price_usd, billing_interval) VALUES
('trial', 'Free Trial', 0.00, 'monthly'),
('basic', 'Basic Plan', 15.00, 'monthly'),
('pro', 'Pro Plan', 49.00, 'monthly'),
('enterprise', 'Enterprise Plan', 199.00, 'monthly');

CREATE TABLE usage_metrics (
    id UUID DEFAULT uuid_generate_v4() PRIMARY KEY,
    user_id UUID REFERENCES user_profiles(id) ON DELETE CASCADE,
    date DATE NOT NULL,
    calls_made INTEGER DEFAULT 0,
    calls_successful INTEGER DEFAULT 0,
    total_duration_ms BIGINT DEFAULT 0,
    total_cost_usd DECIMAL(10,4) DEFAULT 0.00,
    scam_detections INTEGER DEFAULT 0,
    api_calls INTEGER DEFAULT 0,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    UNIQUE(user_id, date)
);
