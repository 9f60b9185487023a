//! The address of a database in a flag. What is refused is not repeated: a password may be in it.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

/// Reads an address of PostgreSQL or SQLite.
#[derive(Clone, Debug)]
pub(crate) struct Address;

impl TypedValueParser for Address {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, Error> {
        let refused = |text: &str| {
            let flag = arg.map(ToString::to_string).unwrap_or_default();
            Error::raw(ErrorKind::ValueValidation, format!("{flag}: {text}\n")).with_cmd(command)
        };
        let url = value.to_str().ok_or_else(|| refused("it has to be text"))?;
        if url.trim().is_empty() {
            return Err(refused("it is empty, and names no database"));
        }
        match url.split_once("://") {
            Some((scheme, _)) if !["postgres", "postgresql", "sqlite"].contains(&scheme) => {
                Err(refused("teams and keys are kept in PostgreSQL (postgres://...) or SQLite (sqlite:PATH)"))
            }
            _ => Ok(url.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_address_is_not_repeated() {
        let command = || Command::new("t").arg(Arg::new("url").long("url").value_parser(Address));
        let error =
            command().try_get_matches_from(["t", "--url", "mysql://me:secret@host/name"]).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("--url") && said.contains("postgres://") && !said.contains("secret"), "{said}");
        for url in ["postgres://host/name", "postgresql://host/name", "sqlite:tagrail.db", "tagrail.db"] {
            command().try_get_matches_from(["t", "--url", url]).unwrap();
        }
    }
}
