//! Every kept input, through its target: what was found once is not found again.

use std::fs;
use std::path::Path;

use tagrail_fuzz::{Mutator, TARGETS};

#[test]
fn the_corpus_passes() {
    for target in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().path();
            let input = fs::read(&file).unwrap();
            let outcome = std::panic::catch_unwind(|| (target.run)(&input));
            assert!(outcome.is_ok(), "{}", file.display());
            inputs.push(input);
        }
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        inputs.sort();
        let mut mutator = Mutator::new(7, target.dictionary);
        for _ in 0..300 {
            (target.run)(&mutator.next(&inputs));
        }
    }
}
