//! What must not be shown: values whose key looks like a secret's.

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
}
