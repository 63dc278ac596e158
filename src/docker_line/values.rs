//! The forms that some values have: volumes, mounts, ports. What is no such form is docker's to refuse.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use super::scan::{cut, switch};

/// A path of the host in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// As typed: may be relative.
    pub source: PathBuf,
    /// Where in the container.
    pub target: PathBuf,
    /// The container can't write to it.
    pub read_only: bool,
}

/// `SOURCE:TARGET[:OPTIONS]`; none: a named or anonymous volume.
pub(super) fn volume(value: &OsStr) -> Option<Bind> {
    let (source, rest) = cut(value.as_bytes(), b':');
    let (target, options) = cut(rest?, b':');
    // As docker tells a path from a name (docker/cli, compose loader `isFilePath`).
    if !matches!(source.first(), Some(b'.' | b'/' | b'~')) {
        return None;
    }
    let read_only = options.is_some_and(|options| options.split(|byte| *byte == b',').any(|option| option == b"ro"));
    Some(Bind { source: path(source), target: path(target), read_only })
}

/// `type=bind,source=…,target=…,readonly`; none: not a bind mount.
pub(super) fn mount(value: &OsStr) -> Option<Bind> {
    let (mut bind, mut source, mut target, mut read_only) = (false, None, None, false);
    for field in fields(value.as_bytes()) {
        let (key, value) = cut(&field, b'=');
        match (key.to_ascii_lowercase().as_slice(), value) {
            (b"type", Some(value)) => bind = value.eq_ignore_ascii_case(b"bind"),
            (b"source" | b"src", Some(value)) => source = Some(path(value)),
            (b"target" | b"destination" | b"dst", Some(value)) => target = Some(path(value)),
            (b"readonly" | b"ro", value) => read_only = switch(value.map(OsStr::from_bytes)).unwrap_or_default(),
            _ => {}
        }
    }
    bind.then_some(())?;
    Some(Bind { source: source?, target: target?, read_only })
}

/// Whether a published port names a port of the host: `80:80`, `127.0.0.1:80:80`, `published=80,target=80`.
pub(super) fn is_fixed_port(value: &OsStr) -> bool {
    let bytes = value.as_bytes();
    let named = |port: &[u8]| !port.is_empty() && port != b"0";
    if bytes.contains(&b'=') {
        return fields(bytes).iter().any(|field| match cut(field, b'=') {
            (key, Some(value)) => key.eq_ignore_ascii_case(b"published") && named(value),
            _ => false,
        });
    }
    // From the right: the container's port, the host's, and an address that may hold colons itself.
    let mut parts = bytes.rsplit(|byte| *byte == b':');
    parts.nth(1).is_some_and(named)
}

/// One line of comma-separated values; quotes as in CSV.
fn fields(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), Vec::new(), false);
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted && bytes.next_if_eq(&b'"').is_some() => field.push(b'"'),
            b'"' if quoted || field.is_empty() => quoted = !quoted,
            b',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bind: Option<Bind>) -> String {
        bind.map_or_else(String::new, |bind| {
            let access = if bind.read_only { "ro" } else { "rw" };
            format!("{} {} {access}", bind.source.display(), bind.target.display())
        })
    }

    #[test]
    fn folders_are_told_from_volumes() {
        for (value, expected) in [
            ("/a:/b", "/a /b rw"),
            ("/a:/b:ro", "/a /b ro"),
            ("./a:/b:z,ro", "./a /b ro"),
            (".:/b:rw", ". /b rw"),
            ("../a:/b", "../a /b rw"),
            ("name:/b", ""),
            ("name:/b:ro", ""),
            ("/b", ""),
            ("", ""),
        ] {
            assert_eq!(told(volume(OsStr::new(value))), expected, "{value}");
        }
    }

    #[test]
    fn mounts_are_read_as_csv() {
        for (value, expected) in [
            ("type=bind,source=/a,target=/b", "/a /b rw"),
            ("type=bind,src=./a,dst=/b,readonly", "./a /b ro"),
            ("type=bind,src=/a,destination=/b,ro=true", "/a /b ro"),
            ("type=bind,src=/a,dst=/b,readonly=false", "/a /b rw"),
            ("src=/a,dst=/b,type=bind", "/a /b rw"),
            (r#"type=bind,"source=/a,b",target=/c"#, "/a,b /c rw"),
            (r#"type=bind,"source=/a""b",target=/c"#, "/a\"b /c rw"),
            ("source=cache,target=/b", ""),
            ("type=volume,source=cache,target=/b", ""),
            ("type=tmpfs,target=/b", ""),
            ("type=bind", ""),
            ("", ""),
        ] {
            assert_eq!(told(mount(OsStr::new(value))), expected, "{value}");
        }
    }

    #[test]
    fn a_port_of_the_host_is_one_that_is_named() {
        for (value, expected) in [
            ("80", false),
            ("80/udp", false),
            ("8080:80", true),
            ("8080:80/udp", true),
            (":80", false),
            ("0:80", false),
            ("127.0.0.1::80", false),
            ("127.0.0.1:8080:80", true),
            ("[::1]:8080:80", true),
            ("[::1]::80", false),
            ("8000-8010:80", true),
            ("target=80,published=8080", true),
            ("target=80", false),
        ] {
            assert_eq!(is_fixed_port(OsStr::new(value)), expected, "{value}");
        }
    }
}
