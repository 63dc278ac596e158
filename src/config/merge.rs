//! The layers as one: figment merges them and remembers which layer each value came from; this finds the way back
//! from a merged value to the place somebody wrote it.

use figment::{
    Figment, Profile, Provider,
    value::{Dict, Tag, Value},
};

use super::{
    check::Fault,
    layer::{Layer, LayerProvider, Source},
    node::{Data, Node},
    problem::{KeyPath, Segment},
};

/// All layers, and what they add up to.
#[derive(Debug)]
pub struct Merged {
    /// Lowest first.
    pub layers: Vec<Layer>,
    figment: Figment,
    /// What they add up to.
    pub root: Value,
}

/// Where a merged value was written.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The layer's number.
    pub index: usize,
    /// The layer.
    pub layer: &'a Layer,
    /// The value there.
    pub node: &'a Node,
    /// The path was found to its end; else this is the nearest table (or list) above it.
    pub exact: bool,
}

impl Merged {
    /// Merges. Faults: lists that append to what is no list, by the number of their layer.
    pub fn new(layers: Vec<Layer>) -> (Self, Vec<(usize, Fault)>) {
        let mut figment = Figment::new();
        let mut faults = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            figment = figment.merge(LayerProvider { layer, index, append: false });
            if layer.root.any_append() {
                let below = data(&figment);
                appends(&layer.root, Some(&below), &mut KeyPath::default(), &mut |fault| faults.push((index, fault)));
                figment = figment.admerge(LayerProvider { layer, index, append: true });
            }
        }
        let root = data(&figment);
        (Self { layers, figment, root }, faults)
    }

    /// The number of the layer that a merged value came from.
    pub fn layer_of(&self, tag: Tag) -> Option<usize> {
        self.figment.get_metadata(tag)?.source.as_ref()?.custom()?.parse().ok()
    }

    /// The merged value at a path.
    pub fn value(&self, path: &[Segment]) -> Option<&Value> {
        path.iter().try_fold(&self.root, |value, segment| match (value, segment) {
            (Value::Dict(_, dict), Segment::Key(key)) => dict.get(key),
            (Value::Array(_, items), Segment::Index(index)) => items.get(*index),
            _ => None,
        })
    }

    /// Where the value at `path` was written: tables where they were written first, anything else where it was written last.
    pub fn place(&self, path: &[Segment]) -> Option<Place<'_>> {
        let (mut value, mut own) = (&self.root, KeyPath::default());
        let mut exact = true;
        for segment in path {
            let next = match (value, segment) {
                (Value::Dict(_, dict), Segment::Key(key)) => dict.get(key),
                (Value::Array(_, items), Segment::Index(index)) => items.get(*index),
                _ => None,
            };
            let Some(next) = next else {
                exact = false;
                break;
            };
            own.0.push(match (value, segment) {
                // An appended list's items come from several layers: count within the item's own.
                (Value::Array(_, items), Segment::Index(index)) => {
                    let layer = self.layer_of(next.tag());
                    Segment::Index(items[..*index].iter().filter(|item| self.layer_of(item.tag()) == layer).count())
                }
                _ => segment.clone(),
            });
            value = next;
        }
        let index = match value {
            // What is inside a list came with it, whole.
            Value::Dict(..) if own.0.iter().all(|segment| matches!(segment, Segment::Key(_))) => {
                self.layers.iter().position(|layer| {
                    layer.source != Source::Defaults && !own.0.is_empty() && layer.root.find(&own.0).is_some()
                })?
            }
            value => self.layer_of(value.tag())?,
        };
        let layer = &self.layers[index];
        Some(Place { index, layer, node: layer.root.find(&own.0)?, exact })
    }

    /// Every layer that says something about `path`, with its number, highest first.
    pub fn history(&self, path: &[Segment]) -> impl Iterator<Item = (usize, &Layer, &Node)> {
        let numbered = self.layers.iter().enumerate().rev();
        numbered.filter_map(move |(index, layer)| Some((index, layer, layer.root.find(path)?)))
    }
}

fn data(figment: &Figment) -> Value {
    let dict: Dict = figment.data().ok().and_then(|mut map| map.remove(&Profile::Default)).unwrap_or_default();
    Value::Dict(Tag::Default, dict)
}

/// Lists that append need a list below, or nothing.
fn appends(node: &Node, below: Option<&Value>, path: &mut KeyPath, fault: &mut impl FnMut(Fault)) {
    match (&node.data, below) {
        (Data::Table(entries), below) => {
            for (key, entry) in entries {
                let below = match below {
                    Some(Value::Dict(_, dict)) => dict.get(key),
                    _ => None,
                };
                path.0.push(Segment::Key(key.clone()));
                appends(entry, below, path, fault);
                path.0.pop();
            }
        }
        (Data::List { append: true, .. }, Some(below)) if !matches!(below, Value::Array(..) | Value::Empty(..)) => {
            fault(Fault {
                path: path.clone(),
                span: node.span.clone(),
                message: format!("`{path}`: `+` appends to a list, but the layers below have none there"),
                help: Some("write the whole list without `+`, or write the lower one as a list".to_owned()),
            });
        }
        _ => {}
    }
}
