-- Amounts were floating-point dollars, and sums of them depended on their order. They are whole pico-dollars
-- (10^-12 US$) from here on; what is beyond the range of such a count becomes its end.
-- PostgreSQL makes 15 significant digits of a floating-point number, which leaves out the noise of adding up.

ALTER TABLE tagrail_teams ALTER COLUMN spend TYPE BIGINT USING
    CASE WHEN spend = 'NaN' THEN 0
         WHEN spend >= 9223372 THEN 9223372036854775807
         WHEN spend <= -9223372 THEN -9223372036854775807
         ELSE CAST(round(CAST(spend AS NUMERIC) * 1000000000000) AS BIGINT) END;

ALTER TABLE tagrail_keys ALTER COLUMN spend TYPE BIGINT USING
    CASE WHEN spend = 'NaN' THEN 0
         WHEN spend >= 9223372 THEN 9223372036854775807
         WHEN spend <= -9223372 THEN -9223372036854775807
         ELSE CAST(round(CAST(spend AS NUMERIC) * 1000000000000) AS BIGINT) END;

ALTER TABLE tagrail_users ALTER COLUMN spend TYPE BIGINT USING
    CASE WHEN spend = 'NaN' THEN 0
         WHEN spend >= 9223372 THEN 9223372036854775807
         WHEN spend <= -9223372 THEN -9223372036854775807
         ELSE CAST(round(CAST(spend AS NUMERIC) * 1000000000000) AS BIGINT) END;

ALTER TABLE tagrail_tags ALTER COLUMN spend TYPE BIGINT USING
    CASE WHEN spend = 'NaN' THEN 0
         WHEN spend >= 9223372 THEN 9223372036854775807
         WHEN spend <= -9223372 THEN -9223372036854775807
         ELSE CAST(round(CAST(spend AS NUMERIC) * 1000000000000) AS BIGINT) END;

ALTER TABLE tagrail_daily ALTER COLUMN cost TYPE BIGINT USING
    CASE WHEN cost = 'NaN' THEN 0
         WHEN cost >= 9223372 THEN 9223372036854775807
         WHEN cost <= -9223372 THEN -9223372036854775807
         ELSE CAST(round(CAST(cost AS NUMERIC) * 1000000000000) AS BIGINT) END;
