//! Keys themselves: how one is made, what one may look like, and how one is named afterwards, when the
//! key itself is nowhere any more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use tagrail::config::GeneralSettings;
use tagrail_providers::Secret;

use crate::error::Problem;

/// 192 bits: nobody guesses one, also not one of a million.
const RANDOM_BYTES: usize = 24;

/// LiteLLM's least length of a key that somebody chose.
const SHORTEST: usize = 16;

/// More would not fit beside the other headers of a request.
const LONGEST: usize = 1024;

/// A new key, from the system's own source of randomness.
pub(crate) fn mint() -> Result<Secret, Problem> {
    let mut bytes = [0_u8; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The system gives no random numbers; no key was made.",
        )
    })?;
    Ok(Secret::new(format!("sk-{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// A key that the admin chose. Nothing of it is in the refusal.
pub(crate) fn chosen(key: &str, general: &GeneralSettings, field: &'static str) -> Result<Secret, Problem> {
    let refuse = |message: &str| {
        Err(Problem::new(StatusCode::BAD_REQUEST, message).kind("bad_request_error").param(field))
    };
    if !key.starts_with("sk-") {
        return refuse("Invalid key format. LiteLLM Virtual Key must start with 'sk-'. Received: ****");
    }
    if key.len() < SHORTEST {
        return refuse("Invalid key format. LiteLLM Virtual Key must be at least 16 characters long.");
    }
    if key.len() > LONGEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(
            "Invalid key format. A key is sent in a header: at most 1024 visible ASCII characters, no spaces.",
        );
    }
    if general.master_key.as_ref().is_some_and(|master| master.reveal() == key) {
        return refuse("The master key cannot be a virtual key as well.");
    }
    Ok(Secret::new(key))
}

/// `token`: lower-case hex of a key's SHA-256.
pub(crate) fn hash(key: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(key.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// `key_name`: enough to tell keys apart, and not enough to use one.
pub(crate) fn name(key: &str) -> String {
    format!("sk-...{}", &key[key.len() - 4..])
}

/// The hash that somebody means who sends a key or its hash.
pub(crate) fn meant(key_or_hash: &str) -> String {
    if is_hash(key_or_hash) { key_or_hash.to_ascii_lowercase() } else { hash(key_or_hash) }
}

/// Whether it is a hash already. Keys begin with `sk-`, which is no hex.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A path as it may be logged: `/key/{key}/regenerate` has a key in it, and whoever mistypes a path
/// may put one anywhere.
pub(crate) fn path_to_log(path: &str) -> String {
    let hidden = |part: &str| {
        let plain = percent_decode_str(part).decode_utf8_lossy().to_ascii_lowercase();
        if plain.contains("sk-") { "****".to_owned() } else { part.to_owned() }
    };
    path.split('/').map(hidden).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_192_random_bits_and_a_name_that_tells_four_characters() {
        let (one, other) = (mint().unwrap(), mint().unwrap());
        let (one, other) = (one.reveal(), other.reveal());
        assert_ne!(one, other);
        let bits = URL_SAFE_NO_PAD.decode(one.strip_prefix("sk-").unwrap()).unwrap();
        assert_eq!(bits.len() * 8, 192);
        assert_eq!(name(one), format!("sk-...{}", &one[one.len() - 4..]));
    }

    #[test]
    fn a_key_and_its_hash_name_the_same_key() {
        // From LiteLLM's own answer to `sk-nope`.
        assert!(hash("sk-nope").starts_with("1a00a2f8f8e7"));
        assert_eq!(meant("sk-nope"), hash("sk-nope"));
        assert_eq!(meant(&hash("sk-nope").to_uppercase()), hash("sk-nope"));
    }

    #[test]
    fn a_path_is_logged_without_the_key_in_it() {
        for key in ["sk-abcdefghijklmnop", "%73k-abcdefghijklmnop", "%73%6B%2Dabc", "x%2Fsk-abc", "SK-abc"] {
            assert_eq!(path_to_log(&format!("/key/{key}/regenerate")), "/key/****/regenerate");
        }
        assert_eq!(path_to_log("/v1/models/a%2Fb"), "/v1/models/a%2Fb");
    }
}
