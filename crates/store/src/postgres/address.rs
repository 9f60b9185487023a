//! Addresses as they are written for other programs.

use sqlx::postgres::PgConnectOptions;

/// What of an address' parameters is passed on. LiteLLM's addresses carry Prisma's as well
/// (`connection_limit`, `schema`, `sslaccept`, `sslpassword`), and the driver would log those with their values.
const UNDERSTOOD: [&str; 16] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
];

/// Reads an address. The parser's words do not quote what it could not read, which may be a password.
pub(super) fn read(address: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let (server, parameters) = address.split_once('?').unwrap_or((address, ""));
    let (understood, others): (Vec<&str>, Vec<&str>) = parameters.split('&').partition(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        UNDERSTOOD.contains(&name)
    });
    let options: PgConnectOptions = format!("{server}?{}", understood.join("&")).parse()?;
    // Behind such a pool the next statement may meet another session, which knows no prepared ones.
    Ok(if others.contains(&"pgbouncer=true") { options.statement_cache_capacity(0) } else { options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_as_prisma_wants_it_is_read() {
        let address = "postgresql://u:p%40ss@db:6432/llm?schema=public&sslmode=require&pgbouncer=true";
        let options = read(address).unwrap();
        assert_eq!((options.get_host(), options.get_port()), ("db", 6432));
        assert_eq!((options.get_username(), options.get_database()), ("u", Some("llm")));
        assert!(matches!(options.get_ssl_mode(), sqlx::postgres::PgSslMode::Require));
    }
}
