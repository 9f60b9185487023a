//! The SDK: one call from admission to outcome.
