//! Why a command ends without having done its work, and the status that it ends with.

use std::process::ExitCode;

use crate::USAGE;
use crate::report::complain;

/// Why.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called wrongly: 2.
    Wrong(String),
    /// It was refused, or could not be done: 1.
    Failed(String),
}

/// Says why, and gives the status.
pub(crate) fn ended(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Wrong(sentence)) => {
            complain(&sentence);
            ExitCode::from(USAGE)
        }
        Err(Failure::Failed(sentence)) => {
            complain(&sentence);
            ExitCode::FAILURE
        }
    }
}
