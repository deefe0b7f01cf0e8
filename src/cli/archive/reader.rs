//! Reads the lines of an export, one by one, and tells where one is wrong.

use std::io::{self, BufRead, Read};

use super::{Counts, Header, Line, VERSION};

/// The longest line that is read. Arguments of the largest usual size fit in, however they are written.
const LONGEST: u64 = 64 * 1024 * 1024;

/// What is wrong with an export.
#[derive(Debug)]
pub(crate) struct Fault {
    /// From 1.
    pub(crate) line: u64,
    /// What is wrong there.
    pub(crate) what: String,
}

/// An export that is being read.
pub(crate) struct Reader<R> {
    from: R,
    text: Vec<u8>,
    line: u64,
    counts: Counts,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the first line.
    pub(crate) fn open(from: R) -> Result<(Self, Header), Fault> {
        let mut reader = Self { from, text: Vec::new(), line: 0, counts: Counts::default(), ended: false };
        if !reader.read_line()? {
            return Err(reader.fault("it is empty"));
        }
        let foreign = "it is no export of upbeat: its first line would be {\"upbeat_export\": …}";
        let first: serde_json::Value =
            serde_json::from_slice(&reader.text).map_err(|_| reader.fault(foreign))?;
        let header = first.get("upbeat_export").ok_or_else(|| reader.fault(foreign))?;
        let version = header["version"].as_u64().ok_or_else(|| reader.fault(foreign))?;
        if version > u64::from(VERSION) {
            let what = format!(
                "the export is of version {version}, newer than this program reads ({VERSION}); use a newer upbeat"
            );
            return Err(reader.fault(what));
        }
        let header =
            serde_json::from_value(header.clone()).map_err(|error| reader.fault(error.to_string()))?;
        Ok((reader, header))
    }

    /// The next line, and how many bytes it has; `None` behind the last one. An export without its last line is refused.
    pub(crate) fn next(&mut self) -> Result<Option<(Line, usize)>, Fault> {
        if self.ended {
            return Ok(None);
        }
        if !self.read_line()? {
            return Err(self.fault("it ends here, without its last line: a part of the export is missing"));
        }
        let line: Line = serde_json::from_slice(&self.text).map_err(|error| self.fault(error.to_string()))?;
        self.counts.count(&line);
        match line {
            Line::Header(_) => Err(self.fault("a second export begins here: import them one by one")),
            Line::End(counts) if counts != self.counts => {
                let what = format!("it should hold {counts:?}, and holds {:?}", self.counts);
                Err(self.fault(what))
            }
            Line::End(_) => {
                self.ended = true;
                if self.read_line()? {
                    return Err(self.fault("something follows the last line"));
                }
                Ok(None)
            }
            line => Ok(Some((line, self.text.len()))),
        }
    }

    /// Something is wrong with the line that was read last.
    pub(crate) fn fault(&self, what: impl Into<String>) -> Fault {
        Fault { line: self.line.max(1), what: what.into() }
    }

    /// Which line was read last.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next line that is not empty; `false` at the end.
    fn read_line(&mut self) -> Result<bool, Fault> {
        loop {
            self.text.clear();
            let mut bounded = Read::take(&mut self.from, LONGEST);
            let read = bounded.read_until(b'\n', &mut self.text);
            let read = read.map_err(|error: io::Error| Fault {
                line: self.line + 1,
                what: format!("it cannot be read: {error}"),
            })?;
            if read == 0 {
                return Ok(false);
            }
            self.line += 1;
            if read as u64 == LONGEST {
                return Err(self.fault(format!("it is longer than {LONGEST} bytes")));
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use upbeat_shared::name::{Namespace, QueueName};

    fn header(version: u32) -> String {
        let header = Header {
            version,
            namespace: Namespace::default(),
            exported_at: "2026-05-01T00:00:00Z".parse().unwrap(),
            upbeat: "0.1.0".into(),
            finished: false,
        };
        serde_json::to_string(&Line::Header(header)).unwrap()
    }

    fn whole(lines: &[String]) -> Result<usize, Fault> {
        let text = lines.join("\n");
        let (mut reader, _) = Reader::open(text.as_bytes())?;
        let mut found = 0;
        while reader.next()?.is_some() {
            found += 1;
        }
        Ok(found)
    }

    fn paused() -> String {
        serde_json::to_string(&Line::PausedQueue(QueueName::default_queue())).unwrap()
    }

    fn end(paused_queues: u64) -> String {
        serde_json::to_string(&Line::End(Counts { paused_queues, ..Counts::default() })).unwrap()
    }

    #[test]
    fn an_export_is_read_to_its_last_line() {
        assert_eq!(whole(&[header(1), paused(), String::new(), end(1), String::new()]).unwrap(), 1);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = |lines: &[String], line: u64, what: &str| {
            let fault = whole(lines).unwrap_err();
            assert_eq!(fault.line, line, "{fault:?}");
            assert!(fault.what.contains(what), "{fault:?}");
        };
        wrong(&[], 1, "empty");
        wrong(&["[tasks]".into()], 1, "no export");
        wrong(&[r#"{"a": 1}"#.into()], 1, "no export");
        wrong(&[header(2)], 1, "use a newer upbeat");
        wrong(&[header(1), paused()], 2, "is missing");
        wrong(&[header(1), paused(), end(2)], 3, "it should hold");
        wrong(&[header(1), "{".into(), end(0)], 2, "EOF");
        wrong(&[header(1), r#"{"tusk": {}}"#.into(), end(0)], 2, "unknown variant");
        wrong(&[header(1), header(1), end(0)], 2, "second export");
        wrong(&[header(1), end(0), paused()], 3, "something follows");
    }
}
