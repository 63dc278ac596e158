//! A `--label-file` without mcpmon's own keys: what a user's file says of them never counts. It must not read files.

use crate::model::labels::PREFIX;

/// A file's text without such lines, and these lines; none: there is not one, the file stays as it is.
pub fn without_own(text: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    let (mut kept, mut dropped) = (Vec::with_capacity(text.len()), Vec::new());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        // As docker reads it (docker/cli `opts/file.go`): a mark at the file's beginning and blanks before the key do not count.
        let plain = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if plain.starts_with(PREFIX.as_bytes()) {
            dropped.push(String::from_utf8_lossy(plain).into_owned());
        } else {
            kept.extend_from_slice(line);
        }
    }
    (!dropped.is_empty()).then_some((kept, dropped))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_mcpmons_keys_go() {
        for text in ["", "a=b\n# mcpmon.pid=1\nc", "x-mcpmon.pid=1\nmcpmon=1\n", "a=mcpmon.pid=1"] {
            assert_eq!(without_own(text.as_bytes()), None, "{text:?}");
        }
        let (kept, dropped) =
            without_own("\u{feff}mcpmon.managed=false\na=b\r\n\t mcpmon.pid\n c=d".as_bytes()).expect("two");
        assert_eq!(String::from_utf8_lossy(&kept), "a=b\r\n c=d");
        assert_eq!(dropped, ["mcpmon.managed=false", "mcpmon.pid"]);
    }
}
