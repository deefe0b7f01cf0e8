//! Values on their way to a script and back: little endian, as Lua's `struct` packs them.

use uuid::Uuid;

use super::error::Fault;
use crate::id::{OwnerId, TaskId, Token};

/// Lua's numbers are exact up to here: in microseconds, the year 2255.
const EXACT: i64 = (1 << 53) - 1;

/// A number that Lua can hold.
pub(super) fn exact(number: i64) -> i64 {
    number.clamp(-EXACT, EXACT)
}

/// Puts values one behind the other.
#[derive(Default)]
pub(super) struct Packed(Vec<u8>);

impl Packed {
    pub(super) fn of_id(id: TaskId) -> Self {
        Self::default().bytes(id.0.as_bytes())
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn byte(self, byte: u8) -> Self {
        self.bytes(&[byte])
    }

    pub(super) fn short(self, number: u16) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(super) fn int(self, number: u32) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(super) fn long(self, number: i64) -> Self {
        self.bytes(&exact(number).to_le_bytes())
    }

    /// Random: no number to Lua.
    pub(super) fn token(self, token: Token) -> Self {
        self.bytes(&token.0.to_le_bytes())
    }

    /// With its length in front. No name of ours is longer than fits; what is, is cut.
    pub(super) fn text(self, text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
        self.short(u16::try_from(text.len()).unwrap_or(u16::MAX)).bytes(text.as_bytes())
    }
}

impl AsRef<[u8]> for Packed {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Takes values off the front.
pub(super) struct Unpacked<'a>(pub(super) &'a [u8]);

impl<'a> Unpacked<'a> {
    /// What is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn short(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn int(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(super) fn id(&mut self) -> Result<TaskId, Fault> {
        Ok(TaskId(Uuid::from_bytes(self.array()?)))
    }

    pub(super) fn owner(&mut self) -> Result<OwnerId, Fault> {
        Ok(OwnerId(Uuid::from_bytes(self.array()?)))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let length = usize::from(self.short()?);
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map_err(|error| Fault::Invalid(format!("a stored text is no UTF-8: {error}")))
    }
}

fn short() -> Fault {
    Fault::Invalid("a stored value is shorter than it should be".into())
}
