//! Pure: whether the single values of one layer say something: durations, sizes, ports and the like. Each layer is judged for
//! itself, so that a higher one hides no mistake. Nothing is taken out: what the layers add up to is judged once more.

use super::{
    check::Fault,
    node::{Data, Node},
    problem::{KeyPath, Segment},
    shape::{Schema, Shape},
    value::{Invalid, duration, mount, number, port, restart, size},
};

/// What is wrong below a layer's root. `variables`: strings may hold `${…}`, and say nothing until that is filled in.
pub fn faults(schema: &Schema, root: &Node, variables: bool) -> Vec<Fault> {
    let mut forms = Forms { schema, variables, path: KeyPath::default(), faults: Vec::new() };
    forms.node(root, schema.root());
    forms.faults
}

struct Forms<'a> {
    schema: &'a Schema,
    variables: bool,
    path: KeyPath,
    faults: Vec<Fault>,
}

impl Forms<'_> {
    fn node(&mut self, node: &Node, shape: &Shape) {
        match &node.data {
            Data::Table(entries) => {
                for (key, entry) in entries {
                    self.below(Segment::Key(key.clone()), entry, self.schema.under(shape, key));
                }
            }
            Data::List { items, .. } => {
                for (index, item) in items.iter().enumerate() {
                    self.below(Segment::Index(index), item, self.schema.item(shape));
                }
            }
            Data::String(text) if !(self.variables && text.contains('$')) => self.text(node, shape, text),
            Data::Integer(number) => self.text(node, shape, &number.to_string()),
            _ => {}
        }
    }

    fn below(&mut self, segment: Segment, node: &Node, shape: Option<&Shape>) {
        let Some(shape) = shape else { return };
        self.path.0.push(segment);
        self.node(node, shape);
        self.path.0.pop();
    }

    fn text(&mut self, node: &Node, shape: &Shape, text: &str) {
        let wrong = match self.schema.variants(shape)[..] {
            [Shape::Duration] => duration::parse(text).err(),
            [Shape::Size] => size::parse(text).err(),
            [Shape::Number] => number::parse(text).err(),
            _ => self.by_key(text),
        };
        if let Some(Invalid { message, help }) = wrong {
            self.faults.push(Fault { path: self.path.clone(), span: node.span.clone(), message, help });
        }
    }

    /// Texts that have a form of their own.
    fn by_key(&self, text: &str) -> Option<Invalid> {
        let [Segment::Key(targets), _, Segment::Key(key), item @ ..] = &self.path.0[..] else { return None };
        match (key.as_str(), item) {
            _ if targets != "targets" => None,
            ("ports", [Segment::Index(_)]) => port::parse(text).err(),
            ("volumes", [Segment::Index(_)]) => mount::parse(text).err(),
            ("restart", []) => restart::parse(text).err(),
            _ => None,
        }
    }
}
