//! Where teams, keys and spend are kept: what flags, environment and configuration say of it together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tagrail::Router;
use tagrail_config::GeneralSettings;
use tagrail_server::{Clock, Ledger, LedgerParts, Metrics, Opening, OpeningError};
use tagrail_store::StoreError;

use crate::address::Address;
use crate::report::complain;

/// In the data directory.
const DATABASE: &str = "tagrail.db";
/// In the data directory.
const JOURNAL: &str = "tagrail-journal";

/// `--data-dir` and `--database-url`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PlaceFlags {
    /// Where teams, keys and spend are kept: the files tagrail.db and tagrail-journal. [default: the
    /// working directory]
    #[arg(long, env = "TAGRAIL_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// A database instead of the file: postgres://... or sqlite:PATH; else
    /// general_settings.database_url, else DATABASE_URL.
    #[arg(long, value_name = "URL", value_parser = Address)]
    pub(crate) database_url: Option<String>,
}

/// The database of an address, for a person: without user, password and parameters.
fn described(address: &str) -> String {
    let Some((_, rest)) = address.split_once("://").filter(|_| address.starts_with("postgres")) else {
        let path = address.trim_start_matches("sqlite:").split('?').next().unwrap_or_default();
        let path = Path::new(path.strip_prefix("//").unwrap_or(path));
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        return format!("the SQLite file {}", whole.display());
    };
    // A password may hold an `@` or a `?` that is not escaped: then its end cannot be told.
    if rest.find('?').is_some_and(|query| rest[query..].contains('@')) {
        return "a PostgreSQL database".to_owned();
    }
    let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
    let (server, query) = server.split_once('?').unwrap_or((server, ""));
    let (host, name) = server.split_once('/').unwrap_or((server, ""));
    let host = query.split('&').find_map(|part| part.strip_prefix("host=")).unwrap_or(host);
    format!("the PostgreSQL database {name} on {}", if host.is_empty() { "this host" } else { host })
}

/// Where.
pub(crate) struct Place {
    /// Of the database that somebody named.
    url: Option<String>,
    directory: PathBuf,
    /// Somebody named the directory.
    named: bool,
}

impl Place {
    /// What the flags say, else what the configuration says.
    pub(crate) fn of(flags: &PlaceFlags, general: &GeneralSettings) -> Place {
        let configured = || general.database_url.as_ref().map(|url| url.reveal().to_owned());
        let of_flags = Place::of_flags(flags);
        Place { url: of_flags.url.or_else(configured), ..of_flags }
    }

    /// What the flags say alone.
    pub(crate) fn of_flags(flags: &PlaceFlags) -> Place {
        Place {
            url: flags.database_url.clone(),
            directory: flags.data_dir.clone().unwrap_or_else(|| PathBuf::from(".")),
            named: flags.data_dir.is_some(),
        }
    }

    /// A directory for this run alone.
    pub(crate) fn in_directory(directory: &Path) -> Place {
        Place { url: None, directory: directory.to_owned(), named: true }
    }

    /// The address of the store.
    pub(crate) fn address(&self) -> String {
        self.url.clone().unwrap_or_else(|| format!("sqlite:{}", self.directory.join(DATABASE).display()))
    }

    /// Opens the ledger. Where nobody named a place and the usual one cannot be written, the gateway
    /// serves without one.
    ///
    /// # Errors
    /// A sentence that says what cannot be opened.
    pub(crate) fn ledger(&self, router: &Router, metrics: &Arc<Metrics>) -> Result<Arc<Ledger>, String> {
        match self.open(router, metrics) {
            Ok(ledger) => {
                tracing::info!("teams, keys and spend are kept in {}", described(&self.address()));
                Ok(ledger)
            }
            Err(error) if self.may_do_without(&error) => {
                complain(&format!(
                    "{error}; there are no teams and virtual keys, and spend is not written down: give --data-dir DIR"
                ));
                Ok(Arc::new(Ledger::none()))
            }
            Err(error) => Err(format!("{error}; nothing is started without it{}", self.hint(&error))),
        }
    }

    fn open(&self, router: &Router, metrics: &Arc<Metrics>) -> Result<Arc<Ledger>, OpeningError> {
        let journal = self.directory.join(JOURNAL);
        if self.named {
            std::fs::create_dir_all(&self.directory)
                .map_err(|error| OpeningError::Journal(journal.clone(), error))?;
        }
        let address = self.address();
        let others_run_it = address.starts_with("postgres");
        let open = move || {
            let address = address.clone();
            async move { tagrail_store::open(&address).await }
        };
        Ledger::open(LedgerParts {
            store: Opening::with(open, others_run_it),
            journal,
            router: router.clone(),
            metrics: metrics.clone(),
            clock: Clock::default(),
        })
    }

    /// Nobody named a place, none has been made there, and none can be.
    fn may_do_without(&self, error: &OpeningError) -> bool {
        let unwritable = match error {
            OpeningError::Journal(_, error) => {
                matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
            }
            OpeningError::Store(error) => matches!(error, StoreError::Unavailable(_)),
            OpeningError::Thread(_) => false,
        };
        unwritable && self.url.is_none() && !self.named && !self.directory.join(DATABASE).exists()
    }

    fn hint(&self, error: &OpeningError) -> &'static str {
        match error {
            OpeningError::Journal(..) if !self.named => {
                ": give --data-dir DIR, a directory that can be written"
            }
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::described;

    #[test]
    fn a_database_is_described_without_its_password() {
        for (address, said) in [
            (
                "postgres://me:hunter2@db.internal:5432/tagrail",
                "the PostgreSQL database tagrail on db.internal:5432",
            ),
            ("postgresql://me:hun@ter2@db/t?sslmode=require", "the PostgreSQL database t on db"),
            ("postgresql://me:hun@ter2?@db/t", "a PostgreSQL database"),
            ("postgresql://db/t?password=hun@ter2", "a PostgreSQL database"),
            ("postgres:///t?host=/run/pg&user=me&password=hunter2", "the PostgreSQL database t on /run/pg"),
            ("postgres://db/t", "the PostgreSQL database t on db"),
            ("sqlite:/data/tagrail.db", "the SQLite file /data/tagrail.db"),
            ("sqlite:///data/tagrail.db?mode=rwc", "the SQLite file /data/tagrail.db"),
        ] {
            assert_eq!(described(address), said);
        }
        let relative = described("sqlite:tagrail.db");
        assert!(relative.starts_with("the SQLite file /") && relative.ends_with("/tagrail.db"), "{relative}");
    }
}
