-- Costs as the provider told them in the end, beside the estimates that were booked in the call.

-- One row says what all of an item came to in a call; it takes the place of the bookings of that
-- item in every sum, so nothing counts twice and the estimate stays to compare with.
CREATE TABLE call_actual_costs (
    call_id TEXT NOT NULL REFERENCES call_sessions(id) ON DELETE CASCADE,
    item TEXT NOT NULL,
    micro_usd BIGINT NOT NULL CHECK (micro_usd >= 0),
    told_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    PRIMARY KEY (call_id, item)
);
ALTER TABLE call_actual_costs ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON call_actual_costs FROM anon, authenticated;
GRANT ALL ON call_actual_costs TO service_role;
GRANT SELECT ON call_actual_costs TO authenticated;
CREATE POLICY "Users can view own actual costs" ON call_actual_costs FOR SELECT TO authenticated
    USING (EXISTS (
        SELECT FROM call_sessions
        WHERE call_sessions.id = call_id AND call_sessions.user_id = (SELECT auth.uid())
    ));
CREATE POLICY "Admins view all actual costs" ON call_actual_costs FOR SELECT TO authenticated
    USING ((SELECT private.is_admin()));

-- What a call cost: as booked, as told (NULL while nothing was), and the best of both by item.
CREATE FUNCTION private.cost_of(
    call TEXT, OUT booked BIGINT, OUT told BIGINT, OUT best BIGINT
)
    LANGUAGE sql STABLE SET search_path = ''
    AS $$
        SELECT
            coalesce(sum(estimate.micro_usd), 0)::bigint,
            sum(actual.micro_usd)::bigint,
            coalesce(sum(coalesce(actual.micro_usd, estimate.micro_usd)), 0)::bigint
        FROM (
            SELECT item, sum(micro_usd) AS micro_usd FROM public.call_costs
            WHERE call_id = call GROUP BY item
        ) AS estimate
        FULL JOIN (
            SELECT item, micro_usd FROM public.call_actual_costs WHERE call_id = call
        ) AS actual USING (item)
    $$;

-- How often a call asked a remote service, from what it booked. An item is named
-- `service.model.unit`. Where a service books `requests`, that is the number; else a message, a
-- spoken text and a reply (whose kinds of tokens are booked once each) count one, and a
-- recogniser that was sent audio counts one for the call. Minutes of the line are no requests.
CREATE FUNCTION private.api_calls_of(call TEXT) RETURNS INTEGER
    LANGUAGE sql STABLE SET search_path = ''
    AS $$
        WITH booked AS (
            SELECT
                substring(item FROM '^(.*)\.[^.]*$') AS service,
                substring(item FROM '[^.]*$') AS unit,
                count(*) AS bookings, sum(quantity) AS quantity
            FROM public.call_costs
            WHERE call_id = call AND item NOT LIKE 'local.%' AND quantity > 0
            GROUP BY item
        ), asked AS (
            SELECT coalesce(
                sum(quantity) FILTER (WHERE unit = 'requests'),
                max(CASE
                    WHEN unit LIKE '%\_tokens' OR unit IN ('characters', 'segments') THEN bookings
                    WHEN unit = 'milliseconds' THEN 1
                END),
                0
            ) AS times
            FROM booked GROUP BY service
        )
        SELECT coalesce(sum(times), 0)::integer FROM asked
    $$;
REVOKE EXECUTE ON FUNCTION private.cost_of(TEXT) FROM PUBLIC, anon, authenticated;
REVOKE EXECUTE ON FUNCTION private.api_calls_of(TEXT) FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION private.cost_of(TEXT) TO service_role;
GRANT EXECUTE ON FUNCTION private.api_calls_of(TEXT) TO service_role;

ALTER TABLE call_usage ADD COLUMN api_calls INTEGER NOT NULL DEFAULT 0;
