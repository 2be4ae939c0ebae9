-- The indexes and row level security of the schema document, unchanged.

CREATE INDEX idx_user_api_keys_user_provider ON user_api_keys(user_id, provider);
CREATE INDEX idx_users_role_status ON user_profiles(role, status);

CREATE INDEX idx_orders_vendor_status ON orders(vendor_id, status);
CREATE INDEX idx_orders_created_date ON orders(created_at DESC);
CREATE INDEX idx_orders_customer_phone ON orders(customer_phone);

CREATE INDEX idx_ai_agents_user_status ON ai_agents(user_id, status);
CREATE INDEX idx_calling_campaigns_user_status ON calling_campaigns(user_id, status);
CREATE INDEX idx_call_sessions_user_created ON call_sessions(user_id, created_at DESC);

CREATE INDEX idx_scam_detections_user_severity ON scam_detections(user_id, severity_level);
CREATE INDEX idx_scam_detections_conversation ON scam_detections(conversation_id);

CREATE INDEX idx_usage_metrics_user_date ON usage_metrics(user_id, date DESC);

ALTER TABLE user_profiles ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_agents ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE scam_detections ENABLE ROW LEVEL SECURITY;

CREATE POLICY "Users can view own data" ON user_profiles FOR ALL USING (auth.uid() = id);
CREATE POLICY "Users can manage own API keys" ON user_api_keys FOR ALL USING (auth.uid() = user_id);
CREATE POLICY "Users can view own orders" ON orders FOR ALL USING (auth.uid() = vendor_id);
CREATE POLICY "Users can manage own agents" ON ai_agents FOR ALL USING (auth.uid() = user_id);
CREATE POLICY "Users can view own calls" ON call_sessions FOR ALL USING (auth.uid() = user_id);
