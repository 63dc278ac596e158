//! JSON objects whose values stay as they stand in the text they were read from: fields that are not known are kept, nothing is
//! decoded. It must not know what an object is about.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// More fields than any object has that is meant to be read as one; memory is bounded by it.
const MOST_FIELDS: usize = 1000;

/// The fields of an object, in their order.
#[derive(Debug)]
pub struct Object<'a>(Vec<(String, &'a RawValue)>);

/// What becomes of a field when an object is written.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// It gets this value (JSON); it is added where it was not there.
    Put(&'a [u8]),
    /// It goes.
    Drop,
}

impl<'a> Object<'a> {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// Writes it with some fields changed.
    pub fn write(&self, out: &mut Vec<u8>, changes: &[(&str, Change<'_>)]) {
        out.push(b'{');
        let begin = out.len();
        let mut field = |key: &str, value: &[u8]| {
            if out.len() > begin {
                out.push(b',');
            }
            out.extend_from_slice(&quoted(key));
            out.push(b':');
            out.extend_from_slice(value);
        };
        for (key, value) in &self.0 {
            match changes.iter().find(|(name, _)| name == key) {
                None => field(key, value.get().as_bytes()),
                Some((_, Change::Put(new))) => field(key, new),
                Some((_, Change::Drop)) => {}
            }
        }
        for (name, change) in changes {
            if let (Change::Put(new), None) = (change, self.get(name)) {
                field(name, new);
            }
        }
        out.push(b'}');
    }
}

/// A text as JSON, with its quotes.
pub fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_default() // a text: it can't fail
}

/// A text as it stands between the quotes of JSON.
pub fn escaped(text: &str) -> String {
    let mut quoted = serde_json::to_string(text).unwrap_or_default(); // a text: it can't fail
    quoted.pop();
    quoted.drain(..1);
    quoted
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields: Vec<(String, &RawValue)> = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    // Readers differ in which of the two they take.
                    if fields.iter().any(|(other, _)| *other == key) {
                        return Err(A::Error::custom(format!("two fields {key:?} in one object")));
                    }
                    if fields.len() == MOST_FIELDS {
                        return Err(A::Error::custom(format!("an object of more than {MOST_FIELDS} fields")));
                    }
                    fields.push((key, map.next_value()?));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_as_they_stand() {
        let text = r#"{"a": 1.50, "b\"" :{"x": [1,  2]}, "c":null}"#;
        let object: Object<'_> = serde_json::from_str(text).unwrap();
        let written = |changes: &[(&str, Change<'_>)]| {
            let mut out = Vec::new();
            object.write(&mut out, changes);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(&[]), r#"{"a":1.50,"b\"":{"x": [1,  2]},"c":null}"#);
        assert_eq!(written(&[("a", Change::Drop), ("c", Change::Put(b"3"))]), r#"{"b\"":{"x": [1,  2]},"c":3}"#);
        assert_eq!(
            written(&[("a", Change::Drop), ("b\"", Change::Drop), ("c", Change::Drop), ("d", Change::Put(b"4"))]),
            r#"{"d":4}"#
        );
        assert_eq!(written(&[("d", Change::Drop)]), written(&[]));
    }

    #[test]
    fn what_is_no_plain_object_is_refused() {
        for text in ["[]", "1", r#"{"a":1,"\u0061":2}"#, "{"] {
            assert!(serde_json::from_str::<Object<'_>>(text).is_err(), "{text}");
        }
        let many: Vec<String> = (0..=MOST_FIELDS).map(|number| format!(r#""{number}":0"#)).collect();
        assert!(serde_json::from_str::<Object<'_>>(&format!("{{{}}}", many.join(","))).is_err());
    }
}
