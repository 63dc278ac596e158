//! Volumes in compose's short form: `SOURCE:TARGET[:OPTIONS]`, or `TARGET` alone for a volume without a name.
//! Source: compose-spec, `volumes`. Paths stay as written; who knows the folder makes them absolute.

use super::Invalid;

const HELP: &str = "write SOURCE:TARGET[:OPTIONS], such as \"./data:/data:ro\" or \"cache:/var/cache\"";

/// A short form, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortMount {
    /// What is mounted.
    pub source: Source,
    /// Absolute path in the container.
    pub target: String,
    /// `ro`.
    pub read_only: bool,
    /// A bind mount's propagation.
    pub propagation: Option<String>,
    /// `z` or `Z`.
    pub selinux: Option<String>,
    /// `nocopy`.
    pub nocopy: bool,
}

/// What a short form mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path of the host, as written: begins with `/`, `.` or `~`.
    Path(String),
    /// A volume, by its name in the file.
    Volume(String),
    /// A volume without a name.
    Anonymous,
}

/// Bind propagation modes that the engine knows.
pub const PROPAGATION: &[&str] = &["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// One short form.
pub fn parse(text: &str) -> Result<ShortMount, Invalid> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(Invalid::new(format!("{text:?} has an empty part")).help(HELP));
    }
    let (source, target, options) = match parts.as_slice() {
        [target] => (Source::Anonymous, *target, None),
        [source, target] => (self::source(source), *target, None),
        [source, target, options] => (self::source(source), *target, Some(*options)),
        _ => return Err(Invalid::new(format!("{text:?} has too many colons")).help(HELP)),
    };
    check_target(target)?;
    let mut mount = ShortMount {
        source,
        target: target.to_owned(),
        read_only: false,
        propagation: None,
        selinux: None,
        nocopy: false,
    };
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        let bind = matches!(mount.source, Source::Path(_));
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "z" | "Z" => mount.selinux = Some(option.to_owned()),
            "nocopy" if !bind => mount.nocopy = true,
            // Docker Desktop's former hints; the engine takes and ignores them.
            "cached" | "delegated" | "consistent" => {}
            _ if PROPAGATION.contains(&option) && bind => mount.propagation = Some(option.to_owned()),
            _ => {
                let known = if bind {
                    "ro, rw, z, Z, private, rprivate, shared, rshared, slave or rslave"
                } else {
                    "ro, rw, z, Z or nocopy"
                };
                let what = if bind { "bind mount" } else { "volume" };
                return Err(Invalid::new(format!("unknown option {option:?} for a {what}")).help(known));
            }
        }
    }
    Ok(mount)
}

/// Whether a target can be one.
pub fn check_target(target: &str) -> Result<(), Invalid> {
    if !target.starts_with('/') {
        return Err(Invalid::new(format!("{target:?} is no absolute path in the container")).help(HELP));
    }
    if target.trim_end_matches('/').is_empty() {
        return Err(Invalid::new("nothing can be mounted on \"/\""));
    }
    Ok(())
}

fn source(text: &str) -> Source {
    if text.starts_with(['/', '.', '~']) { Source::Path(text.to_owned()) } else { Source::Volume(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_compose_reads() {
        let plain = |source, target: &str| ShortMount {
            source,
            target: target.into(),
            read_only: false,
            propagation: None,
            selinux: None,
            nocopy: false,
        };
        let path = |text: &str| Source::Path(text.into());
        let cases = [
            ("/data", plain(Source::Anonymous, "/data")),
            ("./a:/b", plain(path("./a"), "/b")),
            (".a:/b", plain(path(".a"), "/b")),
            ("~/q:/c:ro", ShortMount { read_only: true, ..plain(path("~/q"), "/c") }),
            ("cache:/d:nocopy", ShortMount { nocopy: true, ..plain(Source::Volume("cache".into()), "/d") }),
            (
                "./f:/f:rw,z,rslave",
                ShortMount {
                    selinux: Some("z".into()),
                    propagation: Some("rslave".into()),
                    ..plain(path("./f"), "/f")
                },
            ),
            ("/g:/g:cached", plain(path("/g"), "/g")),
            ("a/b:/c", plain(Source::Volume("a/b".into()), "/c")),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("", "empty part"),
            (":/b", "empty part"),
            ("a:/b:", "empty part"),
            ("/a:/b:ro:z", "too many colons"),
            ("./a:b", "no absolute path"),
            ("a", "no absolute path"),
            ("./a:/", "nothing can be mounted"),
            ("/a:/b:foo", "unknown option \"foo\" for a bind mount"),
            ("/a:/b:nocopy", "unknown option \"nocopy\" for a bind mount"),
            ("vol:/b:rslave", "unknown option \"rslave\" for a volume"),
        ];
        for (text, part) in cases {
            let message = parse(text).unwrap_err().message;
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = parse(&text);
        }
    }
}
