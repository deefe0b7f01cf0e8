//! The directory of the embedded file: is there room, and may we write?

use std::path::Path;

use super::doctor::Finding;
use super::failure::Failure;

const CHECK: &str = "data directory";
const MIB: u64 = 1024 * 1024;

/// Less room than this fills up before anyone looks.
const SCARCE: u64 = 512 * MIB;

/// Looks at the directory in which `file` is, or will be.
pub(crate) fn examine(file: &Path) -> Finding {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = dir.display();
    // What is not there yet is made in the nearest directory that is.
    let Some(there) = dir.ancestors().find(|dir| dir.exists() || dir.as_os_str().is_empty()) else {
        return Finding::failed(
            CHECK,
            &Failure::failed(format!("{shown}: no such place")).page("data-directory"),
        );
    };
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    if let Err(error) = writable(there) {
        let failure = Failure::failed(format!("{shown} is not writable: {error}"))
            .page("data-directory")
            .advice("make it writable for this user, or choose another with --data");
        return Finding::failed(CHECK, &failure);
    }
    let size =
        file.metadata().map(|meta| format!("{} holds {} MiB, ", file.display(), meta.len().div_ceil(MIB)));
    let size = size.unwrap_or_else(|_| format!("{shown}: "));
    match free(there) {
        Ok(bytes) if bytes < SCARCE => Finding::warning(
            CHECK,
            format!("{size}{} MiB are free", bytes / MIB),
            "free some space: with a full disk nothing can be accepted",
        ),
        Ok(bytes) => Finding::ok(CHECK, format!("{size}{} MiB are free", bytes / MIB)),
        Err(error) => Finding::warning(CHECK, format!("{size}free space unknown: {error}"), "look with `df`"),
    }
}

/// Makes a file and removes it: permissions alone do not tell, of a read-only mount for one.
fn writable(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(format!(".upbeat-doctor-{}", std::process::id()));
    std::fs::File::create_new(&probe)?;
    std::fs::remove_file(probe)
}

#[cfg(unix)]
fn free(dir: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(not(unix))]
fn free(_dir: &Path) -> std::io::Result<u64> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_still_to_be_made_is_judged_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let finding = examine(&dir.path().join("a/b/default.sqlite3"));
        assert_ne!(finding, Finding::failed(CHECK, &Failure::failed("")));
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "the probe is removed");
    }
}
