//! One line in the log for every finished call, without what a client or an upstream wrote.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tagrail_testkit::Reply;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_default;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::rig::Rig;

/// Keeps the lines of finished calls.
#[derive(Clone)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "tagrail::outcome"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_finished_call_is_one_line_and_louder_when_it_failed() {
    let lines = Lines(Arc::default());
    let _guard = set_default(lines.clone());
    let rig = Rig::new(&[("g", "a", &[])], &json!({"router_settings": {"num_retries": 0}}));
    rig.chat("g", json!({"user": "private"})).await.unwrap();
    let text = json!({"error": {"message": "private"}});
    rig.upstream.reply(Reply::json(503, &text));
    rig.chat("g", json!({})).await.unwrap_err();
    let lines = lines.0.lock().unwrap();
    assert!(matches!(lines.as_slice(), [(Level::DEBUG, _), (Level::INFO, _)]), "{lines:?}");
    for (line, status) in lines.iter().zip(["200", "503"]) {
        let wanted = format!("operation=\"chat_completions\" group=\"g\" deployment=\"a\" status={status}");
        assert!(line.1.contains(&wanted) && !line.1.contains("private"), "{line:?}");
    }
}
