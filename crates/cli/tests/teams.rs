//! `tagrail team`, `key`, `spend` and `import` against a gateway that runs, and where its teams are kept.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod gateway;

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Postgres, Program, Reply, config_text, deployment, post};

use gateway::desk::Desk;
use gateway::{Gateway, chat_body};

const MASTER: (&str, &str) = ("TAGRAIL_MASTER_KEY", "sk-1234");

/// One group, a deployment for each of two teams.
fn two_teams(upstream: &FakeUpstream) -> String {
    let mut deployments = Vec::new();
    for (id, tag) in [("team-a-model", "teamA"), ("team-b-model", "teamB"), ("default-model", "default")] {
        let mut one = deployment("g", id, &[], &upstream.base());
        one["litellm_params"]["tags"] = json!([tag]);
        deployments.push(one);
    }
    let more = json!({"router_settings": {"enable_tag_filtering": true}});
    config_text(&deployments, &more)
}

/// A desk from which a gateway is administered.
struct Admin {
    desk: Desk,
    url: String,
}

impl Admin {
    fn of(gateway: &Gateway) -> Admin {
        Admin { desk: Desk::with(""), url: format!("http://{}", gateway.address) }
    }

    /// What a command prints, which must succeed.
    fn run(&self, line: &str) -> String {
        let ended = self.desk.run_with(line, &[("TAGRAIL_URL", &self.url), MASTER]);
        assert_eq!(ended.code, 0, "{line}: {}{}", ended.out, ended.err);
        ended.out
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{line} --json"))).unwrap()
    }

    /// The complaint of a command that fails with this status.
    fn refused(&self, line: &str, code: i32) -> String {
        let ended = self.desk.run_with(line, &[("TAGRAIL_URL", &self.url), MASTER]);
        assert_eq!((ended.code, ended.out.as_str()), (code, ""), "{line}: {}", ended.err);
        ended.err
    }
}

async fn served_by(gateway: &Gateway, key: &str, more: &Value) -> Result<String, u16> {
    let bearer = format!("Bearer {key}");
    let body = chat_body("g", more);
    let answer =
        post(gateway.address, "/v1/chat/completions", &[("authorization", bearer.as_str())], &body).await;
    if answer.status == 200 { Ok(answer.header("x-litellm-model-id").to_owned()) } else { Err(answer.status) }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_teams_are_made_from_the_shell_and_kept_apart() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&two_teams(&upstream));
    let admin = Admin::of(&gateway);
    let mut keys = Vec::new();
    for tag in ["teamA", "teamB"] {
        let team = text(&admin.json(&format!("team new --alias {tag} --tag {tag}"))["team_id"]);
        keys.push(text(&admin.json(&format!("key generate --team {team}"))["key"]));
    }
    let none = json!({});
    assert_eq!(served_by(&gateway, &keys[0], &none).await.as_deref(), Ok("team-a-model"));
    assert_eq!(served_by(&gateway, &keys[1], &none).await.as_deref(), Ok("team-b-model"));
    let hostile = json!({"tags": ["teamB"]});
    assert_eq!(served_by(&gateway, &keys[0], &hostile).await.as_deref(), Ok("team-a-model"));
    let listed = admin.run("team list");
    assert!(listed.starts_with("TEAM ") && listed.contains("teamA") && listed.contains("active"), "{listed}");
}

#[tokio::test]
async fn a_team_is_looked_at_changed_blocked_and_deleted() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&two_teams(&upstream));
    let admin = Admin::of(&gateway);
    admin.run("team new --team-id t --alias blue --tag teamA --max-budget 50 --budget-duration 30d");
    let key = text(&admin.json("key generate --team t --alias ana --rpm-limit 100")["key"]);

    admin.run("team update t --model g --rpm-limit 60 --clear max_budget");
    admin.run("team member-add t --user ana --role admin");
    let info = admin.run("team info t");
    for words in ["alias    blue", "tags     teamA", "models   g", "60 rpm", "ana (admin)", "KEY ", "sk-..."]
    {
        assert!(info.contains(words), "{words}: {info}");
    }
    assert!(!info.contains("of 50"), "{info}");
    admin.run("team member-delete t --user ana");
    assert!(!admin.run("team info t").contains("ana (admin)"));
    admin.run("team model-add t other");
    assert_eq!(admin.json("team info t")["team_info"]["models"], json!(["g", "other"]));
    admin.run("team model-delete t other");

    let none = json!({});
    assert_eq!(admin.run("team block t"), "blocked: t\n");
    assert_eq!(served_by(&gateway, &key, &none).await, Err(401));
    admin.run("team unblock t");
    assert_eq!(served_by(&gateway, &key, &none).await.as_deref(), Ok("team-a-model"));
    admin.run("team delete t");
    assert_eq!(served_by(&gateway, &key, &none).await, Err(401));
    assert_eq!(admin.run("team list"), "there are no teams\n");
}

#[tokio::test]
async fn a_key_is_looked_at_changed_blocked_renewed_and_deleted() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&two_teams(&upstream));
    let admin = Admin::of(&gateway);
    let made =
        admin.run("key generate --alias ana --tag teamA --model g --duration 30d --field blocked=false");
    let key = made.lines().next().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    assert!(key.starts_with("sk-") && made.contains("This is the only time"), "{made}");
    let none = json!({});
    assert_eq!(served_by(&gateway, &key, &none).await.as_deref(), Ok("team-a-model"));

    let listed = admin.run("key list");
    assert!(listed.contains("ana") && listed.contains("teamA") && !listed.contains(&key), "{listed}");
    let token = listed.lines().nth(1).unwrap().split_whitespace().last().unwrap().to_owned();
    assert_eq!(admin.json("key list --alias ana")["keys"].as_array().unwrap().len(), 1);
    assert_eq!(admin.run("key list --alias nobody"), "there are no such keys\n");
    admin.run(&format!("key update {token} --rpm-limit 60 --clear tags"));
    let info = admin.run(&format!("key info {token}"));
    assert!(info.contains("60 rpm") && !info.contains("teamA") && info.contains("expires"), "{info}");
    assert_eq!(served_by(&gateway, &key, &none).await.as_deref(), Ok("default-model"));

    admin.run(&format!("key block {token}"));
    assert_eq!(served_by(&gateway, &key, &none).await, Err(401));
    admin.run(&format!("key unblock {token}"));
    let renewed = text(&admin.json(&format!("key regenerate {token}"))["key"]);
    assert_eq!(served_by(&gateway, &key, &none).await, Err(401));
    assert_eq!(served_by(&gateway, &renewed, &none).await.as_deref(), Ok("default-model"));
    assert_eq!(admin.run("key delete --alias ana"), "1 key deleted\n");
    assert_eq!(served_by(&gateway, &renewed, &none).await, Err(401));
}

#[tokio::test]
async fn lists_are_longer_than_a_page() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&two_teams(&upstream));
    for _ in 0..101 {
        assert_eq!(gateway.post("/key/generate", &[], &json!({})).await.status, 200);
    }
    let admin = Admin::of(&gateway);
    assert_eq!(admin.json("key list")["keys"].as_array().unwrap().len(), 101);
}

#[tokio::test]
async fn spend_is_reported_to_whoever_pays() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&two_teams(&upstream));
    let admin = Admin::of(&gateway);
    admin.run("team new --team-id t --alias blue --tag teamA");
    let key = text(&admin.json("key generate --team t")["key"]);
    assert!(served_by(&gateway, &key, &json!({})).await.is_ok());
    let report = admin.run("spend report --from 2020-01-01 --until 2999-12-31");
    assert!(
        report.starts_with("TEAM ") && report.contains("blue (t)") && report.contains("total"),
        "{report}"
    );
    let sheet = admin.run("spend report --by model --csv");
    assert!(sheet.starts_with("day,model_id,") && sheet.contains(",g,"), "{sheet}");
    assert_eq!(admin.json("spend report")["group_by"], "team");
}

#[tokio::test]
async fn refusals_are_sentences_and_never_show_the_key() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::start(&two_teams(&upstream));
    let admin = Admin::of(&gateway);
    for key in ["sk-planted-0123456789abcdef", "planted"] {
        let refused = admin.refused(&format!("team list --key {key}"), 1);
        assert!(refused.contains("does not accept the key"), "{refused}");
        assert!(!refused.contains("planted") && !refused.contains("cdef"), "{refused}");
    }
    let ended = admin.desk.run_with("team list", &[("TAGRAIL_URL", &admin.url)]);
    assert!(ended.code == 1 && ended.err.contains("LITELLM_MASTER_KEY"), "{}", ended.err);
    let ended =
        admin.desk.run_with("team list", &[("TAGRAIL_URL", &admin.url), ("LITELLM_MASTER_KEY", "sk-1234")]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let ordinary = text(&admin.json("key generate")["key"]);
    let refused = admin.refused(&format!("team new --key {ordinary}"), 1);
    assert!(refused.contains("takes the master key"), "{refused}");

    assert!(admin.refused("team info nope", 1).contains("nope"));
    assert!(admin.refused("key generate --duration soon", 1).contains("duration"));
    assert!(admin.refused("team update t", 2).contains("nothing to change"));
    assert!(admin.refused("team new --metadata [1]", 2).contains("--metadata"));
    assert!(admin.refused("team new --field x", 2).contains("NAME=VALUE"));
    assert!(admin.refused("team list --url ftp://x", 2).contains("--url"));
    let nobody = admin.refused("team list --url http://user:planted@127.0.0.1:1", 1);
    assert!(
        nobody.contains("nothing listens on http://127.0.0.1:1:") && !nobody.contains("planted"),
        "{nobody}"
    );
    let warned = admin.desk.run_with("team new --field nonsense=1", &[("TAGRAIL_URL", &admin.url), MASTER]);
    assert!(warned.code == 0 && warned.err.contains("nonsense"), "{}", warned.err);
    let help = admin.desk.run_with("team --help", &[MASTER]);
    assert!(!help.out.contains("sk-1234"), "{}", help.out);
}

#[tokio::test]
async fn a_gateway_behind_tls_is_asked_only_when_it_is_trusted() {
    let proxy = FakeUpstream::start_tls();
    proxy.otherwise(Reply::json(200, &json!({"deleted_teams": ["t"]})));
    let desk = Desk::with("");
    let line = format!("team delete t --url https://localhost:{}", proxy.address().port());
    let ended = desk.run_with(&line, &[MASTER]);
    assert!(ended.code == 1 && ended.err.contains("cannot be asked"), "{}", ended.err);
    assert!(proxy.requests().is_empty(), "the key is not for strangers");
    let authority = tagrail_testkit::ca_file();
    let ended = desk.run_with(&line, &[MASTER, ("SSL_CERT_FILE", authority.to_str().unwrap())]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(proxy.request().await.header("authorization"), "Bearer sk-1234");
}

#[tokio::test]
async fn teams_and_keys_survive_a_restart() {
    let upstream = FakeUpstream::start();
    let desk = Desk::with(&two_teams(&upstream));
    let config = desk.path();
    let data = desk.path().with_file_name("data");
    let arguments =
        ["--config", config.to_str().unwrap(), "--host", "127.0.0.1", "--port", "0", "--data-dir"];
    let arguments: Vec<&str> = arguments.into_iter().chain(data.to_str()).collect();
    let mut key = None;
    for _ in 0..2 {
        let gateway = Gateway::with_arguments(&arguments);
        let admin = Admin::of(&gateway);
        let key = key.get_or_insert_with(|| {
            admin.run("team new --team-id t --tag teamA");
            text(&admin.json("key generate --team t")["key"])
        });
        assert_eq!(served_by(&gateway, key, &json!({})).await.as_deref(), Ok("team-a-model"));
        gateway.program.terminate();
        assert!(gateway.program.end().0.success());
    }
    assert!(data.join("tagrail.db").exists() && data.join("tagrail-journal").exists());

    let checked = desk.run("check config.yaml --data-dir data");
    assert_eq!(checked.code, 0, "{}", checked.out);
}

#[tokio::test]
async fn a_start_in_a_place_that_cannot_be_written_serves_without_teams() {
    let upstream = FakeUpstream::start();
    let desk = Desk::with(&two_teams(&upstream));
    let line = format!(
        "cd /sys && exec '{}' --config '{}' --host 127.0.0.1 --port 0",
        env!("CARGO_BIN_EXE_tagrail"),
        desk.path().display()
    );
    let mut program = Program::start("sh", ["-c", &line], &[]);
    assert!(program.line("there are no teams").contains("--data-dir DIR"));
    program.line("on http://127.0.0.1:");
}

#[test]
fn a_place_that_somebody_named_must_do() {
    let desk = Desk::with(
        "{model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k}}], general_settings: {master_key: sk-1234}}",
    );
    for (line, environment, words) in [
        ("--data-dir /sys/no", &[] as &[(&str, &str)], "nothing is started"),
        ("--database-url sqlite:/sys/no/tagrail.db", &[], "nothing is started"),
        ("", &[("DATABASE_URL", "mysql://root:planted@h/d")], "`mysql:`"),
    ] {
        let ended = desk.run_with(&format!("--config config.yaml --port 0 {line}"), environment);
        assert_eq!(ended.code, 1, "{line}: {}", ended.err);
        assert!(ended.err.contains(words) && !ended.err.contains("planted"), "{line}: {}", ended.err);
    }
}

#[tokio::test]
async fn check_names_the_teams_of_a_store_and_changes_nothing_in_it() {
    let shared = "\
model_list:
  - {model_name: g, litellm_params: {model: openai/a, api_key: k, tags: [teamA, teamB]}, model_info: {id: both}}
router_settings: {enable_tag_filtering: true}
general_settings: {master_key: sk-1234}
";
    let gateway = Gateway::start(shared);
    let admin = Admin::of(&gateway);
    admin.run("team new --alias blue --tag teamA");
    admin.run("team new --alias red --tag teamB");
    let folder = gateway.directory.as_ref().unwrap().path().display().to_string();
    let desk = Desk::with(shared);
    let alone = desk.run("check config.yaml");
    assert!(!alone.out.contains("shared-reservation"), "{}", alone.out);
    let beside = desk.run(&format!("check config.yaml --data-dir '{folder}'"));
    assert_eq!(beside.code, 0, "{}", beside.err);
    let sentence = "`both` is reached by team `blue` through `teamA`, and by team `red` through `teamB`";
    assert!(beside.out.contains(sentence) && beside.out.contains("config.yaml:2:"), "{}", beside.out);
    let nothing = desk.run("check config.yaml --data-dir .");
    assert!(
        nothing.code == 1 && nothing.err.contains("no teams have ever been kept there"),
        "{}",
        nothing.err
    );
    assert!(!desk.path().with_file_name("tagrail.db").exists());

    let postgres = Postgres::database();
    let nothing = desk.run(&format!("check config.yaml --database-url {postgres}"));
    assert!(nothing.err.contains("no teams have ever been kept there"), "{}", nothing.err);
    assert_eq!(
        Postgres::sql(&postgres, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").trim(),
        "0"
    );
}

#[test]
fn explain_asks_as_a_caller_who_holds_what_the_flags_say() {
    let upstream = FakeUpstream::start();
    let desk = Desk::with(&two_teams(&upstream));
    let first = |flags: &str| {
        let ended = desk.run(&format!("explain -c config.yaml -m g {flags} --json"));
        let answer: Value = serde_json::from_str(&ended.out).unwrap();
        answer["decision"]["first"]
            .as_str()
            .map_or_else(|| answer["decision"]["status"].to_string(), str::to_owned)
    };
    assert_eq!(first("--tag teamB"), "team-b-model", "the admin reaches everything");
    assert_eq!(first("--team-tag teamA --reserved teamB"), "team-a-model");
    assert_eq!(first("--team-tag teamA --reserved teamB --tag teamB"), "team-a-model");
    assert_eq!(first("--reserved teamB --tag teamB"), "default-model", "an unknown tag falls to the default");
    assert_eq!(first("--key-tag teamB --reserved teamB"), "team-b-model");
    let told = desk.run("explain -c config.yaml -m g --team-tag teamA --reserved teamB").out;
    assert!(told.contains("teamA (team)") && told.contains("team-b-model"), "{told}");
}

#[tokio::test]
async fn keys_of_litellm_work_here_after_the_import() {
    let theirs = Postgres::database();
    Postgres::sql(
        &theirs,
        "CREATE TABLE \"LiteLLM_TeamTable\" (team_id TEXT PRIMARY KEY, team_alias TEXT, metadata JSONB);
         CREATE TABLE \"LiteLLM_VerificationToken\" (token TEXT PRIMARY KEY, key_name TEXT, team_id TEXT, spend REAL);
         INSERT INTO \"LiteLLM_TeamTable\" VALUES ('t', 'blue', '{\"tags\": [\"route:teamA\"]}');
         INSERT INTO \"LiteLLM_VerificationToken\" VALUES
             (encode(sha256('sk-of-litellm-0123456789'), 'hex'), 'sk-...6789', 't', 1.5),
             (encode(sha256('sk-of-nobody-0123456789'), 'hex'), 'sk-...body', 'gone', 0);",
    );
    let upstream = FakeUpstream::start();
    let config = two_teams(&upstream)
        .replace("\"enable_tag_filtering\"", "\"tag_routing_prefix\": \"route:\", \"enable_tag_filtering\"");
    let gateway = Gateway::start(&config);
    let key = "sk-of-litellm-0123456789";
    assert_eq!(served_by(&gateway, key, &json!({})).await, Err(401));
    let folder = gateway.directory.as_ref().unwrap().path().display().to_string();
    let admin = Admin::of(&gateway);
    let line = format!(
        "import litellm --database-url {theirs} --config '{folder}/config.yaml' --data-dir '{folder}'"
    );
    let dry = admin.desk.run(&format!("{line} --dry-run"));
    assert!(dry.out.contains("teams  1 of 1 would come"), "{}{}", dry.out, dry.err);
    assert_eq!(admin.run("team list"), "there are no teams\n");

    let ended = admin.desk.run(&line);
    assert_eq!(ended.code, 1, "one of its keys could not come");
    for words in
        ["teams  1 of 1 came", "keys   1 of 2 came, 1 could not", "team `gone` does not exist", "teamA"]
    {
        assert!(ended.out.contains(words), "{words}: {}{}", ended.out, ended.err);
    }
    // The running gateway takes notice by itself.
    let deadline = std::time::Instant::now() + tagrail_testkit::PATIENCE;
    while served_by(&gateway, key, &json!({})).await.as_deref() != Ok("team-a-model") {
        assert!(std::time::Instant::now() < deadline, "the key never worked");
    }
    let again = admin.desk.run(&format!("{line} --json"));
    let report: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((&report["keys"]["present"], &report["keys"]["brought"]), (&json!(1), &json!(0)));
    assert_eq!(report["reserved"], json!([]));
    let outsider = text(&admin.json("key generate")["key"]);
    let asked = json!({"tags": ["teamA"]});
    assert_eq!(served_by(&gateway, &outsider, &asked).await.as_deref(), Ok("default-model"));
    let wrong = admin.desk.run("import litellm --database-url postgres://u:planted@127.0.0.1:1/d");
    assert!(wrong.code == 1 && wrong.err.contains("LiteLLM's database"), "{}", wrong.err);
    assert!(!wrong.err.contains("planted"), "{}", wrong.err);
}
