//! A real PostgreSQL, from the distribution's package. A missing one is a failed test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names the cluster that the tests share, by the address of its maintenance database. `./test` starts
/// one; without it every test process starts its own, which takes a second.
const SHARED: &str = "TAGRAIL_TEST_POSTGRES";

/// A private cluster, which can be stopped. It goes with the value, and with the process however that
/// ends.
#[derive(Debug)]
pub struct Postgres {
    directory: PathBuf,
    address: String,
    janitor: Child,
}

impl Postgres {
    /// A fresh, empty database in the cluster that tests share; gives its address.
    pub fn database() -> String {
        static OWN: OnceLock<Postgres> = OnceLock::new();
        match std::env::var(SHARED) {
            Ok(address) => create_database(&address),
            Err(_) => create_database(&OWN.get_or_init(Postgres::start_own).address),
        }
    }

    /// A cluster of one's own, for tests that stop it.
    pub fn start_own() -> Postgres {
        let directory = temporary();
        // Ends with its standard input, which is this process: kills cannot leave a server behind.
        let janitor = Command::new("sh")
            .args(["-c", "cat >/dev/null; \"$1\" kill \"$2\" >/dev/null 2>&1; rm -rf \"$2\"", "janitor"])
            .args([&script(), &directory])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let address = run(Command::new(script()).arg("new").arg(&directory));
        Postgres { directory, address: address.trim().to_owned(), janitor }
    }

    /// A fresh, empty database in it; gives its address.
    pub fn create(&self) -> String {
        create_database(&self.address)
    }

    /// Runs SQL in the database at this address; gives what it selects, unaligned, without a head.
    pub fn sql(address: &str, sql: &str) -> String {
        run(Command::new("psql").args([address, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]))
    }

    /// Ends the server in good order; connections break.
    pub fn stop(&self) {
        run(Command::new(script()).arg("stop").arg(&self.directory));
    }

    /// Ends it as a crash does.
    pub fn kill(&self) {
        run(Command::new(script()).arg("kill").arg(&self.directory));
    }

    /// Starts it again, on the same port, with what it had.
    pub fn start(&self) {
        run(Command::new(script()).arg("start").arg(&self.directory));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        self.janitor.wait().ok();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres.sh")
}

/// A new folder that only its owner can enter.
fn temporary() -> PathBuf {
    let made = run(Command::new("mktemp").args(["-d", "-t", "tagrail-postgres-XXXXXXXX"]));
    PathBuf::from(made.trim())
}

fn create_database(address: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_nanos();
    let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let name = format!("test_{process}_{count}_{since}");
    Postgres::sql(address, &format!("CREATE DATABASE {name} TEMPLATE template0"));
    let (server, _) = address.rsplit_once('/').expect("an address ends with the database's name");
    format!("{server}/{name}")
}

fn run(command: &mut Command) -> String {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            panic!("{command:?}: {error}; is PostgreSQL installed? On Debian: apt-get install postgresql")
        }
    };
    let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {why}");
    said.into_owned()
}
