-- Functions live in a schema that the REST API does not expose.
CREATE SCHEMA IF NOT EXISTS private;
REVOKE ALL ON SCHEMA private FROM PUBLIC;
GRANT USAGE ON SCHEMA private TO anon, authenticated, service_role;

-- Is the caller an active admin? A definer function, because a policy on user_profiles that
-- reads user_profiles would recurse. Asks the table, never the token: users can edit parts of it.
CREATE FUNCTION private.is_admin() RETURNS BOOLEAN
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
        SELECT EXISTS (
            SELECT FROM public.user_profiles
            WHERE id = auth.uid() AND role = 'admin' AND status = 'active'
        )
    $$;

-- The day a user's clock shows; users without a valid preferences.timezone live in UTC.
CREATE FUNCTION private.day_of(owner UUID, instant TIMESTAMPTZ) RETURNS DATE
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
    AS $$
    DECLARE
        zone TEXT := (SELECT preferences ->> 'timezone' FROM public.user_profiles WHERE id = owner);
    BEGIN
        RETURN (instant AT TIME ZONE coalesce(nullif(zone, ''), 'UTC'))::date;
    EXCEPTION WHEN invalid_parameter_value THEN
        RETURN (instant AT TIME ZONE 'UTC')::date;
    END
    $$;

-- How far a call has come; an unknown word ranks last so that the table's check refuses it.
CREATE FUNCTION private.status_rank(status TEXT) RETURNS INTEGER
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT CASE status
            WHEN 'initiated' THEN 0 WHEN 'ringing' THEN 1 WHEN 'answered' THEN 2
            WHEN 'completed' THEN 3 WHEN 'failed' THEN 3 WHEN 'cancelled' THEN 3
            ELSE 4 END
    $$;

CREATE FUNCTION private.touch_updated_at() RETURNS TRIGGER
    LANGUAGE plpgsql
    AS $$
    BEGIN
        NEW.updated_at := now();
        RETURN NEW;
    END
    $$;

-- Lets a user change only the columns named in the trigger's arguments; admins and roles that
-- row security does not bind may change all. Deny by default: a new column is protected.
CREATE FUNCTION private.guard_columns() RETURNS TRIGGER
    LANGUAGE plpgsql
    AS $$
    BEGIN
        IF pg_catalog.row_security_active(TG_RELID)
            AND to_jsonb(NEW) - TG_ARGV IS DISTINCT FROM to_jsonb(OLD) - TG_ARGV
            AND NOT private.is_admin()
        THEN
            RAISE EXCEPTION 'only an admin may change this column of %', TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END
    $$;

-- Adds `change` (1 or -1) orders of a status to a vendor's orders_stats.
CREATE FUNCTION private.count_order(vendor UUID, order_status TEXT, change INTEGER) RETURNS VOID
    LANGUAGE sql SECURITY DEFINER SET search_path = ''
    AS $$
        UPDATE public.user_profiles AS profile
        SET orders_stats = coalesce(profile.orders_stats, '{}') || (
            SELECT jsonb_object_agg(
                entry.name,
                coalesce((profile.orders_stats ->> entry.name)::integer, 0) + entry.change
            )
            FROM (VALUES
                ('total', change),
                ('completed', CASE WHEN order_status = 'completed' THEN change ELSE 0 END),
                ('canceled', CASE WHEN order_status = 'cancelled' THEN change ELSE 0 END),
                ('pending', CASE WHEN order_status IN ('completed', 'cancelled') THEN 0 ELSE change END)
            ) AS entry(name, change)
        )
        WHERE profile.id = vendor
    $$;

-- Keeps orders_stats right whoever changes an order, in the same transaction.
CREATE FUNCTION private.count_orders() RETURNS TRIGGER
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            PERFORM private.count_order(OLD.vendor_id, OLD.status, -1);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            PERFORM private.count_order(NEW.vendor_id, NEW.status, 1);
        END IF;
        RETURN NULL;
    END
    $$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA private FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION private.is_admin() TO authenticated, service_role;
GRANT EXECUTE ON FUNCTION private.day_of(UUID, TIMESTAMPTZ) TO service_role;
GRANT EXECUTE ON FUNCTION private.status_rank(TEXT) TO service_role;

-- Triggers of one kind fire in the order of their names: the guard comes before the touch.
CREATE TRIGGER guard_columns BEFORE UPDATE ON user_profiles FOR EACH ROW
    EXECUTE FUNCTION private.guard_columns(
        'full_name', 'phone', 'service_area', 'notification_preferences', 'preferences',
        'is_online', 'last_seen', 'services', 'device_tokens', 'updated_at'
    );
CREATE TRIGGER guard_columns BEFORE UPDATE ON phone_numbers FOR EACH ROW
    EXECUTE FUNCTION private.guard_columns('agent_id', 'label', 'updated_at');

CREATE TRIGGER count_orders_inserted_deleted AFTER INSERT OR DELETE ON orders
    FOR EACH ROW EXECUTE FUNCTION private.count_orders();
CREATE TRIGGER count_orders_updated AFTER UPDATE OF status, vendor_id ON orders FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.vendor_id IS DISTINCT FROM NEW.vendor_id)
    EXECUTE FUNCTION private.count_orders();

DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'user_profiles', 'user_api_keys', 'orders', 'referrals', 'ai_agents',
        'calling_campaigns', 'call_sessions', 'subscriptions', 'phone_numbers'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER touch_updated_at BEFORE UPDATE ON %I FOR EACH ROW '
            'EXECUTE FUNCTION private.touch_updated_at()', name
        );
    END LOOP;
END
$$;
