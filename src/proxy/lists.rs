//! A server's tools, prompts and resources, as far as they are needed to say how two servers differ. Pure.
//! Entries are kept as hashes: what a list says is the client's business.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::Deserialize;
use serde_json::Value;

use super::message::Raw;

/// The lists that a server may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `tools/list`
    Tools,
    /// `prompts/list`
    Prompts,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates];

    /// The request that reads it.
    pub fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The list that a request of that method reads.
    pub fn of_method(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.method() == method)
    }

    /// The result's field that holds it.
    fn field(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// An entry's field that names it.
    fn name(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// The capability that it belongs to.
    pub fn capability(self) -> Capability {
        match self {
            Self::Tools => Capability::Tools,
            Self::Prompts => Capability::Prompts,
            Self::Resources | Self::Templates => Capability::Resources,
        }
    }
}

/// What a server declares, as far as lists go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// `tools`
    Tools,
    /// `prompts`
    Prompts,
    /// `resources`
    Resources,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tools, Self::Prompts, Self::Resources];

    /// Its name in `capabilities`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
        }
    }

    /// The notification that says that its lists have changed.
    pub fn list_changed(self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
        }
    }

    /// The field of a modern client's subscription that asks for it.
    pub fn filter(self) -> &'static str {
        match self {
            Self::Tools => "toolsListChanged",
            Self::Prompts => "promptsListChanged",
            Self::Resources => "resourcesListChanged",
        }
    }

    /// The capability whose lists that notification is about.
    pub fn of_list_changed(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.list_changed() == method)
    }
}

/// What a page was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// The next one begins at this cursor.
    More(String),
    /// The list is whole.
    Last,
    /// It has another shape, or is one that was there before: the list stays unknown.
    Unreadable,
}

/// What is known of one server's lists.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    whole: BTreeMap<Kind, BTreeMap<String, u64>>,
    reading: BTreeMap<Kind, BTreeMap<String, u64>>,
    harmless: BTreeSet<String>,
}

impl Lists {
    /// A page of a list: what `kind`'s request gave.
    pub fn page(&mut self, kind: Kind, result: Raw<'_>) -> Page {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Shape {
            next_cursor: Option<String>,
            #[serde(flatten)]
            rest: serde_json::Map<String, Value>,
        }
        let Ok(mut page) = serde_json::from_slice::<Shape>(result) else { return Page::Unreadable };
        let Some(Value::Array(entries)) = page.rest.remove(kind.field()) else { return Page::Unreadable };
        let list = self.reading.entry(kind).or_default();
        let before = list.len();
        for entry in entries {
            let Some(name) = entry[kind.name()].as_str() else { continue };
            if kind == Kind::Tools && does_no_harm(&entry) {
                self.harmless.insert(name.to_owned());
            }
            list.insert(name.to_owned(), hash(&entry));
        }
        match page.next_cursor {
            // A server that hands out the same page for ever would be read for ever.
            Some(_) if list.len() == before => Page::Unreadable,
            Some(cursor) => Page::More(cursor),
            None => {
                let list = self.reading.remove(&kind).unwrap_or_default();
                self.whole.insert(kind, list);
                Page::Last
            }
        }
    }

    /// What a request for the beginning of a list gave, of whoever asked. Known is only what came as a whole.
    pub fn told(&mut self, kind: Kind, result: Raw<'_>) {
        // Beside the pages that are being read.
        let mut alone = Self::default();
        if alone.page(kind, result) == Page::Last {
            self.whole.extend(alone.whole);
            self.harmless.extend(alone.harmless);
        }
    }

    /// They have changed: what is known is no longer so.
    pub fn forget(&mut self, capability: Capability) {
        self.whole.retain(|kind, _| kind.capability() != capability);
        self.reading.retain(|kind, _| kind.capability() != capability);
    }

    /// The server has no such list: as good as an empty one.
    pub fn has_none(&mut self, kind: Kind) {
        self.reading.remove(&kind);
        self.whole.insert(kind, BTreeMap::new());
    }

    /// Known as a whole.
    pub fn knows(&self, kind: Kind) -> bool {
        self.whole.contains_key(&kind)
    }

    /// Calling that tool twice is as good as calling it once: it says so (`readOnlyHint`, `idempotentHint`).
    pub fn is_harmless(&self, tool: &str) -> bool {
        self.harmless.contains(tool)
    }

    /// How `new`'s lists differ from these; a list that one of the two does not know is left out.
    pub fn difference(&self, new: &Self) -> Difference {
        let mut difference = Difference::default();
        for kind in Kind::ALL {
            let (Some(before), Some(after)) = (self.whole.get(&kind), new.whole.get(&kind)) else { continue };
            let changes = difference.0.entry(kind.capability()).or_default();
            for (name, hash) in after {
                match before.get(name) {
                    None => changes.added.push(name.clone()),
                    Some(old) if old != hash => changes.changed.push(name.clone()),
                    Some(_) => {}
                }
            }
            changes.removed.extend(before.keys().filter(|name| !after.contains_key(*name)).cloned());
        }
        difference.0.retain(|_, changes| !changes.is_empty());
        difference
    }
}

fn does_no_harm(tool: &Value) -> bool {
    let hint = |name: &str| tool["annotations"][name] == Value::Bool(true);
    hint("readOnlyHint") || hint("idempotentHint")
}

/// The same for the same entry, in whatever order its keys come.
fn hash(value: &Value) -> u64 {
    fn feed(value: &Value, hasher: &mut DefaultHasher) {
        std::mem::discriminant(value).hash(hasher);
        match value {
            Value::Null => {}
            Value::Bool(value) => value.hash(hasher),
            Value::Number(number) => number.to_string().hash(hasher),
            Value::String(text) => text.hash(hasher),
            Value::Array(values) => {
                values.len().hash(hasher);
                for value in values {
                    feed(value, hasher);
                }
            }
            Value::Object(fields) => {
                fields.len().hash(hasher);
                let sorted: BTreeMap<_, _> = fields.iter().collect();
                for (name, value) in sorted {
                    name.hash(hasher);
                    feed(value, hasher);
                }
            }
        }
    }
    let mut hasher = DefaultHasher::new();
    feed(value, &mut hasher);
    hasher.finish()
}

/// How two servers' lists differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference(BTreeMap<Capability, Changes>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Changes {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

impl Difference {
    /// No list differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A list of that capability differs.
    pub fn touches(&self, capability: Capability) -> bool {
        self.0.contains_key(&capability)
    }
}

/// Names shown of one capability; a server may have hundreds.
const SHOWN: usize = 12;

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (capability, changes)) in self.0.iter().enumerate() {
            write!(formatter, "{}{}", if place > 0 { "; " } else { "" }, capability.as_str())?;
            let named = [('+', &changes.added), ('~', &changes.changed), ('-', &changes.removed)];
            let all = named.into_iter().flat_map(|(sign, names)| names.iter().map(move |name| (sign, name)));
            let total = all.clone().count();
            for (sign, name) in all.take(SHOWN) {
                write!(formatter, " {sign}{name}")?;
            }
            if total > SHOWN {
                write!(formatter, " and {} more", total - SHOWN)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(pages: &[(Kind, &str)]) -> Lists {
        let mut lists = Lists::default();
        for (kind, page) in pages {
            assert_ne!(lists.page(*kind, page.as_bytes()), Page::Unreadable);
        }
        lists
    }

    #[test]
    fn what_came_went_and_changed_is_named() {
        let old = lists(&[
            (Kind::Tools, r#"{"tools":[{"name":"fetch","a":1,"b":2},{"name":"same","a":1,"b":2}],"nextCursor":"2"}"#),
            (Kind::Tools, r#"{"tools":[{"name":"old"}]}"#),
            (Kind::Prompts, r#"{"prompts":[]}"#),
        ]);
        let new = lists(&[
            (Kind::Tools, r#"{"tools":[{"name":"fetch","a":1,"b":3},{"b":2,"name":"same","a":1},{"name":"search"}]}"#),
            (Kind::Prompts, r#"{"prompts":[]}"#),
            (Kind::Resources, r#"{"resources":[{"uri":"x:1"}]}"#),
        ]);
        let difference = old.difference(&new);
        assert_eq!(difference.to_string(), "tools +search ~fetch -old");
        assert!(difference.touches(Capability::Tools));
        assert!(!difference.touches(Capability::Prompts), "the same");
        assert!(!difference.touches(Capability::Resources), "not known of the old one");
        assert!(old.difference(&old).is_empty());
    }

    #[test]
    fn a_list_without_an_end_is_given_up() {
        let mut lists = Lists::default();
        let page = br#"{"tools":[{"name":"a"}],"nextCursor":"again"}"#;
        assert_eq!(lists.page(Kind::Tools, page), Page::More("again".into()));
        assert_eq!(lists.page(Kind::Tools, page), Page::Unreadable);
        assert!(!lists.knows(Kind::Tools));
    }

    #[test]
    fn tools_say_whether_they_may_be_called_twice() {
        let page = r#"{"tools":[{"name":"read","annotations":{"readOnlyHint":true}},{"name":"put","annotations":{"idempotentHint":true}},
            {"name":"send","annotations":{"readOnlyHint":false}},{"name":"plain"}]}"#;
        let lists = lists(&[(Kind::Tools, page)]);
        assert_eq!(["read", "put", "send", "plain"].map(|tool| lists.is_harmless(tool)), [true, true, false, false]);
    }
}
