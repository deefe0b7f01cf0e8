//! The file's values as a tree, in the order in which they were written, each with its place.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A value, and the bytes that it takes in the file.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

/// A value. Not `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    /// Beyond 128 bits, the largest number that there is.
    Integer(i128),
    Float(f64),
    Boolean(bool),
    /// A date, a time or both, as in RFC 3339.
    Datetime(String),
    List(Vec<Node>),
    Table(Vec<Field>),
}

/// A key with its value.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// The bytes of the name.
    pub(super) at: Range<usize>,
    pub(super) node: Node,
}

impl Node {
    /// The whole file.
    pub(super) fn of_file(table: &DeTable<'_>) -> Self {
        Self { value: fields(table), span: 0..0 }
    }

    fn new(value: &DeValue<'_>, span: Range<usize>) -> Self {
        let value = match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                Value::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
            }
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(datetime) => Value::Datetime(datetime.to_string()),
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| Self::new(item.get_ref(), item.span())).collect())
            }
            DeValue::Table(table) => fields(table),
        };
        Self { value, span }
    }
}

impl Value {
    /// Its kind, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a point",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date or time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

fn fields(table: &DeTable<'_>) -> Value {
    let mut fields: Vec<Field> = table
        .iter()
        .map(|(name, value)| Field {
            name: name.get_ref().to_string(),
            at: name.span(),
            node: Node::new(value.get_ref(), value.span()),
        })
        .collect();
    fields.sort_by_key(|field| field.at.start);
    Value::Table(fields)
}
