//! Compresses the price table for embedding: 346 kB of text that hardly anybody looks into are 44 kB
//! in the program.

use std::path::Path;
use std::{env, fs};

const TABLE: &str = "data/prices.csv";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={TABLE}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
    let compressed = miniz_oxide::deflate::compress_to_vec_zlib(&fs::read(TABLE)?, 10);
    fs::write(Path::new(&out).join("prices.zlib"), compressed)?;
    Ok(())
}
