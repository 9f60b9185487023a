//! The limit on open files: raised at the start, and shared out between clients, upstreams and files.

/// What is kept for listeners, runtimes, the database, the journal and replies of a moment.
const OWN: usize = 64;

/// Fewer client connections than this are of no use, however low the limit is.
const LEAST: usize = 8;

/// Raises the soft limit on open files to the hard one.
///
/// # Errors
/// The system does not allow it; the limit stays as it is.
pub fn raise_file_limit() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
        }
    }
    Ok(())
}

/// How many files this process may open; `None`: as many as it likes.
fn current() -> Option<usize> {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
        usize::try_from(limit).ok()
    }
    #[cfg(not(unix))]
    None
}

/// The most client connections: what is configured, and no more than can each have an upstream connection beside
/// the files of this process. Says so when that is less.
pub(crate) fn max_connections(configured: usize) -> usize {
    let Some(files) = current() else { return configured };
    let most = most_connections(files);
    if most < configured {
        tracing::warn!(
            configured,
            allowed = most,
            "max_connections is lowered, since this process may open {files} files (ulimit -n)"
        );
    }
    most.min(configured)
}

/// An eighth is for idle upstream connections (`transport.rs` keeps no more), the rest is halved.
fn most_connections(files: usize) -> usize {
    (files.saturating_sub(OWN + files / 8) / 2).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_upstreams_and_files_fit_into_the_limit_together() {
        for files in [128, 256, 1024, 4096, 1 << 20] {
            let clients = most_connections(files);
            assert!(2 * clients + files / 8 + OWN <= files, "{files}");
            assert!(clients <= files / 2);
        }
        assert_eq!(most_connections(256), 80);
        assert_eq!(most_connections(1024), 416);
        assert_eq!(most_connections(10), LEAST);
    }
}
