use super::*;
use crate::fields::labels::{LABELS, Labels};
use crate::fields::limits::{BUDGET, LIMITS};

const FIELDS: &[Field] = lists![
    &[
        acts("alias", Holds::Text, ""),
        acts("blocked", Holds::Flag, ""),
        acts("members", Holds::List, ""),
        acts("role", Holds::OneOf(&["admin", "user"]), ""),
        acts("aliases", Holds::TextMap, ""),
        acts("models", Holds::Texts, ""),
        acts("duration", Holds::Lifetime, ""),
        kept("guardrails", Holds::Texts, "nothing is guarded"),
    ],
    LABELS,
    LIMITS,
    BUDGET,
];

fn asked(body: &str) -> Result<Asked, Problem> {
    Asked::of(document::object(body.as_bytes())?, FIELDS)
}

fn refusal(body: &str) -> (u16, String) {
    let problem = asked(body).expect_err(body);
    (problem.status().as_u16(), problem.message().to_owned())
}

#[test]
fn what_fits_is_read() {
    let asked = asked(
        r#"{"alias": "A", "blocked": true, "rpm_limit": 5.0, "max_budget": 1, "models": ["g"],
            "aliases": {"x": "g"}, "model_rpm_limit": {"g": 3}, "tpm_limit": null, "budget_duration": "30d"}"#,
    )
    .unwrap();
    assert_eq!(
        (asked.text("alias"), asked.flag("blocked"), asked.count("rpm_limit")),
        (Some("A"), Some(true), Some(5))
    );
    assert_eq!((asked.money("max_budget"), asked.texts("models")), (Some(1.0), Some(vec!["g".to_owned()])));
    assert_eq!(asked.map("aliases").unwrap()["x"], "g");
    assert_eq!(asked.counts("model_rpm_limit").unwrap()["g"], 3);
    assert!(asked.is_there("tpm_limit") && asked.count("tpm_limit").is_none());
    assert!(!asked.is_there("role") && asked.warnings.is_empty());
}

#[test]
fn a_wrong_value_names_its_field() {
    for (body, status, field) in [
        (r#"{"alias": 1}"#, 422, "alias"),
        (r#"{"blocked": "yes"}"#, 422, "blocked"),
        (r#"{"rpm_limit": "5"}"#, 422, "rpm_limit"),
        (r#"{"rpm_limit": 1.5}"#, 422, "rpm_limit"),
        (r#"{"rpm_limit": -1}"#, 400, "rpm_limit"),
        (r#"{"rpm_limit": 18446744073709551615}"#, 400, "rpm_limit"),
        (r#"{"max_budget": -0.5}"#, 400, "max_budget"),
        (r#"{"max_budget": 1e300}"#, 400, "max_budget"),
        (r#"{"max_budget": "1"}"#, 422, "max_budget"),
        (r#"{"models": "g"}"#, 422, "models"),
        (r#"{"models": [1]}"#, 422, "models"),
        (r#"{"aliases": {"x": 1}}"#, 422, "aliases"),
        (r#"{"model_rpm_limit": {"g": "1"}}"#, 422, "model_rpm_limit"),
        (r#"{"model_rpm_limit": {"g": -1}}"#, 400, "model_rpm_limit.g"),
        (r#"{"role": "owner"}"#, 422, "role"),
        (r#"{"members": {}}"#, 422, "members"),
        (r#"{"metadata": "{}"}"#, 422, "metadata"),
        (r#"{"alias": "a\nb"}"#, 400, "alias"),
        (r#"{"budget_duration": 30}"#, 422, "budget_duration"),
    ] {
        let (seen, message) = refusal(body);
        assert_eq!(seen, status, "{body}: {message}");
        assert!(message.contains(field), "{body}: {message}");
    }
    assert_eq!(refusal(&format!(r#"{{"alias": "{}"}}"#, "a".repeat(1025))).0, 400);
}

#[test]
fn durations_are_litellms() {
    for good in ["1s", "15m", "24h", "7d", "2w", "1mo"] {
        assert!(asked(&format!(r#"{{"budget_duration": "{good}"}}"#)).is_ok(), "{good}");
    }
    for bad in ["abc", "", "d", "30", "0d", "-1d", "1.5h", "1y", "30 d", "9999999999999d", "-1"] {
        let (status, message) = refusal(&format!(r#"{{"budget_duration": "{bad}"}}"#));
        let text = format!("Invalid budget_duration '{bad}'. Use a format like '1h', '24h', '7d', or '30d'.");
        assert_eq!((status, message), (400, text));
    }
    assert_eq!(asked(r#"{"duration": "-1"}"#).unwrap().text("duration"), Some("-1"));
}

#[test]
fn a_body_says_each_thing_once() {
    for body in [
        "",
        "[]",
        "{",
        "nonsense",
        r#"{"alias": "a", "alias": "b"}"#,
        r#"{"alias": "a", "al\u0069as": "b"}"#,
        r#"{"metadata": {"tags": ["a"], "tags": ["b"]}}"#,
        r#"{"metadata": {"deep": [{"x": 1, "x": 2}]}}"#,
        r#"{"metadata": {"x": "a\u0000b"}}"#,
        r#"{"metadata": {"x\u0000": 1}}"#,
    ] {
        assert_eq!(refusal(body).0, 400, "{body}");
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let seen = asked(r#"{"rpm_limits": 1, "bogus": 2, "guardrails": ["pii"], "max_budgt": 1}"#).unwrap();
    assert_eq!(
        seen.warnings,
        [
            "unknown field `rpm_limits` is ignored, did you mean `rpm_limit`?",
            "unknown field `bogus` is ignored",
            "`guardrails` is kept, but has no effect here: nothing is guarded",
            "unknown field `max_budgt` is ignored, did you mean `max_budget`?",
        ]
    );
    assert!(asked(r#"{"guardrails": []}"#).unwrap().warnings.is_empty());
    let mut kept = Map::new();
    seen.keep(FIELDS, &mut kept);
    assert_eq!(Value::Object(kept.clone()), json!({"guardrails": ["pii"]}));
    asked(r#"{"guardrails": null}"#).unwrap().keep(FIELDS, &mut kept);
    assert!(kept.is_empty());
    let Json(answer) = seen.answered(json!({"x": 1}));
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 4);
}

#[test]
fn a_query_string_is_read_by_the_same_lists() {
    let read = |query: &str| Asked::query(&format!("/x?{query}").parse().unwrap(), FIELDS);
    let asked = read("alias=a%20b&rpm_limit=3&blocked=True&models=a&models=b&max_budget=0.5").unwrap();
    assert_eq!(
        (asked.text("alias"), asked.count("rpm_limit"), asked.flag("blocked")),
        (Some("a b"), Some(3), Some(true))
    );
    assert_eq!(
        (asked.texts("models"), asked.money("max_budget")),
        (Some(vec!["a".to_owned(), "b".to_owned()]), Some(0.5))
    );
    for (query, status) in
        [("rpm_limit=x", 422), ("rpm_limit=-1", 400), ("alias=a&alias=b", 400), ("alias=%00", 400)]
    {
        assert_eq!(read(query).expect_err(query).status().as_u16(), status, "{query}");
    }
    assert_eq!(
        read("alais=x").unwrap().warnings,
        ["unknown field `alais` is ignored, did you mean `alias`?"]
    );
}

/// What a body makes of a team that has the tag `old` and some metadata.
fn labelled(body: &str) -> Result<(Vec<String>, Value), Problem> {
    let mut tags = vec!["old".to_owned()];
    let mut metadata = json!({"a": 1}).as_object().unwrap().clone();
    let mut limits = tagrail_store::Limits::default();
    limits.model_rpm.insert("g".to_owned(), 1);
    Labels { tags: &mut tags, metadata: &mut metadata, limits: &mut limits }.set(&asked(body)?)?;
    let shown = labels::shown(&metadata, &tags, &limits);
    Ok((tags, shown))
}

#[test]
fn metadata_written_anew_keeps_tags_and_limits() {
    let limits = json!({"g": 1});
    for (body, tags, metadata) in [
        ("{}", &["old"][..], json!({"a": 1, "tags": ["old"], "model_rpm_limit": limits})),
        (r#"{"metadata": {"b": 2}}"#, &["old"], json!({"b": 2, "tags": ["old"], "model_rpm_limit": limits})),
        (r#"{"metadata": null}"#, &["old"], json!({"tags": ["old"], "model_rpm_limit": limits})),
        (r#"{"metadata": {"tags": ["new"]}}"#, &["new"], json!({"tags": ["new"], "model_rpm_limit": limits})),
        (r#"{"metadata": {"tags": []}}"#, &[], json!({"model_rpm_limit": limits})),
        (
            r#"{"tags": ["new", "new"]}"#,
            &["new"],
            json!({"a": 1, "tags": ["new"], "model_rpm_limit": limits}),
        ),
        (r#"{"tags": []}"#, &[], json!({"a": 1, "model_rpm_limit": limits})),
        (r#"{"tags": null}"#, &["old"], json!({"a": 1, "tags": ["old"], "model_rpm_limit": limits})),
        (
            r#"{"tags": ["top"], "metadata": {"tags": ["below"], "model_rpm_limit": {"h": 2}}}"#,
            &["top"],
            json!({"tags": ["top"], "model_rpm_limit": {"h": 2}}),
        ),
    ] {
        let (seen, shown) = labelled(body).unwrap();
        assert_eq!((seen, shown), (tags.iter().map(|&tag| tag.to_owned()).collect(), metadata), "{body}");
    }
}

#[test]
fn what_can_be_no_tag_is_refused() {
    let many: Vec<_> = (0..65).map(|number| format!("t{number}")).collect();
    for (body, status, field) in [
        (json!({"tags": "teamA"}), 422, "`tags`"),
        (json!({"tags": [1]}), 422, "`tags`"),
        (json!({"tags": [""]}), 400, "`tags`"),
        (json!({"tags": ["&"]}), 400, "`tags`"),
        (json!({"tags": ["a\u{7f}"]}), 400, "`tags`"),
        (json!({"tags": [" a"]}), 400, "`tags`"),
        (json!({"tags": ["a".repeat(257)]}), 400, "`tags`"),
        (json!({"tags": many}), 400, "`tags`"),
        (json!({"metadata": {"tags": "teamA"}}), 422, "`metadata.tags`"),
        (json!({"metadata": {"tags": {"a": 1}}}), 422, "`metadata.tags`"),
        (json!({"metadata": {"tags": [["a"]]}}), 422, "`metadata.tags`"),
        (json!({"metadata": {"model_rpm_limit": 3}}), 422, "`metadata.model_rpm_limit`"),
    ] {
        let problem = labelled(&body.to_string()).expect_err(&body.to_string());
        assert_eq!(problem.status().as_u16(), status, "{body}: {}", problem.message());
        assert!(problem.message().contains(field), "{body}: {}", problem.message());
    }
}

/// A body of many unknown names, or of many values, costs a constant for each byte.
#[test]
fn the_work_on_a_body_is_bounded_by_its_length() {
    use tagrail_providers::work;
    let many = |count: usize, member: &dyn Fn(usize) -> String| {
        let members: Vec<_> = (0..count).map(member).collect();
        format!("{{{}}}", members.join(","))
    };
    for body in [
        many(512, &|at| format!(r#""{at:0>60}":0"#)),
        many(512, &|at| {
            format!(
                r#""{}":0"#,
                format!("{at:03}").bytes().map(|b| format!("\\u{b:04x}")).collect::<String>()
            )
        }),
        format!(r#"{{"metadata":{}}}"#, many(5_000, &|at| format!(r#""{at}":0"#))),
        format!(r#"{{"members":[{}0]}}"#, "0,".repeat(20_000)),
    ] {
        let before = work::steps();
        asked(&body).unwrap();
        let steps = work::steps() - before;
        assert!(steps <= 32 * body.len() as u64 + 50_000, "{steps} steps for {} bytes", body.len());
    }
}

#[test]
fn what_a_body_may_hold_is_bounded() {
    let many = format!(r#"{{"members":[{}0]}}"#, "0,".repeat(40_000));
    let (status, message) = refusal(&many);
    assert_eq!(status, 413);
    assert!(message.contains("too many values"), "{message}");
    let fields: Vec<_> = (0..513).map(|at| format!(r#""{at}":0"#)).collect();
    let (status, message) = refusal(&format!("{{{}}}", fields.join(",")));
    assert_eq!(status, 400);
    assert!(message.contains("512 fields"), "{message}");
}
