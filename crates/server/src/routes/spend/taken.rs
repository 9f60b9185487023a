//! What may be asked about spend.

use crate::fields::{Field, Holds, acts, lists};

const START: Field = acts("start_date", Holds::Text, "From this day on, or this moment: 2026-11-21, UTC.");
const END: Field = acts("end_date", Holds::Text, "Up to this day, itself included, or this moment.");

/// From when to when.
pub(super) const PERIOD: &[Field] = &[START, END];

/// `GET /spend/logs`.
pub(super) const LOGS: &[Field] = lists!(
    &[
        acts("api_key", Holds::Text, "Of this key, or the key with this hash."),
        acts("user_id", Holds::Text, "Of this user's keys."),
        acts("team_id", Holds::Text, "Of this team's keys."),
        acts("request_id", Holds::Text, "With this id, or with this x-litellm-call-id."),
        acts(
            "limit",
            Holds::Count,
            "Rows in one answer: 1000, which is also the most; further ones by page."
        ),
        acts("page", Holds::Count, "From 1."),
        acts("page_size", Holds::Count, "Calls on a page: 1000, at most 1000."),
        acts("summarize", Holds::Flag, "Sums by day instead of single calls."),
    ],
    PERIOD
);

/// `GET /spend/users`.
pub(super) const USERS: &[Field] = &[acts("user_id", Holds::Text, "This one alone.")];

/// `GET /global/spend/report`.
pub(super) const REPORT: &[Field] = lists!(
    PERIOD,
    &[
        acts(
            "group_by",
            Holds::OneOf(&["team", "key", "api_key", "user", "tag", "model"]),
            "Who pays: team, key (api_key: without days), user, tag or model."
        ),
        acts("team_id", Holds::Text, "This team alone."),
        acts("api_key", Holds::Text, "This key alone; the key or its hash."),
        acts("internal_user_id", Holds::Text, "This user alone."),
        acts("tag", Holds::Text, "This tag alone."),
        acts(
            "format",
            Holds::OneOf(&["json", "csv", "totals"]),
            "json: by day; csv: a line for each day, payer and model; totals: sums of the whole time."
        ),
    ]
);

/// `GET /global/spend/tags`.
pub(super) const TAGS: &[Field] =
    lists!(PERIOD, &[acts("tags", Holds::Text, "These alone, with commas between them.")]);

/// `GET /global/spend/keys`.
pub(super) const TOP: &[Field] = &[acts("limit", Holds::Count, "At most so many: 10.")];

const ACTIVITY: &[Field] = &[
    START,
    END,
    acts("model", Holds::Text, "This model alone."),
    acts("page", Holds::Count, "From 1."),
    acts("page_size", Holds::Count, "Days on a page: 1000."),
];

/// `GET /tag/daily/activity`.
pub(super) const TAG_ACTIVITY: &[Field] =
    lists!(ACTIVITY, &[acts("tags", Holds::Text, "These alone, with commas between them.")]);

/// `GET /team/daily/activity`.
pub(super) const TEAM_ACTIVITY: &[Field] = lists!(
    ACTIVITY,
    &[
        acts("team_ids", Holds::Text, "These alone, with commas between them."),
        acts("exclude_team_ids", Holds::Text, "All but these."),
    ]
);

/// `GET /user/daily/activity`.
pub(super) const USER_ACTIVITY: &[Field] =
    lists!(ACTIVITY, &[acts("user_id", Holds::Text, "This one alone.")]);

/// `POST /spend/calculate`.
pub(super) const CALCULATE: &[Field] = &[
    acts("model", Holds::Text, "A name of the configuration, or a model with its provider."),
    acts("messages", Holds::List, "Of a call that was not made yet: its tokens are estimated."),
    acts("completion_response", Holds::Object, "The answer of one that was made: its usage counts."),
];
