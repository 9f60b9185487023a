//! `tagrail-fuzz TARGET [SECONDS [SEED]]` runs mutated inputs; `tagrail-fuzz TARGET FILE` one input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tagrail_fuzz::{Mutator, TARGETS, Target};

/// An input that takes longer is a finding too.
const SLOW: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments = arguments.iter().map(String::as_str);
    let name = arguments.next().unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: tagrail-fuzz {} [SECONDS [SEED] | FILE]", names.join("|"));
        return ExitCode::from(2);
    };
    match arguments.next().map(|argument| (argument, argument.parse::<u64>())) {
        Some((file, Err(_))) => replay(target, Path::new(file)),
        seconds => {
            let seconds = seconds.map_or(60, |(_, seconds)| seconds.unwrap_or(60));
            let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
            fuzz(target, Duration::from_secs(seconds), seed)
        }
    }
}

fn replay(target: &Target, file: &Path) -> ExitCode {
    match fs::read(file) {
        Ok(input) => {
            (target.run)(&input);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            ExitCode::from(2)
        }
    }
}

fn fuzz(target: &Target, time: Duration, seed: u64) -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let corpus = read_corpus(&folder);
    let mut mutator = Mutator::new(seed, target.dictionary);
    let (start, mut inputs) = (Instant::now(), 0u64);
    while start.elapsed() < time {
        let input = mutator.next(&corpus);
        inputs += 1;
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(|| (target.run)(&input));
        if outcome.is_err() || begun.elapsed() > SLOW {
            let file = folder.join(format!("crash-{seed}-{inputs}"));
            let kept = fs::write(&file, &input);
            eprintln!(
                "input {inputs} of seed {seed} fails: {} ({} bytes) {kept:?}",
                file.display(),
                input.len()
            );
            return ExitCode::FAILURE;
        }
    }
    eprintln!(
        "{}: {inputs} inputs of seed {seed}, from {} in the corpus, all fine",
        target.name,
        corpus.len()
    );
    ExitCode::SUCCESS
}

/// In the order of their names, so that a seed means the same everywhere.
fn read_corpus(folder: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| fs::read(file).ok()).collect()
}
