//! What of the program's own files lies in memory: given back after the start, which needs much that is not needed again.
//!
//! The pages are the system's and shared, but they count as each process's own, and sessions and their watchdogs are many.
//! What is needed again is mapped again from the file, at the cost of a page fault.

use std::fs;

use rustix::mm::{Advice, madvise};

/// Gives back what can be read again from a file. Where the system does not tell, nothing happens.
pub fn give_back() {
    let Ok(maps) = fs::read_to_string("/proc/self/smaps") else { return };
    for (from, length) in unchanged(&maps) {
        // SAFETY: the range is a mapping of this process that can't be written and has no page of its own: each of its
        // pages is the file's, and comes back from it when it is touched.
        #[allow(unsafe_code, reason = "there is no safe name for it: advice on changed pages would lose them")]
        let _ = unsafe { madvise(std::ptr::without_provenance_mut(from), length, Advice::LinuxDontNeed) };
    }
}

/// Address and length of mappings of files that can't be written and of which nothing was changed, as a start does with what
/// it relocates (`/proc/PID/smaps`, proc(5)).
fn unchanged(maps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut current = None;
    for line in maps.lines() {
        if let Some(range) = range(line) {
            current = is_files(line).then_some(range);
        } else if let Some(own) = line.strip_prefix("Anonymous:") {
            found.extend(current.take().filter(|_| own.trim() == "0 kB"));
        }
    }
    found
}

/// What a mapping's first line begins with.
fn range(line: &str) -> Option<(usize, usize)> {
    let (from, to) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let (from, to) = (usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?);
    Some((from, to.checked_sub(from)?))
}

/// A private mapping of a file, without the right to write.
fn is_files(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace().skip(1);
    let rights = words.next().unwrap_or_default();
    let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
    is_file && rights.starts_with('r') && !rights.contains('w') && rights.ends_with('p')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unchanged_mappings_of_files() {
        let maps = "\
00001000-00003000 r--p 00000000 fe:00 11   /usr/bin/mcpmon
Size:                  8 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
00003000-00009000 r-xp 00002000 fe:00 11   /usr/bin/mcpmon
Anonymous:             0 kB
00009000-0000a000 r--p 00008000 fe:00 11   /usr/bin/mcpmon
Anonymous:             4 kB
0000a000-0000b000 rw-p 00009000 fe:00 11   /usr/bin/mcpmon
Anonymous:             0 kB
0000b000-0000c000 r--s 00000000 fe:00 12   /shared
Anonymous:             0 kB
0000c000-0000d000 ---p 00000000 fe:00 12   /guard
Anonymous:             0 kB
0000d000-0000e000 r--p 00000000 00:00 0    [vvar]
Anonymous:             0 kB
0000e000-0000f000 r-xp 00000000 00:00 0
Anonymous:             0 kB
";
        assert_eq!(unchanged(maps), [(0x1000, 0x2000), (0x3000, 0x6000)]);
    }

    fn only_numbers(text: &str) -> String {
        text.chars().filter(char::is_ascii_digit).collect()
    }

    #[test]
    fn the_program_goes_on() {
        assert!(!unchanged(&fs::read_to_string("/proc/self/smaps").expect("smaps")).is_empty());
        give_back();
        assert_eq!(only_numbers("a1b22"), "122");
    }
}
