//! Changing a record that others may change at the same time: it is read, changed and written back, and
//! when somebody else was faster, read and changed again. So two updates of different fields are both
//! kept, and one that is refused changes nothing.

use std::future::Future;
use std::sync::Arc;

use tagrail_store::{Store, StoreError, Tag, Team, User};

use crate::error::Problem;
use crate::ledger::Ledger;

/// How often somebody else may be faster. Each time one of them has got on.
pub(crate) const TRIES: usize = 50;

/// A record that is written back as a whole.
pub(crate) trait Record: Send + Sync + Sized + 'static {
    /// Reads it.
    fn read(
        store: Arc<dyn Store>,
        id: String,
    ) -> impl Future<Output = Result<Option<Self>, StoreError>> + Send + 'static;

    /// Writes it back; the tags are those that it reserves.
    fn write(
        self,
        store: Arc<dyn Store>,
        reserving: Vec<String>,
    ) -> impl Future<Output = Result<Self, StoreError>> + Send + 'static;
}

/// Changes a record; `None` when there is none. What `change` returns are the tags that the change
/// reserves.
pub(crate) async fn edit<T: Record>(
    ledger: &Ledger,
    id: &str,
    change: impl Fn(&mut T) -> Result<Vec<String>, Problem> + Send + Sync,
) -> Result<Option<T>, Problem> {
    for _ in 0..TRIES {
        let wanted = id.to_owned();
        let Some(mut record) = ledger.ask(|store| T::read(store, wanted)).await? else { return Ok(None) };
        let reserving = change(&mut record)?;
        let write = |store| async move {
            match record.write(store, reserving).await {
                Ok(written) => Ok(Written::Now(written)),
                Err(StoreError::Conflict) => Ok(Written::Overtaken),
                Err(StoreError::Missing { .. }) => Ok(Written::Gone),
                Err(error) => Err(error),
            }
        };
        match ledger.change(write).await? {
            Written::Now(record) => return Ok(Some(record)),
            Written::Gone => return Ok(None),
            Written::Overtaken => {}
        }
    }
    Err(Problem::of_store(&StoreError::Conflict))
}

enum Written<T> {
    Now(T),
    Overtaken,
    Gone,
}

impl Record for Team {
    async fn read(store: Arc<dyn Store>, id: String) -> Result<Option<Team>, StoreError> {
        store.team(&id).await
    }

    async fn write(self, store: Arc<dyn Store>, reserving: Vec<String>) -> Result<Team, StoreError> {
        store.update_team(&self, &reserving).await
    }
}

impl Record for User {
    async fn read(store: Arc<dyn Store>, id: String) -> Result<Option<User>, StoreError> {
        store.user(&id).await
    }

    async fn write(self, store: Arc<dyn Store>, _: Vec<String>) -> Result<User, StoreError> {
        store.update_user(&self).await
    }
}

impl Record for Tag {
    async fn read(store: Arc<dyn Store>, name: String) -> Result<Option<Tag>, StoreError> {
        Ok(store.tags(Some(&[name])).await?.pop())
    }

    async fn write(self, store: Arc<dyn Store>, _: Vec<String>) -> Result<Tag, StoreError> {
        store.update_tag(&self).await
    }
}
