//! What worker and process tell each other: frames of MessagePack, each behind its length.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use upbeat_shared::id::{OwnerId, Token};
use upbeat_shared::message::{Message, Payload};
use upbeat_shared::progress::Progress;

use crate::executor::TaskError;

/// Stands before the first frame of a process: what was written before it is output of the program's start.
pub(super) const BEGIN: &[u8] = b"\0upbeat suspect 1\n";

/// No frame is longer: results of that size are not kept anyway.
pub(super) const LONGEST: usize = 64 << 20;

/// To the process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// Run this. The first, and told once.
    Run(Box<Start>),
    /// Stop.
    Stop,
    /// Wind up: it is past its soft timeout.
    WindUp,
}

/// A run, as its process needs to know it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) message: Message,
    pub(super) attempt: u32,
    pub(super) crashes: u32,
    pub(super) owner: OwnerId,
    pub(super) fence: i64,
    pub(super) token: Token,
    /// In microseconds of the store's time.
    pub(super) deadline: i64,
}

/// From the process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Says {
    /// So far it has come.
    Progress(Progress),
    /// It is over. The last.
    Ended(End),
}

/// How a run ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum End {
    Done(Option<Payload>),
    Failed(TaskError),
    Panicked(String),
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = rmp_serde::to_vec(value).map_err(invalid)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length as usize <= LONGEST);
    let length =
        length.ok_or_else(|| invalid(format_args!("{} bytes are too many for a frame", body.len())))?;
    Ok([length.to_be_bytes().as_slice(), &body].concat())
}

fn room(length: [u8; 4]) -> io::Result<Vec<u8>> {
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST { Err(invalid("a frame is longer than any should be")) } else { Ok(vec![0; length]) }
}

/// Sends one frame.
pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), value: &impl Serialize) -> io::Result<()> {
    to.write_all(&encode(value)?).await?;
    to.flush().await
}

/// Waits for one frame. Not cancel-safe.
pub(super) async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let mut body = room(length)?;
    from.read_exact(&mut body).await?;
    rmp_serde::from_slice(&body).map_err(invalid)
}

/// As [`send`], on a thread of its own.
pub(super) fn send_now(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    to.write_all(&encode(value)?)?;
    to.flush()
}

/// As [`receive`], on a thread of its own.
pub(super) fn receive_now<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut body = room(length)?;
    from.read_exact(&mut body)?;
    rmp_serde::from_slice(&body).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_is_read_as_it_was_sent() {
        let mut pipe = Vec::new();
        send(&mut pipe, &Says::Progress(Progress::new(1, Some(2), "half"))).await.unwrap();
        send_now(&mut pipe, &Says::Ended(End::Failed(TaskError::Retry("no".into())))).unwrap();
        let mut from = pipe.as_slice();
        let Says::Progress(progress) = receive(&mut from).await.unwrap() else { panic!("the first") };
        assert_eq!(progress, Progress::new(1, Some(2), "half"));
        let Says::Ended(End::Failed(error)) = receive_now(&mut from).unwrap() else { panic!("the second") };
        assert_eq!(error, TaskError::Retry("no".into()));
    }

    #[tokio::test]
    async fn what_makes_no_sense_is_refused_before_room_is_made_for_it() {
        let error = receive::<Says>(&mut [0xff; 8].as_slice()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
