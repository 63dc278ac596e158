//! Single values as the file may spell them: native, or as text (which may hold `${…}`).
//! They are read here without judgement; [`crate::config::resolve`] says what is wrong with one, by its key.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A single value of any kind; numbers and booleans become text (`PORT = 3000` is `3000`).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Which native kinds a visitor takes besides text.
struct ScalarVisitor {
    expecting: &'static str,
    bools: bool,
    integers: bool,
    floats: bool,
    text: bool,
}

impl de::Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
        if self.bools { Ok(Scalar::Bool(value)) } else { Err(E::invalid_type(de::Unexpected::Bool(value), &self)) }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
        if self.integers {
            Ok(Scalar::Integer(value))
        } else {
            Err(E::invalid_type(de::Unexpected::Signed(value), &self))
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
        if self.floats { Ok(Scalar::Float(value)) } else { Err(E::invalid_type(de::Unexpected::Float(value), &self)) }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
        if self.text {
            Ok(Scalar::Text(value.to_owned()))
        } else {
            Err(E::invalid_type(de::Unexpected::Str(value), &self))
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a string, a number or a boolean";
        deserializer.deserialize_any(ScalarVisitor { expecting, bools: true, integers: true, floats: true, text: true })
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "description": "A single value; numbers and booleans are taken as text." })
    }
}

/// Declares a newtype over [`Scalar`] that takes some kinds only.
macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident, $expecting:literal, bools $bools:literal, integers $integers:literal, floats $floats:literal, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Scalar);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer
                    .deserialize_any(ScalarVisitor {
                        expecting: $expecting,
                        bools: $bools,
                        integers: $integers,
                        floats: $floats,
                        text: true,
                    })
                    .map(Self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

scalar!(
    /// `true` or `false`, or text that says so once its `${…}` are filled in.
    Flag, "a boolean", bools true, integers false, floats false,
    { "type": ["boolean", "string"], "description": "true or false, or a string that is one once its variables are filled in." }
);
scalar!(
    /// A whole number, or text that is one once its `${…}` are filled in.
    Integer, "a whole number", bools false, integers true, floats false,
    { "type": ["integer", "string"], "description": "A whole number, or a string that is one once its variables are filled in." }
);
scalar!(
    /// A number, or text that is one once its `${…}` are filled in.
    Number, "a number", bools false, integers true, floats true,
    { "type": ["number", "string"], "description": "A number, or a string that is one once its variables are filled in." }
);
scalar!(
    /// Bytes as a number, or text with docker's units: `64m`, `1MiB`, `2g` (powers of 1024).
    Size, "a size, such as 1048576 or \"64m\"", bools false, integers true, floats false,
    { "type": ["integer", "string"], "description": "Bytes as a number, or a string with a unit: 64m, 1MiB, 2g (powers of 1024)." }
);

/// A length of time with its unit: `250ms`, `10s`, `1m30s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Duration(pub String);

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a duration with its unit, such as \"250ms\" or \"10s\"";
        let visitor = ScalarVisitor { expecting, bools: false, integers: false, floats: false, text: true };
        deserializer.deserialize_any(visitor).map(|text| Self(text.to_string()))
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A length of time with its unit: 250ms, 10s, 1m30s." })
    }
}

/// `log.verbose`: a boolean, or how much more, 0 to 3.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Verbosity(pub Scalar);

impl<'de> Deserialize<'de> for Verbosity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expecting = "a boolean, or a number from 0 to 3";
        deserializer
            .deserialize_any(ScalarVisitor { expecting, bools: true, integers: true, floats: false, text: true })
            .map(Self)
    }
}

impl JsonSchema for Verbosity {
    fn schema_name() -> Cow<'static, str> {
        "Verbosity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["boolean", "integer", "string"], "minimum": 0, "maximum": 3, "description": "A boolean, or a number from 0 to 3." })
    }
}
