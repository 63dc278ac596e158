//! Pure: short forms of a key to its long form, in one layer, so that layers merge by meaning and not by spelling:
//! `environment` as a list over `environment` as a table changes single variables, as compose's own overrides do.

use std::collections::BTreeMap;

use super::{
    node::{Data, Node},
    problem::{KeyPath, Segment},
    read::COMMAND_LINES,
    shape::{Schema, Shape, Table},
};

/// The value of a bare `KEY` in a list of `KEY=value`; none = the host does not have it.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Writes short forms out.
pub fn normalise(schema: &Schema, root: &mut Node, lookup: Lookup<'_>) {
    Normalise { schema, lookup, path: KeyPath::default() }.node(root, schema.root());
}

struct Normalise<'a> {
    schema: &'a Schema,
    lookup: Lookup<'a>,
    path: KeyPath,
}

impl Normalise<'_> {
    fn node(&mut self, node: &mut Node, shape: &Shape) {
        let variants = self.schema.variants(shape);
        let key = match self.path.0.last() {
            Some(Segment::Key(key)) => key.as_str(),
            _ => "",
        };
        let list = variants.iter().any(|shape| matches!(shape, Shape::List(_)));
        let table = variants.iter().find_map(|shape| match shape {
            Shape::Table(table) => Some(table),
            _ => None,
        });
        match (&node.data, table) {
            // One host name may have several addresses: as a list only.
            (Data::List { .. }, Some(Table { rest: Some(item), .. })) if list && key != "extra_hosts" => {
                self.list_to_table(node, self.schema.is_scalar(item), key == "environment" || key == "args");
            }
            (Data::String(_), Some(table)) if !list && key == "build" && table.keys.contains_key("context") => {
                let inner = Node { key: node.span.clone(), ..node.clone() };
                node.data = Data::Table(BTreeMap::from([("context".to_owned(), inner)]));
            }
            (Data::String(_) | Data::Table(_), None | Some(Table { rest: None, .. }))
                if list && !COMMAND_LINES.contains(&key) =>
            {
                let inner = Node { key: node.span.clone(), ..node.clone() };
                node.data = Data::List { items: vec![inner], append: false };
            }
            _ => {}
        }
        self.children(node, shape);
    }

    fn children(&mut self, node: &mut Node, shape: &Shape) {
        match &mut node.data {
            Data::Table(entries) => {
                for (key, entry) in entries {
                    if let Some(shape) = self.schema.under(shape, key) {
                        self.path.0.push(Segment::Key(key.clone()));
                        self.node(entry, shape);
                        self.path.0.pop();
                    }
                }
            }
            Data::List { items, .. } => {
                if let Some(shape) = self.schema.item(shape) {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.path.0.push(Segment::Index(index));
                        self.node(item, shape);
                        self.path.0.pop();
                    }
                }
            }
            _ => {}
        }
    }

    /// `pairs`: items are `KEY=value`, else names. `host`: a bare `KEY` takes the host's value.
    fn list_to_table(&self, node: &mut Node, pairs: bool, host: bool) {
        let Data::List { items, append } = &node.data else { return };
        if items.is_empty() && !append {
            // An empty list clears.
            node.data = Data::Null;
            return;
        }
        let mut table = BTreeMap::new();
        for item in items {
            let Data::String(text) = &item.data else { continue };
            let entry = |data| Node { data, span: item.span.clone(), key: item.span.clone() };
            match (pairs, text.split_once('=')) {
                (true, Some((key, value))) => {
                    table.insert(key.to_owned(), entry(Data::String(value.to_owned())));
                }
                (true, None) if host => {
                    if let Some(value) = (self.lookup)(text) {
                        // Taken as it is: what the host says is not filled in again.
                        table.insert(text.clone(), entry(Data::String(value.replace('$', "$$"))));
                    }
                }
                (true, None) => {
                    table.insert(text.clone(), entry(Data::String(String::new())));
                }
                (false, _) => {
                    table.insert(text.clone(), entry(Data::Table(BTreeMap::new())));
                }
            }
        }
        node.data = Data::Table(table);
    }
}
