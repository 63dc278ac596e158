//! Pure: a number that stands where text is meant keeps the text it was written as. A version `1.90` is not `1.9`, and
//! `0xff` is not `255`: the container gets what somebody wrote.

use super::{
    node::{Data, Node},
    shape::{Schema, Shape},
};

/// The type of values that are text in the end, by its name in the schema ([`super::file::scalar::Scalar`]).
const TEXT: &str = "Scalar";

/// Makes such numbers text. `text`: what the node's places are places of.
pub fn as_written(schema: &Schema, shape: &Shape, node: &mut Node, text: &str) {
    match &mut node.data {
        Data::Integer(number) => {
            let shown = number.to_string();
            keep(shape, node, &shown, text);
        }
        Data::Float(number) => {
            let shown = number.to_string();
            keep(shape, node, &shown, text);
        }
        Data::Table(entries) => {
            for (key, entry) in entries {
                if let Some(shape) = schema.under(shape, key) {
                    as_written(schema, shape, entry, text);
                }
            }
        }
        Data::List { items, .. } => {
            for item in items {
                if let Some(shape) = schema.item(shape) {
                    as_written(schema, shape, item, text);
                }
            }
        }
        _ => {}
    }
}

/// `shown`: what would become of the number. One that reads the same stays a number.
fn keep(shape: &Shape, node: &mut Node, shown: &str, text: &str) {
    if let Some(written) = text.get(node.span.clone())
        && written != shown
        && *shape == Shape::Named(TEXT.to_owned())
    {
        node.data = Data::String(written.to_owned());
    }
}
