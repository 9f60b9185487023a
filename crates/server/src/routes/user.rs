//! Users, as far as keys and teams need them.

use crate::app::Shared;
use crate::routes::Route;

/// What there is.
pub(crate) const ROUTES: &[Route] = &[];

/// The handlers of [`ROUTES`].
pub(crate) fn router() -> axum::Router<Shared> {
    axum::Router::new()
}
