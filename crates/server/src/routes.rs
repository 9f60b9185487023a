//! What each route does.

pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod metrics;
pub(crate) mod model;
pub(crate) mod model_info;
pub(crate) mod models;
pub(crate) mod probe;
