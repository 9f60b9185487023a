//! The commands as a person types them: what they print, and how they end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

mod gateway;

use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Program, config_text, deployment};

use gateway::desk::Desk;
use gateway::{Gateway, shell};

const TIERS: &str = "\
model_list:
  - {model_name: gpt-4, litellm_params: {model: openai/small, api_key: k, tags: [free]}, model_info: {id: free-model}}
  - {model_name: gpt-4, litellm_params: {model: openai/large, api_key: k, tags: [paid, eu]}, model_info: {id: paid-model}}
  - {model_name: gpt-4, litellm_params: {model: openai/rest, api_key: k, tags: [default]}, model_info: {id: rest}}
  - {model_name: \"groq/*\", litellm_params: {model: \"groq/*\", api_key: k}, model_info: {id: groq}}
router_settings: {enable_tag_filtering: true}
general_settings: {master_key: sk-1234}
";

#[test]
fn check_sums_up_a_good_file() {
    let ended = Desk::with(TIERS).run("check config.yaml");
    assert_eq!(ended.code, 0, "{}", ended.out);
    let (found, _) = ended.out.split_once("routing modes").unwrap();
    assert_eq!(
        found,
        "config.yaml: 0 errors, 0 warnings\n\
         4 deployments in 2 groups, routing mode tagrail\n  \
           groups     gpt-4   free-model, paid-model, rest\n  \
           wildcards  groq/*  groq\n  \
           tags       default, eu, free, paid\n"
    );
}

#[test]
fn the_examples_have_no_mistakes() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let ended = Desk::with(TIERS).run(&format!("check '{}' --json", path.display()));
            assert_eq!(ended.code, 0, "{}", ended.out);
            let report: Value = serde_json::from_str(&ended.out).unwrap();
            for found in report["diagnostics"].as_array().unwrap() {
                assert_eq!(found["code"], "unset-variable", "{}: {found}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn check_says_what_reservations_close_and_what_opens_without_them() {
    let desk = Desk::with(&TIERS.replace("{master", "{reserved_tags: [paid], master"));
    let ended = desk.run("check config.yaml");
    assert_eq!(ended.code, 0, "{}", ended.out);
    let words = "  reserved   paid\n             `tag_grants: false` would open paid-model\n";
    assert!(ended.out.contains(words), "{}", ended.out);
    let report: Value = serde_json::from_str(&desk.run("check config.yaml --json").out).unwrap();
    assert_eq!(report["summary"]["closed"], json!(["paid-model"]));

    let off = "{tag_grants: false, reserved_tags: [paid], master";
    let ended = Desk::with(&TIERS.replace("{master", off)).run("check config.yaml");
    assert!(ended.out.contains("every caller that names their tags reaches `paid-model`"), "{}", ended.out);
    assert!(!ended.out.contains("would open"), "{}", ended.out);
}

#[test]
fn check_shows_where_the_modes_differ() {
    let config = TIERS.replace("groq/*\"", "gr*oq\"").replace("{enable", "{routing_mode: litellm, enable");
    let desk = Desk::with(&config);
    let ended = desk.run("check config.yaml");
    assert!(ended.out.contains("routing modes tagrail and litellm answer differently"), "{}", ended.out);
    let ended = desk.run("check config.yaml --json");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let witnesses = report["mode_differences"]["witnesses"].as_array().unwrap();
    let open_end = witnesses.iter().find(|found| {
        let served = &found["litellm"]["served_by"];
        served[0]["id"] == "groq" && found["tagrail"]["status"] == 400
    });
    assert!(open_end.is_some(), "{witnesses:#?}");
}

#[test]
fn check_warns_with_a_line_and_the_nearest_key() {
    let ended = Desk::with(&TIERS.replace("{enable", "{num_retires: 2, enable")).run("check config.yaml");
    assert_eq!(ended.code, 0, "{}", ended.out);
    for words in ["warning", "config.yaml:6", "num_retries", "0 errors, 1 warning"] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
}

#[test]
fn check_fails_on_errors_and_still_says_what_serves() {
    let ended = Desk::with(&TIERS.replace("tags: [free]", "tags: free")).run("check config.yaml");
    assert_eq!(ended.code, 1, "{}", ended.out);
    for words in [
        "config.yaml:2",
        "1 error",
        "1 error leaves a deployment out\n",
        "3 deployments in 2 groups, 1 left out, routing mode",
        "left out   config.yaml:2  gpt-4  free-model\n",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
}

#[test]
fn check_says_what_stops_the_start() {
    let config = TIERS.replace("tags: [free]", "tags: free").replace("sk-1234", "os.environ/NOT_SET");
    let ended = Desk::with(&config).run("check config.yaml");
    assert!(
        ended.out.contains("1 error stops the start; 1 error leaves a deployment out\n"),
        "{}",
        ended.out
    );
    assert_eq!(ended.out.matches("NOT_SET` is not set").count(), 0, "{}", ended.out);
    assert_eq!(ended.out.matches("`NOT_SET`, which is not set").count(), 1, "{}", ended.out);
    let strict =
        TIERS.replace("tags: [free]", "tags: free").replace("{master", "{strict_config: true, master");
    let ended = Desk::with(&strict).run("check config.yaml");
    assert!(ended.out.contains("`strict_config` is on, so nothing is started"), "{}", ended.out);
}

#[test]
fn check_ends_where_nobody_would_read_on() {
    let deployment = |n: usize, params: &str| {
        format!("- {{model_name: m{n}, litellm_params: {{model: openai/m, {params}}}}}\n")
    };
    let unset = (0..500).map(|n| deployment(n, &format!("api_key: os.environ/UNSET_{}", n % 5)));
    let wrong = (0..50).map(|n| deployment(n, "order: x"));
    let desk =
        Desk::with(&format!("model_list:\n{}{}", unset.collect::<String>(), wrong.collect::<String>()));
    let ended = desk.run("check config.yaml");
    let (found, summary) = ended.out.split_once("config.yaml: 50 errors, 5 warnings").unwrap();
    assert_eq!(found.matches("warning[unset-variable]").count(), 5, "{found}");
    assert!(found.contains("100 values are read from it"), "{found}");
    assert_eq!(found.matches("error[wrong-type]").count(), 20, "{found}");
    assert!(found.contains("\u{2026} and 30 more of `wrong-type`"), "{found}");
    assert!(summary.contains("\u{2026} and 30 more\n"), "{summary}");
    assert!(summary.contains("\u{2026} and 400 more\n") && !summary.contains("m450"), "{summary}");
    let report: Value = serde_json::from_str(&desk.run("check config.yaml --json").out).unwrap();
    assert_eq!(report["diagnostics"].as_array().unwrap().len(), 55);
}

#[test]
fn check_compares_the_modes_by_the_names_that_people_call() {
    let config = TIERS.replace("free-model", "a-model").replace("{enable", "{routing_mode: litellm, enable");
    let report: Value =
        serde_json::from_str(&Desk::with(&config).run("check config.yaml --json").out).unwrap();
    let witnesses = report["mode_differences"]["witnesses"].as_array().unwrap();
    let place = |name: &str| witnesses.iter().position(|found| found["model"] == name);
    assert!(place("groq/x") < place("a-model"), "{witnesses:#?}");
    assert!(place("groq/x").is_some(), "{witnesses:#?}");
}

#[test]
fn check_speaks_to_machines() {
    let ended = Desk::with(&TIERS.replace("tags: [free]", "tags: free")).run("check config.yaml --json");
    assert_eq!(ended.code, 1);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["diagnostics"][0]["severity"], "error");
    assert_eq!(report["diagnostics"][0]["line"], 2);
    assert_eq!(report["summary"]["wildcards"], json!([{"name": "groq/*", "deployments": ["groq"]}]));
}

#[test]
fn what_is_no_configuration_is_an_error_and_a_wrong_call_is_another() {
    let desk = Desk::with("model_list: [\n");
    assert_eq!(desk.run("check config.yaml").code, 1);
    assert_eq!(desk.run("check nowhere.yaml").code, 1);
    assert_eq!(desk.run("explain -c nowhere.yaml -m gpt-4").code, 1);
    for line in ["check", "--no-such-flag", "explain -c config.yaml", "explain -m x", "--port 1", "--port x"]
    {
        let ended = desk.run(line);
        assert_eq!(ended.code, 2, "{line}: {}", ended.err);
        assert!(!ended.err.is_empty(), "{line}");
    }
    let ended = desk.run("--config config.yaml --port 0");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("config.yaml:"), "{}", ended.err);
}

#[test]
fn explain_says_why_for_every_deployment() {
    let ended = Desk::with(TIERS).run("explain --config config.yaml --model gpt-4 --tag free --tag '!eu'");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[0], "model    gpt-4, which leads to gpt-4 by model_name");
    assert_eq!(lines[1], "tags     free (body tags), !eu (body tags)");
    assert!(lines.contains(&"plan     free-model as openai/small"), "{}", ended.out);
    let verdicts = &lines[lines.len() - 3..];
    for (line, id, verdict) in [
        (verdicts[0], "free-model", "kept"),
        (verdicts[1], "paid-model", "removed by tags"),
        (verdicts[2], "rest", "removed by tags"),
    ] {
        assert!(line.trim_start().starts_with(id) && line.contains(verdict), "{}", ended.out);
    }
    // Verdicts stand in one column, so that the eye can run down it.
    let columns: Vec<usize> =
        verdicts.iter().map(|line| line.find("kept").or(line.find("removed")).unwrap()).collect();
    assert!(columns.iter().all(|column| *column == columns[0]), "{}", ended.out);
}

#[test]
fn explain_reads_headers_and_wildcards() {
    let desk = Desk::with(TIERS);
    let ended = desk.run("explain -c config.yaml -m gpt-4 --header 'x-litellm-tags=paid'");
    assert!(ended.out.contains("tags     paid (header x-litellm-tags)"), "{}", ended.out);
    assert!(ended.out.contains("plan     paid-model as openai/large"), "{}", ended.out);
    let ended = desk.run("explain -c config.yaml -m groq/llama3-8b-8192");
    assert!(ended.out.contains("plan     groq as groq/llama3-8b-8192"), "{}", ended.out);
}

#[test]
fn explain_shows_what_was_left_out_and_what_comes_after() {
    let config = TIERS.replace("tags: [default]", "tags: default").replace(
        "{enable",
        "{num_retries: 7, fallbacks: [{gpt-4: [groq/a]}], default_fallbacks: [groq/b], enable",
    );
    let desk = Desk::with(&config);
    let ended = desk.run("explain -c config.yaml -m gpt-4 -t nope");
    for words in [
        "retries  7\n",
        "instead  groq/a (fallbacks)\n",
        "instead  groq/b (default_fallbacks)\n",
        "rest",
        "left out",
        "config.yaml:4:",
        "as above",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    assert_eq!(ended.out.matches("no deployment of the group carries").count(), 1, "{}", ended.out);
    let ended = desk.run("explain -c config.yaml -m gpt-4 -t free --json");
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(told["num_retries"], 7);
    assert_eq!(told["fallbacks"]["general"], json!(["groq/a"]));
    assert_eq!(told["fallbacks"]["default"], json!(["groq/b"]));
    assert_eq!(told["deployments"][2]["id"], "rest");
    assert_eq!(told["deployments"][2]["stage"], "config");
}

#[test]
fn explain_ends_with_1_when_the_request_is_refused() {
    let desk = Desk::with(TIERS);
    let ended = desk.run("explain -c config.yaml -m gpt-4 --tag '&free' --tag '&paid'");
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("refused  401 Not allowed to access model"), "{}", ended.out);
    let ended = desk.run("explain -c config.yaml -m nothing --json");
    assert_eq!(ended.code, 1);
    let answer: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(answer["decision"]["status"], 400);
    assert_eq!(answer["deployments"], json!([]));
}

#[tokio::test]
async fn explain_says_what_the_running_gateway_says() {
    let config = TIERS.replace("tags: [default]", "tags: [default], order: x").replace(
        "{enable",
        "{num_retries: 7, fallbacks: [{gpt-4: [groq/a]}], default_fallbacks: [groq/b], enable",
    );
    let desk = Desk::with(&config);
    let gateway = Gateway::start(&config);
    for (flags, headers, body) in [
        ("-m gpt-4 --tag free", vec![], json!({"model": "gpt-4", "tags": ["free"]})),
        (
            "-m gpt-4 --tag '!eu' -H x-litellm-tags=paid",
            vec![("x-litellm-tags", "paid")],
            json!({"model": "gpt-4", "tags": ["!eu"]}),
        ),
        ("-m groq/x", vec![], json!({"model": "groq/x"})),
        ("-m nothing", vec![], json!({"model": "nothing"})),
    ] {
        let ended = desk.run(&format!("explain -c config.yaml {flags} --json"));
        let told: Value = serde_json::from_str(&ended.out).unwrap();
        let mut answered = gateway.post("/route/explain", &headers, &body).await.json();
        // The gateway was given another path of the same file.
        for deployment in answered["deployments"].as_array_mut().unwrap() {
            let text = deployment["text"].as_str().unwrap();
            let path = text.find("config.yaml:").unwrap_or(0);
            deployment["text"] = json!(text[path..]);
        }
        assert_eq!(told, answered, "{flags}");
    }
}

#[test]
fn help_comes_with_examples() {
    let desk = Desk::with(TIERS);
    for line in [
        "--help",
        "serve --help",
        "demo --help",
        "check --help",
        "explain --help",
        "team --help",
        "team new --help",
        "key generate --help",
        "spend report --help",
        "import litellm --help",
    ] {
        let ended = desk.run(line);
        assert_eq!(ended.code, 0);
        assert!(ended.out.contains("Examples:\n  tagrail"), "{line}: {}", ended.out);
    }
    assert_eq!(desk.run("--version").out, format!("tagrail {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn flags_of_litellm_are_understood_or_named() {
    let upstream = FakeUpstream::start();
    let desk = Desk::with(&config_text(&[deployment("m", "up", &[], &upstream.base())], &json!({})));
    let config = desk.path();
    let arguments = ["--config", config.to_str().unwrap(), "--port", "0", "--host", "127.0.0.1"];
    let more = ["--num_workers", "1", "--detailed_debug", "--telemetry", "False", "--run_gunicorn"];
    let data = [("TAGRAIL_DATA_DIR", desk.folder())];
    let mut program = Program::start(env!("CARGO_BIN_EXE_tagrail"), arguments.iter().chain(&more), &data);
    program.line("--telemetry is ignored");
    program.line("--run-gunicorn is ignored");
    program.line("on http://127.0.0.1:");
    let refused = desk.run("--config config.yaml --ssl_keyfile_path key.pem");
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("plain text"), "{}", refused.err);
}

#[tokio::test]
async fn a_start_with_mistakes_says_them_and_serves_the_rest() {
    let upstream = FakeUpstream::start();
    let good = deployment("m", "up", &[], &upstream.base());
    let mut bad = deployment("m", "down", &[], &upstream.base());
    bad["litellm_params"]["tags"] = json!("free");
    let mut gateway = Gateway::start(&config_text(&[good.clone(), bad.clone()], &json!({})));
    assert!(gateway.program.seen().iter().any(|line| line.contains("error")), "{:?}", gateway.program.seen());
    assert!(gateway.program.line("on http://").contains("1 deployment in 1 group"));
    assert_eq!(gateway.chat("m", &[], &json!({})).await.header("x-litellm-model-id"), "up");

    let strict = json!({"general_settings": {"strict_config": true}});
    let ended = Desk::with(&config_text(&[good, bad], &strict)).run("--config config.yaml --port 0");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("cannot be served"), "{}", ended.err);
}

#[tokio::test]
async fn without_a_master_key_it_listens_on_loopback_alone() {
    let upstream = FakeUpstream::start();
    let open = json!({"model_list": [deployment("m", "up", &[], &upstream.base())]}).to_string();
    let desk = Desk::with(&open);
    let config = desk.path();
    let arguments = ["--config", config.to_str().unwrap(), "--port", "0"];
    let data = [("TAGRAIL_DATA_DIR", desk.folder())];
    let mut program = Program::start(env!("CARGO_BIN_EXE_tagrail"), arguments, &data);
    // Whoever has lost it must not believe that keys and teams still confine anybody.
    assert!(program.line("no master key").contains("hold for nobody"));
    program.line("on http://127.0.0.1:");

    let locked = config_text(&[deployment("m", "up", &[], &upstream.base())], &json!({}));
    std::fs::write(&config, locked).unwrap();
    drop(program);
    Program::start(env!("CARGO_BIN_EXE_tagrail"), arguments, &data).line("on http://0.0.0.0:");
}

#[test]
fn without_a_master_key_no_other_host_is_started_on() {
    let desk = Desk::with("model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k}}]");
    for host in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
        let ended = desk.run(&format!("--config config.yaml --port 0 --host {host}"));
        assert_eq!(ended.code, 1, "{host}");
        for words in [host, "general_settings.master_key", "LITELLM_MASTER_KEY"] {
            assert!(ended.err.contains(words), "{words}: {}", ended.err);
        }
    }
    let config = desk.path();
    for host in ["localhost", "127.0.0.2", "::ffff:127.0.0.1"] {
        let arguments = ["--config", config.to_str().unwrap(), "--port", "0", "--host", host];
        let data = [("TAGRAIL_DATA_DIR", desk.folder())];
        Program::start(env!("CARGO_BIN_EXE_tagrail"), arguments, &data).line("on http://");
    }
}

#[tokio::test]
async fn every_line_that_the_demo_prints_works() {
    let mut gateway = Gateway::demo();
    gateway.program.line("Ctrl-C");
    let mut promised = None;
    let mut tried = 0;
    for line in gateway.program.seen().to_vec() {
        if line.starts_with("# teams") {
            break;
        }
        if let Some((_, header)) = line.split_once("; look for  ") {
            promised = Some(header.to_owned());
        }
        if line.starts_with("curl ") {
            let printed = shell::curl(&shell::words(&line)[1..], gateway.address).await;
            assert!(printed.starts_with("HTTP/1.1 200 OK\n"), "{line}\n{printed}");
            let promised = promised.take().unwrap();
            assert!(printed.contains(&promised), "{line}\n{printed}");
            tried += 1;
        }
    }
    assert_eq!(tried, 9, "and the teams' lines have a test of their own");
}

#[tokio::test]
async fn the_teams_of_the_demo_are_made_as_it_prints_and_gone_when_it_ends() {
    let temporary = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::demo_in(temporary.path());
    gateway.program.line("Ctrl-C");
    let (mut kept, mut promised, mut answered) = (Vec::<(String, String)>::new(), None, 0);
    for mut line in gateway.program.seen().to_vec() {
        for (name, value) in &kept {
            line = line.replace(&format!("${name}"), value);
        }
        if let Some(header) = line.strip_prefix("# look for  ") {
            promised = Some(header.to_owned());
        } else if let Some((name, rest)) = line.split_once("=$(") {
            // What the pipe behind it would take out of the answer.
            let (command, pipe) = rest.split_once(" | grep -o ").unwrap();
            let field = pipe.split('"').nth(1).unwrap();
            let printed = shell::curl(&shell::words(command)[1..], gateway.address).await;
            let needle = format!("\"{field}\":\"");
            let value = printed.split(&needle).nth(1).unwrap_or_else(|| panic!("{line}\n{printed}"));
            kept.push((name.to_owned(), value.split('"').next().unwrap().to_owned()));
        } else if let Some(promised) = promised.take() {
            let printed = shell::curl(&shell::words(&line)[1..], gateway.address).await;
            assert!(printed.contains(&promised), "{line}\n{printed}");
            answered += 1;
        }
    }
    assert_eq!((kept.len(), answered), (4, 3));
    let left = || std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left(), 1, "its teams are somewhere");
    gateway.program.terminate();
    let (status, lines) = gateway.program.end();
    assert!(status.success(), "{lines:#?}");
    assert_eq!(left(), 0, "and gone with it");
}

#[test]
fn without_arguments_it_is_the_demo() {
    let temporary = tempfile::tempdir().unwrap();
    let environment = [("PORT", "0"), ("TMPDIR", temporary.path().to_str().unwrap())];
    let mut program = Program::start(env!("CARGO_BIN_EXE_tagrail"), [""; 0], &environment);
    assert!(program.line("on http://").starts_with("tagrail demo on http://127.0.0.1:"));
}

#[test]
fn a_taken_port_comes_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ended = Desk::with(TIERS).run(&format!("demo --port {port}"));
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains(&format!("port {port} is taken")), "{}", ended.err);
    assert!(ended.err.contains("tagrail demo --port"), "{}", ended.err);
}
