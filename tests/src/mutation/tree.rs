//! A copy of the project, to be spoilt.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// A copy of a project's tracked files, with a build directory of its own beside it.
#[derive(Debug)]
pub struct Tree {
    from: PathBuf,
    root: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// Of the project here, in its build directory, which keeps what was built for the next time.
    pub fn of(project: &Path) -> anyhow::Result<Self> {
        let place = project.join("target/mutations");
        let tree = Self { from: project.to_owned(), root: place.join("tree"), target: place.join("target") };
        if tree.root.exists() {
            std::fs::remove_dir_all(&tree.root).context("cannot remove the old copy")?;
        }
        for file in tree.tracked()? {
            tree.copy(&file)?;
        }
        Ok(tree)
    }

    /// The copy.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where it is built.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Servers' packages are prepared once for both.
    pub fn servers(&self) -> PathBuf {
        std::env::var_os("UPBEAT_TEST_ROOTS").map_or_else(|| self.from.join("target/servers"), PathBuf::from)
    }

    /// Makes a file what it is in the project.
    pub fn copy(&self, file: &str) -> anyhow::Result<()> {
        let (from, to) = (self.from.join(file), self.root.join(file));
        std::fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        std::fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
        // The time of a copy is now: whatever was built of the spoilt file is built again.
        Ok(())
    }

    fn tracked(&self) -> anyhow::Result<Vec<String>> {
        let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(&self.from).output()?;
        ensure!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
        let names = String::from_utf8(listed.stdout).context("a file's name is no text")?;
        let present = |name: &&str| !name.is_empty() && self.from.join(name).is_file();
        Ok(names.split('\0').filter(present).map(str::to_owned).collect())
    }
}
