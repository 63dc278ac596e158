//! The other files that a compose file names in `env_file`, `include` and `extends`: an edit of one of them changes the
//! project, and `docker compose config` does not say which they are. Read line by line; one file too many costs a look,
//! so what is unclear counts. Pure.

/// Keys whose values name files.
const KEYS: [&str; 3] = ["env_file", "include", "extends"];

/// What the file names, as written.
pub fn mentions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // The key whose block this is, and how far it is indented.
    let mut within: Option<usize> = None;
    for line in text.lines() {
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = line.len() - content.len();
        // Items of a list may stand as far left as their key.
        if within.is_some_and(|key| indent < key || (indent == key && !content.starts_with("- "))) {
            within = None;
        }
        let bare = content.trim_start_matches("- ").trim_start();
        let key = KEYS.iter().find_map(|key| unquoted_key(bare, key));
        if let Some(rest) = key {
            within = Some(indent);
            found.extend(values(rest));
        } else if within.is_some() {
            let value = ["path", "file", "project_directory"].iter().find_map(|key| unquoted_key(bare, key));
            found.extend(values(value.unwrap_or(bare)));
        }
    }
    found
}

/// What follows `key:`, quoted or not.
fn unquoted_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let text = text.trim_start_matches(['"', '\'']).strip_prefix(key)?;
    text.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':')
}

/// The words of a value: a scalar, or a flow list or table of them.
fn values(text: &str) -> Vec<String> {
    let text = text.split(" #").next().unwrap_or(text).trim();
    let parts = text.split(['[', ']', '{', '}', ',']);
    parts
        .map(str::trim)
        .map(|part| ["path:", "file:"].iter().find_map(|key| part.strip_prefix(key)).unwrap_or(part).trim())
        .map(|part| part.trim_matches(['"', '\'']))
        .filter(|part| !part.is_empty() && !part.ends_with(':') && !part.contains(": ") && *part != "|" && *part != ">")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_every_form() {
        let text = "\
include: [a.yml, 'b.yml']
services:
  web:
    image: x
    env_file: one.env  # why
    extends:
      file: base.yml
      service: web
    environment:
      A: no.env
  db:
    env_file:
    - two.env
    - path: ./three.env
      required: false
    volumes:
      - ./no:/no
    extends: {file: other.yml, service: db}
";
        let found = mentions(text);
        for file in ["a.yml", "b.yml", "one.env", "base.yml", "two.env", "./three.env", "other.yml"] {
            assert!(found.contains(&file.to_owned()), "{file}: {found:?}");
        }
        assert!(!found.iter().any(|file| file.contains("no")), "{found:?}");
        assert_eq!(mentions(r#"{"services": {"a": {}}}"#), Vec::<String>::new());
    }
}
