"""What a schema consists of, one line a fact, so that schemas can be compared."""

from __future__ import annotations

from tests.db.server import fetch

_FACTS = """
    SELECT format(
        'column %s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
        coalesce(
            ' DEFAULT '
            || regexp_replace(pg_get_expr(d.adbin, d.adrelid), '\\s+', ' ', 'g'), ''
        )
    ) AS fact
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT 'row security ' || relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relrowsecurity
    UNION ALL
    SELECT format('policy %s %s %s %s', tablename, policyname, permissive, cmd)
    FROM pg_policies WHERE schemaname = 'public'
    UNION ALL
    SELECT format(
        'policy condition %s %s %s', tablename, policyname,
        replace(replace(qual, '( SELECT auth.uid() AS uid)', 'auth.uid()'), ' ', '')
    )
    FROM pg_policies WHERE schemaname = 'public'
"""

_PLANS = """
    SELECT format(
        'plan %s %s %s %s %s', id, name, price_usd, billing_interval, limits
    ) AS fact
    FROM subscription_plans
"""


async def facts(dsn: str) -> set[str]:
    """Columns, defaults, constraints, indexes, policies and default plans."""
    rows = await fetch(dsn, _FACTS) + await fetch(dsn, _PLANS)
    return {row["fact"] for row in rows}
