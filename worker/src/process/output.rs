//! What a program wrote, as much of it as is kept.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes read at a time.
const CHUNK: usize = 8192;

/// The beginning or the end of a stream.
pub(crate) struct Captured {
    pub(crate) bytes: Vec<u8>,
    /// There was more.
    pub(crate) cut: bool,
    limit: usize,
    keep: Keep,
}

#[derive(Clone, Copy)]
enum Keep {
    Start,
    End,
}

impl Captured {
    /// Keeps the first `limit` bytes.
    pub(crate) fn start(limit: usize) -> Self {
        Self { bytes: Vec::new(), cut: false, limit, keep: Keep::Start }
    }

    /// Keeps the last `limit` bytes.
    pub(crate) fn end(limit: usize) -> Self {
        Self { bytes: Vec::new(), cut: false, limit, keep: Keep::End }
    }

    /// Reads to the end, whatever is kept: a program that writes must not block.
    pub(crate) async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) {
        let mut chunk = vec![0; CHUNK];
        loop {
            match stream.read(&mut chunk).await {
                Ok(0) => return,
                Ok(count) => self.keep(&chunk[..count]),
                Err(error) => {
                    tracing::debug!(%error, "could not read the program's output");
                    return;
                }
            }
        }
    }

    pub(crate) fn keep(&mut self, chunk: &[u8]) {
        match self.keep {
            Keep::Start => {
                let room = self.limit - self.bytes.len();
                self.cut |= chunk.len() > room;
                self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Keep::End => {
                self.bytes.extend_from_slice(chunk);
                let excess = self.bytes.len().saturating_sub(self.limit);
                self.cut |= excess > 0;
                self.bytes.drain(..excess);
            }
        }
    }

    /// For a person.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        if self.cut { format!("… {}", text.trim()) } else { text.trim().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_beginning_or_the_end_is_kept() {
        let text: Vec<u8> = (0..CHUNK * 3).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        let mut start = Captured::start(10);
        start.read(&mut text.as_slice()).await;
        assert_eq!((start.bytes.as_slice(), start.cut), (&text[..10], true));
        let mut end = Captured::end(10);
        end.read(&mut text.as_slice()).await;
        assert_eq!((end.bytes.as_slice(), end.cut), (&text[text.len() - 10..], true));
        let mut all = Captured::start(text.len());
        all.read(&mut text.as_slice()).await;
        assert!(!all.cut);
    }
}
