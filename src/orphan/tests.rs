//! The table of cases: who is an orphan.

use std::collections::HashMap;

use super::*;
use crate::model::{labels::MANAGED, testing::labels};

/// pid 10 started at tick 500; pid 11 lives, its start is hidden; nobody else lives.
struct Known;

impl Processes for Known {
    fn start_time(&self, pid: u32) -> Option<Option<u64>> {
        HashMap::from([(10, Some(500)), (11, None)]).get(&pid).copied()
    }
}

const HERE: &str = "m/b/n";

/// What it shows, the labels, the verdict.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Verdict);

#[test]
fn the_table_of_cases() {
    let remote = |place: &str| Verdict::Remote { place: place.into() };
    let orphan = Verdict::Orphan;
    let owned = |pid| Verdict::Owned { pid };
    let m = (MANAGED, "true");
    #[rustfmt::skip]
    let cases: Vec<Case<'_>> = vec![
        ("no labels", vec![], Verdict::NotManaged),
        ("not managed, dead pid", vec![(PID, "99")], Verdict::NotManaged),
        ("managed is not true", vec![(MANAGED, "false"), (PID, "99")], Verdict::NotManaged),
        ("managed is something else", vec![(MANAGED, "TRUE")], Verdict::NotManaged),
        ("older version, no pid", vec![m], orphan(Reason::NoPid)),
        ("older version, pid dead", vec![m, (PID, "99")], orphan(Reason::Dead(99))),
        ("older version, pid lives", vec![m, (PID, "10")], owned(10)),
        ("pid is text", vec![m, (PID, "abc")], orphan(Reason::BadPid("abc".into()))),
        ("pid is 0: would mean every process of a group", vec![m, (PID, "0")], orphan(Reason::BadPid("0".into()))),
        ("pid is negative", vec![m, (PID, "-10")], orphan(Reason::BadPid("-10".into()))),
        ("pid is too large", vec![m, (PID, "99999999999")], orphan(Reason::BadPid("99999999999".into()))),
        ("here, lives, same start", vec![m, (PID, "10"), (HOST, HERE), (PID_START, "500")], owned(10)),
        ("here, pid reused", vec![m, (PID, "10"), (HOST, HERE), (PID_START, "499")], orphan(Reason::Reused(10))),
        ("no host, pid reused", vec![m, (PID, "10"), (PID_START, "499")], orphan(Reason::Reused(10))),
        ("here, start is text: not used against it", vec![m, (PID, "10"), (HOST, HERE), (PID_START, "x")], owned(10)),
        ("here, start hidden by the system", vec![m, (PID, "11"), (HOST, HERE), (PID_START, "1")], owned(11)),
        ("here, dead", vec![m, (PID, "99"), (HOST, HERE), (PID_START, "500")], orphan(Reason::Dead(99))),
        ("here, no pid", vec![m, (HOST, HERE)], orphan(Reason::NoPid)),
        ("other boot, pid lives now", vec![m, (PID, "10"), (HOST, "m/old/n"), (PID_START, "500")], orphan(Reason::OtherBoot(10))),
        ("other boot, other namespace", vec![m, (PID, "10"), (HOST, "m/old/x")], orphan(Reason::OtherBoot(10))),
        ("other namespace, pid dead here", vec![m, (PID, "99"), (HOST, "m/b/x")], remote("pid namespace x")),
        ("other namespace, pid lives here", vec![m, (PID, "10"), (HOST, "m/b/x")], remote("pid namespace x")),
        ("other host, pid dead here", vec![m, (PID, "99"), (HOST, "k/b/n")], remote("host k")),
        ("other host, other boot", vec![m, (PID, "99"), (HOST, "k/old/n")], remote("host k")),
        ("other host, no pid: its own business", vec![m, (HOST, "k/b/n")], remote("host k")),
        ("host that can't be read", vec![m, (PID, "99"), (HOST, "garbage")], remote("unknown host \"garbage\"")),
        ("empty host", vec![m, (PID, "99"), (HOST, "")], remote("unknown host \"\"")),
        ("host with empty parts", vec![m, (PID, "99"), (HOST, "//")], remote("unknown host \"//\"")),
    ];
    let here: HostIdentity = HERE.parse().expect("host");
    for (name, pairs, expected) in cases {
        assert_eq!(judge(&labels(pairs), &here, &Known), expected, "case: {name}");
    }
}
