//! What scripts answer, taken apart.

use redis::Value;

use super::error::Fault;

/// Many values.
pub(super) fn array(value: Value) -> Result<Vec<Value>, Fault> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(unexpected("a list", &other)),
    }
}

/// Exactly so many values.
pub(super) fn parts<const N: usize>(value: Value) -> Result<[Value; N], Fault> {
    let values = array(value)?;
    let count = values.len();
    values
        .try_into()
        .map_err(|_| Fault::Invalid(format!("Redis answered {count} parts where {N} were expected")))
}

/// Bytes.
pub(super) fn bytes(value: Value) -> Result<Vec<u8>, Fault> {
    optional(value)?.ok_or_else(|| Fault::Invalid("Redis answered nothing".into()))
}

/// Bytes, if there are any.
pub(super) fn optional(value: Value) -> Result<Option<Vec<u8>>, Fault> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        other => Err(unexpected("bytes", &other)),
    }
}

/// A text.
pub(super) fn text(value: Value) -> Result<String, Fault> {
    String::from_utf8(bytes(value)?)
        .map_err(|error| Fault::Invalid(format!("Redis answered no UTF-8: {error}")))
}

/// A number.
pub(super) fn number(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Int(number) => Ok(*number),
        other => Err(unexpected("a number", other)),
    }
}

/// A count.
pub(super) fn count(value: &Value) -> Result<u64, Fault> {
    Ok(number(value)?.unsigned_abs())
}

fn unexpected(expected: &str, found: &Value) -> Fault {
    let kind = match found {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        Value::Array(_) => "a list",
        _ => "something else",
    };
    Fault::Invalid(format!("Redis answered {kind} where {expected} was expected"))
}
