//! Pure: whether the single values of one layer say something: durations, sizes, ports and the like. Each layer is judged for
//! itself, so that a higher one hides no mistake. Nothing is taken out: what the layers add up to is judged once more.

use super::{
    check::Fault,
    node::{Data, Node},
    problem::{KeyPath, Segment},
    shape::{Schema, Shape},
    value::{Invalid, duration, glob, mount, number, port, restart, size, whole},
};

/// An item of a list, whichever.
const ITEM: &str = "[]";

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

    /// Texts and whole numbers that have a form of their own.
    fn by_key(&self, text: &str) -> Option<Invalid> {
        let keys = self.path.0.iter().map(|segment| match segment {
            Segment::Key(key) => key.as_str(),
            Segment::Index(_) => ITEM,
        });
        let keys: Vec<&str> = keys.collect();
        // `watch` and `mcp` stand at the root too.
        let own = if let ["targets", _, own @ ..] = &keys[..] { own } else { &keys };
        match own {
            ["ports", ITEM] => port::parse(text).err(),
            ["ports", ITEM, "target"] => port::target(text).err(),
            ["ports", ITEM, "published"] if !text.is_empty() => port::range(text).err(),
            ["ports", ITEM, "host_ip"] => port::address(text).err(),
            ["volumes", ITEM] => mount::parse(text).err(),
            ["restart"] => restart::parse(text).err(),
            ["pids_limit"] => whole::limit(text, "pids_limit").err(),
            ["healthcheck", key @ "retries"] => whole::parse::<u32>(text, key).err(),
            ["mcp", key @ "max_output_tokens"] => whole::parse::<u64>(text, key).err(),
            ["watch", "ignore"]
            | ["watch", "ignore", ITEM]
            | ["develop", "watch", ITEM, "include" | "ignore"]
            | ["develop", "watch", ITEM, "include" | "ignore", ITEM] => glob::check(text).err(),
            _ => None,
        }
    }
}
