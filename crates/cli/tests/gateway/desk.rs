//! A directory to run commands in, as a person types them.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::shell;

/// A finished command.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A directory with a config.yaml to run commands in; nothing of the environment counts.
pub(crate) struct Desk(TempDir);

impl Desk {
    pub(crate) fn with(config: &str) -> Desk {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.yaml"), config).unwrap();
        Desk(directory)
    }

    pub(crate) fn run(&self, line: &str) -> Ended {
        self.run_with(line, &[])
    }

    /// The same, with these environment variables.
    pub(crate) fn run_with(&self, line: &str, environment: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tagrail"));
        command.args(shell::words(line)).current_dir(self.0.path());
        let output = command.env_clear().envs(environment.iter().copied()).output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn folder(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("config.yaml")
    }
}
