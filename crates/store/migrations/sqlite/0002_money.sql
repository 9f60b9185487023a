-- Amounts were floating-point dollars, and sums of them depended on their order. They are whole pico-dollars
-- (10^-12 US$) from here on; what is beyond the range of such a count becomes its end.

ALTER TABLE tagrail_teams ADD COLUMN picos BIGINT NOT NULL DEFAULT 0;
UPDATE tagrail_teams SET picos =
    CASE WHEN spend >= 9223372.0 THEN 9223372036854775807
         WHEN spend <= -9223372.0 THEN -9223372036854775807
         ELSE CAST(round(spend * 1000000000000.0) AS BIGINT) END;
ALTER TABLE tagrail_teams DROP COLUMN spend;
ALTER TABLE tagrail_teams RENAME COLUMN picos TO spend;

ALTER TABLE tagrail_keys ADD COLUMN picos BIGINT NOT NULL DEFAULT 0;
UPDATE tagrail_keys SET picos =
    CASE WHEN spend >= 9223372.0 THEN 9223372036854775807
         WHEN spend <= -9223372.0 THEN -9223372036854775807
         ELSE CAST(round(spend * 1000000000000.0) AS BIGINT) END;
ALTER TABLE tagrail_keys DROP COLUMN spend;
ALTER TABLE tagrail_keys RENAME COLUMN picos TO spend;

ALTER TABLE tagrail_users ADD COLUMN picos BIGINT NOT NULL DEFAULT 0;
UPDATE tagrail_users SET picos =
    CASE WHEN spend >= 9223372.0 THEN 9223372036854775807
         WHEN spend <= -9223372.0 THEN -9223372036854775807
         ELSE CAST(round(spend * 1000000000000.0) AS BIGINT) END;
ALTER TABLE tagrail_users DROP COLUMN spend;
ALTER TABLE tagrail_users RENAME COLUMN picos TO spend;

ALTER TABLE tagrail_tags ADD COLUMN picos BIGINT NOT NULL DEFAULT 0;
UPDATE tagrail_tags SET picos =
    CASE WHEN spend >= 9223372.0 THEN 9223372036854775807
         WHEN spend <= -9223372.0 THEN -9223372036854775807
         ELSE CAST(round(spend * 1000000000000.0) AS BIGINT) END;
ALTER TABLE tagrail_tags DROP COLUMN spend;
ALTER TABLE tagrail_tags RENAME COLUMN picos TO spend;

ALTER TABLE tagrail_daily ADD COLUMN picos BIGINT NOT NULL DEFAULT 0;
UPDATE tagrail_daily SET picos =
    CASE WHEN cost >= 9223372.0 THEN 9223372036854775807
         WHEN cost <= -9223372.0 THEN -9223372036854775807
         ELSE CAST(round(cost * 1000000000000.0) AS BIGINT) END;
ALTER TABLE tagrail_daily DROP COLUMN cost;
ALTER TABLE tagrail_daily RENAME COLUMN picos TO cost;
