//! Options as docker's own flag library reads them (spf13/pflag, without interspersing): long and short, combined,
//! with attached and separate values, up to the first word that is no option. It must not know what any option means.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use super::options::Options;

/// One option as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Its long name.
    pub(crate) name: String,
    /// Its value. A switch has one only where it was typed (`--rm=false`).
    pub(crate) value: Option<OsString>,
    /// The argument it stands in.
    pub(crate) argument: usize,
    /// Where in a group of letters (`-itd`) its letter stands; 0 for a long option.
    pub(crate) offset: usize,
    /// Its value is the next argument.
    pub(crate) separate: bool,
}

/// Why the options can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// This option, as typed, is in no table: whether the next word is its value is not known.
    Unknown(String),
    /// The program itself will refuse it: a value is missing, or the form is wrong.
    Malformed,
}

/// Reads options from `arguments[from..]`; gives them and the index of the first argument that is none
/// (behind `--`, where that ends them; the arguments' number where there is none).
pub(crate) fn scan(arguments: &[OsString], from: usize, options: &Options) -> Result<(Vec<Given>, usize), Unreadable> {
    let mut given = Vec::new();
    let mut at = from;
    while let Some(argument) = arguments.get(at) {
        let bytes = argument.as_bytes();
        if bytes.len() < 2 || bytes[0] != b'-' {
            break;
        }
        if bytes == b"--" {
            return Ok((given, at + 1));
        }
        let next = arguments.get(at + 1);
        let separate = if bytes[1] == b'-' {
            let one = long(bytes, at, next, options)?;
            let separate = one.separate;
            given.push(one);
            separate
        } else {
            letters(bytes, at, next, options, &mut given)?
        };
        at += if separate { 2 } else { 1 };
    }
    Ok((given, at))
}

/// `--name`, `--name=value`, `--name value`.
fn long(bytes: &[u8], argument: usize, next: Option<&OsString>, options: &Options) -> Result<Given, Unreadable> {
    let (name, value) = cut(&bytes[2..], b'=');
    if name.is_empty() || name[0] == b'-' {
        return Err(Unreadable::Malformed);
    }
    let unknown = || Unreadable::Unknown(format!("--{}", String::from_utf8_lossy(name)));
    let (name, takes_value) = std::str::from_utf8(name).ok().and_then(|name| options.long(name)).ok_or_else(unknown)?;
    let separate = takes_value && value.is_none();
    let value = match value {
        Some(value) => Some(OsStr::from_bytes(value).to_owned()),
        None if takes_value => Some(next.ok_or(Unreadable::Malformed)?.clone()),
        None => None,
    };
    Ok(Given { name: name.to_owned(), value, argument, offset: 0, separate })
}

/// `-itd`, `-p80:80`, `-p=80:80`, `-p 80:80`, `-itp 80:80`; true: the last one's value is the next argument.
fn letters(
    bytes: &[u8],
    argument: usize,
    next: Option<&OsString>,
    options: &Options,
    given: &mut Vec<Given>,
) -> Result<bool, Unreadable> {
    for offset in 1..bytes.len() {
        let unknown = || Unreadable::Unknown(format!("-{}", char::from(bytes[offset])));
        let (name, takes_value) = options.short(bytes[offset]).ok_or_else(unknown)?;
        let rest = &bytes[offset + 1..];
        let (value, separate) = match rest {
            // A lone `=` at the end is the value itself, as pflag has it.
            [b'=', value @ ..] if !value.is_empty() => (Some(OsStr::from_bytes(value).to_owned()), false),
            _ if !takes_value => (None, false),
            [] => (Some(next.ok_or(Unreadable::Malformed)?.clone()), true),
            value => (Some(OsStr::from_bytes(value).to_owned()), false),
        };
        let ends = value.is_some();
        given.push(Given { name: name.to_owned(), value, argument, offset, separate });
        if ends {
            return Ok(separate);
        }
    }
    Ok(false)
}

/// The same where options may stand behind other words too, up to a `--`; gives them and the indices of those words.
pub(crate) fn scan_all(arguments: &[OsString], options: &Options) -> Result<(Vec<Given>, Vec<usize>), Unreadable> {
    let (mut all, mut operands, mut at) = (Vec::new(), Vec::new(), 0);
    while at < arguments.len() {
        let (given, next) = scan(arguments, at, options)?;
        // A `--` that is the value of an option ends nothing.
        let is_value = given.last().is_some_and(|one| one.separate && one.argument + 2 == next);
        let ends = next > at && arguments[next - 1] == "--" && !is_value;
        all.extend(given);
        operands.extend(next..if ends { arguments.len() } else { arguments.len().min(next + 1) });
        at = if ends { arguments.len() } else { next + 1 };
    }
    Ok((all, operands))
}

/// What stands before and behind the first such byte.
pub(crate) fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|byte| *byte == at) {
        Some(position) => (&bytes[..position], Some(&bytes[position + 1..])),
        None => (bytes, None),
    }
}

/// A switch's value, as Go's `strconv.ParseBool` reads it; none: the program will refuse it.
pub(crate) fn switch(value: Option<&OsStr>) -> Option<bool> {
    match value.map(OsStr::as_bytes) {
        None | Some(b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True") => Some(true),
        Some(b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False") => Some(false),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker_line::{Verb, options::Program};

    fn told(line: &str) -> Result<(Vec<String>, usize), Unreadable> {
        let arguments: Vec<OsString> = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        let (given, end) = scan(&arguments, 0, &Options::container(Program::Docker, Verb::Run))?;
        let told = given.iter().map(|one| match &one.value {
            Some(value) => format!("{}={}", one.name, value.display()),
            None => one.name.clone(),
        });
        Ok((told.collect(), end))
    }

    #[test]
    fn every_spelling_is_read_as_the_program_reads_it() {
        for (line, expected, end) in [
            ("image", "", 0),
            ("-it image", "interactive tty", 1),
            ("-i -t image", "interactive tty", 2),
            ("-itd=false image -d", "interactive tty detach=false", 1),
            ("-p80:80 image", "publish=80:80", 1),
            ("-p 80:80 image", "publish=80:80", 2),
            ("-p=80:80 image", "publish=80:80", 1),
            ("-p= image", "publish==", 1),
            ("-itp 80:80 image", "interactive tty publish=80:80", 2),
            ("-itp80:80 image", "interactive tty publish=80:80", 1),
            ("--publish=80:80 image", "publish=80:80", 1),
            ("--publish 80:80 image", "publish=80:80", 2),
            ("--publish= image", "publish=", 1),
            ("--rm=false --rm image", "rm=false rm", 2),
            ("-- image", "", 1),
            ("-i -- -image", "interactive", 2),
            ("-e -i image", "env=-i", 2),
            ("-e -- image", "env=--", 2),
            ("--name run run", "name=run", 2),
            ("-h host image", "hostname=host", 2),
            ("-ve /a image", "volume=e", 1),
            ("- image", "", 0),
            ("-i", "interactive", 1),
            ("--net host image", "net=host", 2),
        ] {
            let (told, at) = told(line).unwrap_or_else(|error| panic!("{line}: {error:?}"));
            assert_eq!((told.join(" ").as_str(), at), (expected, end), "{line}");
        }
    }

    #[test]
    fn options_may_stand_behind_other_words() {
        for (line, expected, operands) in [
            ("a b", "", "a b"),
            ("a -i b -p 80 c", "interactive publish=80", "a b c"),
            ("-i a -- -t b", "interactive", "a -t b"),
            ("-e -- a -t", "env=-- tty", "a"),
            ("a - -t", "tty", "a -"),
            ("--", "", ""),
            ("", "", ""),
        ] {
            let arguments: Vec<OsString> = line.split(' ').filter(|w| !w.is_empty()).map(OsString::from).collect();
            let (given, found) =
                scan_all(&arguments, &Options::container(Program::Docker, Verb::Run)).expect("it can be read");
            let told = given.iter().map(|one| match &one.value {
                Some(value) => format!("{}={}", one.name, value.display()),
                None => one.name.clone(),
            });
            let found: Vec<&str> = found.iter().map(|at| arguments[*at].to_str().expect("UTF-8")).collect();
            assert_eq!(
                (told.collect::<Vec<_>>().join(" "), found.join(" ")),
                (expected.into(), operands.into()),
                "{line}"
            );
        }
    }

    #[test]
    fn what_can_not_be_read_is_told_from_what_is_not_known() {
        let unknown = |option: &str| Err(Unreadable::Unknown(option.to_owned()));
        for (line, expected) in [
            ("--nope image", unknown("--nope")),
            ("--nope=1 image", unknown("--nope")),
            ("-iz image", unknown("-z")),
            ("-p", Err(Unreadable::Malformed)),
            ("-ip", Err(Unreadable::Malformed)),
            ("--publish", Err(Unreadable::Malformed)),
            ("--=x image", Err(Unreadable::Malformed)),
            ("---i image", Err(Unreadable::Malformed)),
        ] {
            assert_eq!(told(line), expected, "{line}");
        }
    }
}
