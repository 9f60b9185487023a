//! What reading and rewriting a request body costs, by its size.
//!
//! The bodies are chats whose text has an escape every 200 bytes or so, as prose has line breaks;
//! `utf8` is the same in a script of two-byte letters.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tagrail_providers::{Envelope, MetadataRule, Rewrite};

const REWRITE: Rewrite<'_> = Rewrite {
    model: "gpt-4o-mini-2024-07-18",
    ask_usage: true,
    metadata: MetadataRule::Drop,
    drop_user: true,
    previous_response: None,
    defaults: &[],
};

/// A chat of about `size` bytes in messages of at most 8 kB.
fn chat(size: usize, word: &str) -> Bytes {
    let line = word.repeat(200 / word.len()) + "\\n";
    let mut body = String::from(
        r#"{"model":"gpt-4o-mini","stream":true,"temperature":0.2,"max_tokens":512,"tags":["paid","eu"],"metadata":{"trace":"c0ffee"},"user":"u-17","messages":[{"role":"system","content":"Be brief."}"#,
    );
    while body.len() + 40 < size {
        let lines = (size - body.len()).min(8192).div_ceil(line.len());
        body += r#",{"role":"user","content":""#;
        body += &line.repeat(lines);
        body += "\"}";
    }
    Bytes::from(body + "]}")
}

fn read_and_rewrite(criterion: &mut Criterion) {
    for (name, size, word) in [
        ("500 B", 500, "lorem ipsum "),
        ("20 kB", 20_000, "lorem ipsum "),
        ("200 kB", 200_000, "lorem ipsum "),
        ("200 kB utf8", 200_000, "лорем ипсум "),
    ] {
        let body = chat(size, word);
        let mut group = criterion.benchmark_group("envelope");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::new("read", name), &body, |bencher, body| {
            bencher.iter(|| Envelope::read(black_box(body.clone())).map(|envelope| envelope.stream()));
        });
        let Ok(envelope) = Envelope::read(body.clone()) else { return };
        group.bench_with_input(BenchmarkId::new("rewrite", name), &envelope, |bencher, envelope| {
            bencher.iter(|| black_box(envelope).rewrite(black_box(&REWRITE)));
        });
        group.finish();
    }
}

criterion_group!(benches, read_and_rewrite);
criterion_main!(benches);
