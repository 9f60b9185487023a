//! What of a deployment must not come back in an upstream's words.

use std::sync::Arc;

use crate::Secret;

/// Shorter ones are words that a message may hold by chance.
const SHORTEST: usize = 8;

/// Every secret that goes out with a call: shared, so that a call copies none of them.
#[derive(Clone)]
pub(crate) struct Secrets(Arc<[Secret]>);

impl Secrets {
    /// A key and the values of headers, since nobody knows which of these are credentials. Of a
    /// value with a scheme (`Bearer …`) what follows the scheme counts as well.
    pub(crate) fn of<'a>(key: Option<&Secret>, values: impl Iterator<Item = &'a str>) -> Secrets {
        let parts = |value: &'a str| {
            let value = value.trim();
            [Some(value), value.rsplit_once(' ').map(|(_, credential)| credential)].into_iter().flatten()
        };
        let values = values.flat_map(parts).map(Secret::new);
        Secrets::listed(key.cloned().into_iter().chain(values).collect())
    }

    /// These and those.
    pub(crate) fn and(&self, more: &Secrets) -> Secrets {
        Secrets::listed(self.0.iter().chain(&*more.0).cloned().collect())
    }

    /// The longest first: a part of one must not be masked before the whole of it.
    fn listed(mut secrets: Vec<Secret>) -> Secrets {
        secrets.retain(|secret| secret.reveal().len() >= SHORTEST);
        secrets.sort_by_key(|secret| usize::MAX - secret.reveal().len());
        secrets.dedup();
        Secrets(secrets.into())
    }

    /// A text with every secret masked.
    pub(crate) fn masked(&self, mut text: String) -> String {
        for secret in &*self.0 {
            if text.contains(secret.reveal()) {
                text = text.replace(secret.reveal(), "***");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_is_masked_and_the_longer_of_two_first() {
        let key = Secret::new("sk-12345");
        let values = ["sk-12345-long", "Bearer tok-12345678", "short", " spaced-value "];
        let secrets = Secrets::of(Some(&key), values.into_iter());
        for (text, masked) in [
            ("key sk-12345-long.", "key ***."),
            ("key sk-12345.", "key ***."),
            ("Bearer tok-12345678", "***"),
            ("token tok-12345678", "token ***"),
            ("spaced-value", "***"),
            ("short Bearer", "short Bearer"),
        ] {
            assert_eq!(secrets.masked(text.to_owned()), masked);
        }
        let more = Secrets::of(Some(&Secret::new("sk-client-own")), [].into_iter());
        assert_eq!(secrets.and(&more).masked("sk-client-own sk-12345".to_owned()), "*** ***");
    }
}
