//! What must not be shown, whoever shows it: how a secret is told by its name, and how a text is shown without one. Pure.

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Shorter values can't be hidden: they stand in too many texts by chance.
const LEAST: usize = 4;

/// Words that settings are made of; hiding them would hide what is no secret.
const WORDS: [&str; 5] = ["none", "null", "true", "false", "auto"];

/// Whether a variable's name looks like a secret's (`API_KEY`, `GITHUB_TOKEN`, `db_password`).
pub fn looks_secret(key: &str) -> bool {
    const WORDS: [&str; 10] =
        ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "CREDENTIAL", "PRIVATE", "AUTH", "DSN"];
    let key = key.to_ascii_uppercase();
    WORDS.iter().any(|word| key.contains(word))
        || key
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|part| matches!(part, "KEY" | "KEYS" | "PASS" | "PWD" | "PAT"))
}

/// Whether a secret's value can be hidden wherever it stands.
pub fn can_be_hidden(value: &str) -> bool {
    value.len() >= LEAST && !WORDS.contains(&value.to_ascii_lowercase().as_str())
}

/// The values of some secrets, to be hidden wherever they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Those of the values that can be hidden.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for value in values.into_iter().filter(|value| can_be_hidden(value)) {
            // As messages quote it.
            let quoted = value.escape_debug().to_string();
            all.extend((quoted != value).then_some(quoted));
            all.push(value);
        }
        // One secret may begin with another: the longest goes first.
        all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        all.dedup();
        Self(all)
    }

    /// Whether a text holds one of them.
    pub fn are_in(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret.as_str()))
    }

    /// The text as it may be shown: without them, and without the password of a URL. `stand_in`: what a secret becomes.
    pub fn hide_by(&self, text: &str, stand_in: impl Fn(&str) -> String) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), &stand_in(secret));
            }
        }
        without_passwords(&text, stand_in)
    }

    /// The same, with [`MASK`].
    pub fn hide(&self, text: &str) -> String {
        self.hide_by(text, |_| MASK.to_owned())
    }
}

/// `scheme://user:password@host` without the password.
fn without_passwords(text: &str, stand_in: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        // A host ends here at the latest.
        let end =
            after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'')).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?, host))) {
            // A reference says where the password is; what is hidden already stays.
            Some(((user, password), host)) if !password.is_empty() && !password.starts_with(['$', '*']) => {
                out.extend([user, ":", &stand_in(password), "@", host]);
            }
            _ => out.push_str(authority),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_secrets_by_their_key() {
        for (key, secret) in [
            ("API_KEY", true),
            ("GITHUB_TOKEN", true),
            ("db-password", true),
            ("AWS_SECRET_ACCESS_KEY", true),
            ("LOG_LEVEL", false),
            ("MONKEY", false),
            ("KEYBOARD", false),
        ] {
            assert_eq!(looks_secret(key), secret, "{key}");
        }
    }

    #[test]
    fn hides_secrets_and_passwords_of_urls() {
        let secrets = Secrets::new(["hunter3", "hunter34", "abc", "none", "a\"bcd"].map(str::to_owned));
        for (text, shown) in [
            ("hunter3", "***"),
            ("--password=hunter34 x", "--password=*** x"),
            ("abc none", "abc none"),
            (r#""a\"bcd" is no port"#, r#""***" is no port"#),
            ("postgres://u:hunter3@db/x", "postgres://u:***@db/x"),
            ("postgres://u:pw@db:5432/x, http://v:p@h?q", "postgres://u:***@db:5432/x, http://v:***@h?q"),
            ("postgres://u:${PW}@db", "postgres://u:${PW}@db"),
            ("http://host:80/a@b", "http://host:80/a@b"),
            ("http://user@host", "http://user@host"),
            ("http://", "http://"),
        ] {
            assert_eq!(secrets.hide(text), shown, "{text}");
        }
    }
}
