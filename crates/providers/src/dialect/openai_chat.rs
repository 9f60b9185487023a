//! OpenAI's Chat Completions, as its public API reference describes them: what clients speak.

mod reply;
mod request;
mod schema;
mod stream;

pub(crate) use reply::reply;
pub(crate) use request::decode;
pub(crate) use stream::{Chunks, error_frame};
