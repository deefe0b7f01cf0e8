//! A file to which tasks append a line, so that somebody outside of the program counts their runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use upbeat_shared::id::TaskId;

use super::eventually;

/// Lines of words, in the order they were written.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The journal in this file, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Every whole line, in words.
    pub fn lines(&self) -> Vec<Vec<String>> {
        let text = super::process::read(&self.path);
        // What follows the last line's end is still being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// How many lines begin with these words.
    pub fn count(&self, words: &[&str]) -> usize {
        self.lines()
            .iter()
            .filter(|line| line.iter().zip(words).filter(|(a, b)| a == b).count() == words.len())
            .count()
    }

    /// How many lines begin with this word, by the task that they name next.
    pub fn by_task(&self, word: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.lines().into_iter().filter(|line| line[0] == word) {
            *counts.entry(line[1].clone()).or_default() += 1;
        }
        counts
    }

    /// Waits until so many lines begin with this word and this task.
    pub async fn wait(&self, word: &str, id: TaskId, count: usize, within: Duration) {
        let id = id.to_string();
        let what = format!("{count} times `{word} {id}` in the journal");
        eventually(&what, within, async || self.count(&[word, &id]) >= count).await;
    }
}
