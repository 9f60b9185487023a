-- The tables of LiteLLM's that are read, as Prisma makes them of its schema (revision 029f645f1c81): times
-- without a zone, lists as arrays, JSON as jsonb. Tables that are only counted have their key alone.

CREATE TABLE "LiteLLM_BudgetTable" (
    budget_id TEXT PRIMARY KEY, max_budget DOUBLE PRECISION, soft_budget DOUBLE PRECISION,
    max_parallel_requests INTEGER, tpm_limit BIGINT, rpm_limit BIGINT, model_max_budget JSONB,
    budget_duration TEXT, budget_reset_at TIMESTAMP(3), allowed_models TEXT[] DEFAULT '{}',
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, created_by TEXT NOT NULL DEFAULT 'admin',
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_by TEXT NOT NULL DEFAULT 'admin'
);
CREATE TABLE "LiteLLM_ModelTable" (
    id SERIAL PRIMARY KEY, aliases JSONB, created_by TEXT NOT NULL DEFAULT 'admin',
    updated_by TEXT NOT NULL DEFAULT 'admin'
);
CREATE TABLE "LiteLLM_TeamTable" (
    team_id TEXT PRIMARY KEY, team_alias TEXT, organization_id TEXT, object_permission_id TEXT,
    admins TEXT[], members TEXT[], members_with_roles JSONB NOT NULL DEFAULT '{}',
    metadata JSONB NOT NULL DEFAULT '{}', max_budget DOUBLE PRECISION, soft_budget DOUBLE PRECISION,
    spend DOUBLE PRECISION NOT NULL DEFAULT 0, models TEXT[], max_parallel_requests INTEGER,
    tpm_limit BIGINT, rpm_limit BIGINT, budget_duration TEXT, budget_reset_at TIMESTAMP(3),
    blocked BOOLEAN NOT NULL DEFAULT false,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    model_spend JSONB NOT NULL DEFAULT '{}', model_max_budget JSONB NOT NULL DEFAULT '{}',
    router_settings JSONB DEFAULT '{}', team_member_permissions TEXT[] DEFAULT '{}',
    access_group_ids TEXT[] DEFAULT '{}', policies TEXT[] DEFAULT '{}',
    default_team_member_models TEXT[] DEFAULT '{}', budget_limits JSONB, model_id INTEGER UNIQUE,
    allow_team_guardrail_config BOOLEAN NOT NULL DEFAULT false
);
CREATE TABLE "LiteLLM_UserTable" (
    user_id TEXT PRIMARY KEY, user_alias TEXT, team_id TEXT, sso_user_id TEXT UNIQUE, organization_id TEXT,
    object_permission_id TEXT, password TEXT, teams TEXT[] DEFAULT '{}', user_role TEXT,
    max_budget DOUBLE PRECISION, spend DOUBLE PRECISION NOT NULL DEFAULT 0, user_email TEXT, models TEXT[],
    metadata JSONB NOT NULL DEFAULT '{}', max_parallel_requests INTEGER, tpm_limit BIGINT, rpm_limit BIGINT,
    budget_duration TEXT, budget_reset_at TIMESTAMP(3), allowed_cache_controls TEXT[] DEFAULT '{}',
    policies TEXT[] DEFAULT '{}', model_spend JSONB NOT NULL DEFAULT '{}',
    model_max_budget JSONB NOT NULL DEFAULT '{}', created_at TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE "LiteLLM_VerificationToken" (
    token TEXT PRIMARY KEY, key_name TEXT, key_alias TEXT, soft_budget_cooldown BOOLEAN NOT NULL DEFAULT false,
    spend DOUBLE PRECISION NOT NULL DEFAULT 0, expires TIMESTAMP(3), models TEXT[],
    aliases JSONB NOT NULL DEFAULT '{}', config JSONB NOT NULL DEFAULT '{}', router_settings JSONB DEFAULT '{}',
    user_id TEXT, team_id TEXT, agent_id TEXT, project_id TEXT, permissions JSONB NOT NULL DEFAULT '{}',
    max_parallel_requests INTEGER, metadata JSONB NOT NULL DEFAULT '{}', blocked BOOLEAN, tpm_limit BIGINT,
    rpm_limit BIGINT, max_budget DOUBLE PRECISION, budget_duration TEXT, budget_reset_at TIMESTAMP(3),
    allowed_cache_controls TEXT[] DEFAULT '{}', allowed_routes TEXT[] DEFAULT '{}',
    policies TEXT[] DEFAULT '{}', access_group_ids TEXT[] DEFAULT '{}', model_spend JSONB NOT NULL DEFAULT '{}',
    model_max_budget JSONB NOT NULL DEFAULT '{}', budget_id TEXT, organization_id TEXT,
    object_permission_id TEXT, created_at TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, created_by TEXT,
    updated_at TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, updated_by TEXT, last_active TIMESTAMP(3),
    rotation_count INTEGER DEFAULT 0, auto_rotate BOOLEAN DEFAULT false, rotation_interval TEXT,
    last_rotation_at TIMESTAMP(3), key_rotation_at TIMESTAMP(3), budget_limits JSONB
);
CREATE TABLE "LiteLLM_TagTable" (
    tag_name TEXT PRIMARY KEY, description TEXT, models TEXT[], model_info JSONB,
    spend DOUBLE PRECISION NOT NULL DEFAULT 0, budget_id TEXT,
    created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, created_by TEXT,
    updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE "LiteLLM_TeamMembership" (
    user_id TEXT, team_id TEXT, spend DOUBLE PRECISION NOT NULL DEFAULT 0,
    total_spend DOUBLE PRECISION NOT NULL DEFAULT 0, budget_id TEXT, PRIMARY KEY (user_id, team_id)
);
CREATE TABLE "LiteLLM_OrganizationTable" (organization_id TEXT PRIMARY KEY);
CREATE TABLE "LiteLLM_ProxyModelTable" (model_id TEXT PRIMARY KEY);
CREATE TABLE "LiteLLM_ProjectTable" (project_id TEXT PRIMARY KEY);
CREATE TABLE "LiteLLM_EndUserTable" (user_id TEXT PRIMARY KEY);
CREATE TABLE "LiteLLM_DeprecatedVerificationToken" (id TEXT PRIMARY KEY);
