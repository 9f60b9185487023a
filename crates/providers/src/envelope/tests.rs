use bytes::Bytes;

use super::{Envelope, EnvelopeError, MetadataRule, Rewrite};

const PLAIN: Rewrite<'_> =
    Rewrite { model: "up", ask_usage: false, metadata: MetadataRule::Drop, drop_user: false, defaults: &[] };

fn read(body: &str) -> Result<Envelope, EnvelopeError> {
    Envelope::read(Bytes::copy_from_slice(body.as_bytes()))
}

fn rewritten(body: &str, rewrite: &Rewrite<'_>) -> String {
    let pieces = read(body).unwrap().rewrite(rewrite);
    String::from_utf8(pieces.concat()).unwrap()
}

#[test]
fn smoke() {
    let body = r#"{"model":"m","tags":["a"],"messages":[{"role":"user","content":"hi\n"}],"stream":true}"#;
    let envelope = read(body).unwrap();
    assert_eq!(envelope.model().as_deref(), Some("m"));
    assert_eq!(envelope.tags().unwrap(), ["a"]);
    assert!(envelope.stream());
    assert_eq!(
        rewritten(body, &PLAIN),
        r#"{"model":"up","messages":[{"role":"user","content":"hi\n"}],"stream":true}"#
    );
}
