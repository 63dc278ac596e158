//! A program's options in front of its first plain argument: only as much of them as it takes to know where they end.

/// How single dashes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As getopt does: `-um x` is `-u` and `-m` with the value `x`, and so is `-umx`.
    Letters,
    /// As Java and Go do: `-jar` is one option.
    Words,
}

/// What stood in front, and the rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options<'a> {
    given: Vec<(String, Option<&'a str>)>,
    /// From the first plain argument on.
    pub(super) rest: &'a [String],
}

impl<'a> Options<'a> {
    /// Reads options; those named here take a value. What an option named in `last` gives is the program's main thing:
    /// all after it belongs to that.
    pub(super) fn read(words: &'a [String], style: Style, with_value: &[&str], last: &[&str]) -> Self {
        let (mut given, mut rest) = (Vec::new(), words);
        while let Some((word, after)) = rest.split_first() {
            if word == "--" {
                return Self { given, rest: after };
            }
            if !word.starts_with('-') || word == "-" {
                break;
            }
            rest = after;
            let mut take_value = |name: String, attached: Option<&'a str>| {
                let takes = with_value.contains(&name.as_str()) || last.contains(&name.as_str());
                let value = match attached {
                    None if takes => rest.split_first().map(|(value, after)| {
                        rest = after;
                        value.as_str()
                    }),
                    attached => attached,
                };
                let is_last = last.contains(&name.as_str());
                given.push((name, value));
                is_last
            };
            let is_letters = style == Style::Letters && !word.starts_with("--");
            let ends = if is_letters {
                let mut ends = false;
                for (index, letter) in word.char_indices().skip(1) {
                    let name = format!("-{letter}");
                    let after = &word[index + letter.len_utf8()..];
                    let takes = with_value.contains(&name.as_str()) || last.contains(&name.as_str());
                    let attached = (takes && !after.is_empty()).then_some(after);
                    ends = take_value(name, attached);
                    if takes {
                        break;
                    }
                }
                ends
            } else {
                match word.split_once('=') {
                    Some((name, value)) => take_value(name.to_owned(), Some(value)),
                    None => take_value(word.clone(), None),
                }
            };
            if ends {
                break;
            }
        }
        Self { given, rest }
    }

    /// The value given last to any of these names.
    pub(super) fn value(&self, names: &[&str]) -> Option<&'a str> {
        self.values(names).last()
    }

    /// All values given to any of these names.
    pub(super) fn values<'o>(&'o self, names: &'o [&str]) -> impl Iterator<Item = &'a str> + 'o {
        let given = self.given.iter().filter(|(name, _)| names.contains(&name.as_str()));
        given.filter_map(|(_, value)| *value)
    }

    /// Options that stand behind the first plain argument as well (`npm run --silent dev`); that argument is returned
    /// apart.
    pub(super) fn after_first(mut self, style: Style, with_value: &[&str], last: &[&str]) -> (Option<&'a str>, Self) {
        let Some((first, after)) = self.rest.split_first() else { return (None, self) };
        let more = Self::read(after, style, with_value, last);
        self.given.extend(more.given);
        self.rest = more.rest;
        (Some(first), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_end_where_the_program_says() {
        let letters: &[&str] = &["-n", "--name"];
        for (line, style, last, name, rest) in [
            ("-a -n x y", Style::Letters, &[][..], Some("x"), "y"),
            ("-anx y", Style::Letters, &[], Some("x"), "y"),
            ("-an x y -n z", Style::Letters, &[], Some("x"), "y -n z"),
            ("--name=x y", Style::Letters, &[], Some("x"), "y"),
            ("--name x -- -y", Style::Letters, &[], Some("x"), "-y"),
            ("-n x -n", Style::Letters, &[], Some("x"), ""),
            ("- y", Style::Letters, &[], None, "- y"),
            ("-nose y", Style::Words, &[], None, "y"),
            ("-um pkg -n x", Style::Letters, &["-m"], None, "-n x"),
        ] {
            let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
            let options = Options::read(&words, style, letters, last);
            assert_eq!(options.value(letters), name, "{line}");
            assert_eq!(options.rest.join(" "), rest, "{line}");
        }
    }
}
