-- Who may see and change what. Users reach the tables as `authenticated`, visitors as `anon`;
-- the server works as `service_role`, which row security does not bind.
-- `(SELECT auth.uid())` is evaluated once per statement, a bare call once per row.

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'user_profiles', 'user_api_keys', 'orders', 'referrals', 'ai_agents', 'calling_campaigns',
        'call_sessions', 'scam_detections', 'subscription_plans', 'usage_metrics',
        'subscriptions', 'phone_numbers', 'call_events', 'call_costs', 'call_usage', 'prices'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        -- Hosted projects grant everything on new tables, TRUNCATE included, which no policy
        -- restrains: what a role needs is granted below.
        EXECUTE format('REVOKE ALL ON %I FROM anon, authenticated', name);
        EXECUTE format('GRANT ALL ON %I TO service_role', name);
        EXECUTE format('GRANT SELECT ON %I TO authenticated', name);
    END LOOP;
END
$$;
GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;

-- user_profiles: the guard_columns trigger keeps role, status and statistics out of reach; only
-- admins create and remove profiles, so that nobody can leave a blocked one behind.
ALTER POLICY "Users can view own data" ON user_profiles TO authenticated
    USING ((SELECT auth.uid()) = id) WITH CHECK ((SELECT auth.uid()) = id);
CREATE POLICY "Admins manage all profiles" ON user_profiles TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
CREATE POLICY "Only admins create profiles" ON user_profiles AS RESTRICTIVE FOR INSERT
    TO authenticated WITH CHECK ((SELECT private.is_admin()));
CREATE POLICY "Only admins remove profiles" ON user_profiles AS RESTRICTIVE FOR DELETE
    TO authenticated USING ((SELECT private.is_admin()));
GRANT INSERT, UPDATE, DELETE ON user_profiles TO authenticated;

-- user_api_keys: row security cannot hide columns, so the sealed key and its hash are simply not
-- granted; keys are stored by the server, which seals them.
ALTER POLICY "Users can manage own API keys" ON user_api_keys TO authenticated
    USING ((SELECT auth.uid()) = user_id) WITH CHECK ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins manage all API keys" ON user_api_keys TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
REVOKE SELECT ON user_api_keys FROM authenticated;
GRANT SELECT (id, user_id, provider, is_valid, last_validated, usage_count, created_at, updated_at)
    ON user_api_keys TO authenticated;
GRANT DELETE ON user_api_keys TO authenticated;

ALTER POLICY "Users can view own orders" ON orders TO authenticated
    USING ((SELECT auth.uid()) = vendor_id) WITH CHECK ((SELECT auth.uid()) = vendor_id);
CREATE POLICY "Admins manage all orders" ON orders TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
GRANT INSERT, UPDATE, DELETE ON orders TO authenticated;

ALTER POLICY "Users can manage own agents" ON ai_agents TO authenticated
    USING ((SELECT auth.uid()) = user_id) WITH CHECK ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins manage all agents" ON ai_agents TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
GRANT INSERT, UPDATE, DELETE ON ai_agents TO authenticated;

-- A campaign speaks with its owner's agent; the plain foreign key would accept anybody's.
CREATE POLICY "Users can manage own campaigns" ON calling_campaigns TO authenticated
    USING ((SELECT auth.uid()) = user_id)
    WITH CHECK (
        (SELECT auth.uid()) = user_id
        AND (agent_id IS NULL OR EXISTS (
            SELECT FROM ai_agents
            WHERE ai_agents.id = agent_id AND ai_agents.user_id = (SELECT auth.uid())
        ))
    );
CREATE POLICY "Admins manage all campaigns" ON calling_campaigns TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
GRANT INSERT, UPDATE, DELETE ON calling_campaigns TO authenticated;

-- Calls, their costs and what was detected are evidence: written by the server alone.
ALTER POLICY "Users can view own calls" ON call_sessions TO authenticated
    USING ((SELECT auth.uid()) = user_id) WITH CHECK ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins view all calls" ON call_sessions FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));

CREATE POLICY "Users can view own call events" ON call_events FOR SELECT TO authenticated
    USING (EXISTS (
        SELECT FROM call_sessions
        WHERE call_sessions.id = call_id AND call_sessions.user_id = (SELECT auth.uid())
    ));
CREATE POLICY "Admins view all call events" ON call_events FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));

CREATE POLICY "Users can view own call costs" ON call_costs FOR SELECT TO authenticated
    USING (EXISTS (
        SELECT FROM call_sessions
        WHERE call_sessions.id = call_id AND call_sessions.user_id = (SELECT auth.uid())
    ));
CREATE POLICY "Admins view all call costs" ON call_costs FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));

CREATE POLICY "Users can view own call usage" ON call_usage FOR SELECT TO authenticated
    USING ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins view all call usage" ON call_usage FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));

CREATE POLICY "Users can view own scam detections" ON scam_detections FOR SELECT TO authenticated
    USING ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins view all scam detections" ON scam_detections FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));

CREATE POLICY "Users can view own usage" ON usage_metrics FOR SELECT TO authenticated
    USING ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins view all usage" ON usage_metrics FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));

-- Codes are redeemed through the server, so that nobody can list or mint them.
CREATE POLICY "Users can view own referrals" ON referrals FOR SELECT TO authenticated
    USING ((SELECT auth.uid()) = created_by OR (SELECT auth.uid()) = used_by);
CREATE POLICY "Admins manage all referrals" ON referrals TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
GRANT INSERT, UPDATE, DELETE ON referrals TO authenticated;

-- The price list of the product is public.
CREATE POLICY "Everyone can view active plans" ON subscription_plans FOR SELECT
    TO anon, authenticated USING (is_active);
CREATE POLICY "Admins manage all plans" ON subscription_plans TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
GRANT SELECT ON subscription_plans TO anon;
GRANT INSERT, UPDATE, DELETE ON subscription_plans TO authenticated;

CREATE POLICY "Users can view own subscriptions" ON subscriptions FOR SELECT TO authenticated
    USING ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins manage all subscriptions" ON subscriptions TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
GRANT INSERT, UPDATE, DELETE ON subscriptions TO authenticated;

-- A number is given by the server, which buys it; its owner chooses the agent (guard_columns).
CREATE POLICY "Users can view own numbers" ON phone_numbers FOR SELECT TO authenticated
    USING ((SELECT auth.uid()) = user_id);
CREATE POLICY "Users can route own numbers" ON phone_numbers FOR UPDATE TO authenticated
    USING ((SELECT auth.uid()) = user_id) WITH CHECK ((SELECT auth.uid()) = user_id);
CREATE POLICY "Admins manage all numbers" ON phone_numbers TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
GRANT INSERT, UPDATE, DELETE ON phone_numbers TO authenticated;

CREATE POLICY "Users can view prices" ON prices FOR SELECT TO authenticated USING (true);
CREATE POLICY "Admins manage prices" ON prices TO authenticated
    USING ((SELECT private.is_admin())) WITH CHECK ((SELECT private.is_admin()));
GRANT INSERT, UPDATE, DELETE ON prices TO authenticated;
