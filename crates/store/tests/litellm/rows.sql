-- Rows as they come to be in years: what is usual, and what is odd.

INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, rpm_limit, budget_duration, budget_reset_at) VALUES
    ('shared', 25, 7, '7d', '2030-01-07T00:00:00'),
    ('of a tag', 3.5, NULL, '30d', '2030-02-01T00:00:00'),
    ('of a member', 4, NULL, NULL, NULL);
INSERT INTO "LiteLLM_ModelTable" (id, aliases) VALUES (5, '{"gg": "g", "odd": 1}');

INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias, organization_id, members_with_roles, members, metadata,
    max_budget, spend, models, rpm_limit, budget_duration, budget_reset_at, model_id, created_at) VALUES
    ('team-a', 'blue', 'org', '[{"role": "admin", "user_id": "ana", "user_email": null}]', '{ana,ben}',
     '{"tags": ["teamA", "&eu", "!us", "default", 7], "cost centre": 12, "model_rpm_limit": {"g": 3}}',
     100.25, 12.5, '{g,"anthropic/*"}', 60, '30d', '2030-01-01T00:00:00', 5, '2025-03-01T10:20:30.123');
INSERT INTO "LiteLLM_TeamTable" (team_id, max_budget, blocked, tpm_limit, policies, model_max_budget) VALUES
    ('Straße "2"', 'Infinity', true, -1, '{strict}', '{"g": {"budget_limit": 1}}');
INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, budget_id) VALUES ('ben', 'team-a', 'of a member');

INSERT INTO "LiteLLM_UserTable" (user_id, user_email, user_role, password, max_budget, spend, models, metadata,
    sso_user_id) VALUES
    ('ana', 'ana@example.org', 'internal_user', 'scrypt:planted', 9, 1.25, '{g}', '{"x": [1]}', 'sso-1'),
    ('default_user_id', NULL, 'proxy_admin', NULL, NULL, 0, '{}', '{}', NULL);

INSERT INTO "LiteLLM_TagTable" (tag_name, description, models, spend, budget_id) VALUES
    ('teamA', 'the blue ones', '{m1}', 2.5, 'of a tag'), ('free', NULL, '{}', 0, NULL);

INSERT INTO "LiteLLM_VerificationToken" (token, key_name, key_alias, spend, models, aliases, user_id, team_id,
    metadata, max_parallel_requests, max_budget, budget_id, allowed_routes, created_at, last_active) VALUES
    (encode(sha256('sk-usual-0123456789'), 'hex'), 'sk-...6789', 'usual', 0.0123456789012345, '{g}', '{"x": "g"}',
     'ana', 'team-a', '{"tags": ["fast"], "model_tpm_limit": {"g": 1000}, "guardrails": ["pii"]}', 2, 5.5, 'shared',
     '{llm_api_routes}', '2025-04-01T00:00:00.001', '2025-05-01T00:00:00');
INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, blocked, expires, budget_id, project_id, user_id) VALUES
    (encode(sha256('sk-expired-0123456789'), 'hex'), NULL, true, '2025-01-01T00:00:00', 'shared', 'p',
     'default_user_id'),
    (encode(sha256('sk-plain-0123456789'), 'hex'), NULL, NULL, NULL, NULL, NULL, NULL);
-- Older releases let two keys have one alias.
INSERT INTO "LiteLLM_VerificationToken" (token, key_alias) VALUES (repeat('f', 64), 'usual');
INSERT INTO "LiteLLM_VerificationToken" (token, key_name, team_id) VALUES
    (encode(sha256('sk-orphan-0123456789'), 'hex'), 'sk-...orph', 'no-such-team'),
    (encode(sha256('sk-session-0123456789'), 'hex'), 'sk-...sess', 'litellm-dashboard'),
    ('sk-in-plain-text-planted', 'sk-...nted', NULL);

INSERT INTO "LiteLLM_OrganizationTable" VALUES ('org');
INSERT INTO "LiteLLM_ProxyModelTable" VALUES ('m1'), ('m2');
