//! Reading [`EnvFiles`]: the one key with three forms.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{
        self,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use super::{forms::ShortOr, scalar::Scalar, service::EnvFile, target::EnvFiles};

struct EnvFilesVisitor;

impl<'de> de::Visitor<'de> for EnvFilesVisitor {
    type Value = EnvFiles;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, a list of paths, or a table with `path`")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<EnvFiles, E> {
        Ok(EnvFiles::One(ShortOr::Short(Scalar::from(value))))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<EnvFiles, A::Error> {
        EnvFile::deserialize(MapAccessDeserializer::new(map)).map(|file| EnvFiles::One(ShortOr::Long(file)))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<EnvFiles, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(EnvFiles::Many)
    }
}

impl<'de> Deserialize<'de> for EnvFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EnvFilesVisitor)
    }
}

impl JsonSchema for EnvFiles {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "EnvFiles".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = generator.subschema_for::<EnvFile>();
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "anyOf": [{ "type": "string" }, file] } },
            file,
        ] })
    }
}
