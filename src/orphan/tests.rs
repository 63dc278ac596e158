//! The table of cases: who is an orphan.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::model::{
    labels::{MANAGED, PROJECT, ROLE, SESSION, TARGET},
    testing::{self, labels},
};

/// pid 10 started at tick 500; pid 11 lives, its start is hidden; nobody else lives.
struct Told;

impl Processes for Told {
    fn start_time(&self, pid: u32) -> Option<Option<u64>> {
        HashMap::from([(10, Some(500)), (11, None)]).get(&pid).copied()
    }
}

const HERE: &str = "m/b/n";

/// What it shows, the container's id, its labels, the verdict.
type OfContainer<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, Verdict);

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
        assert_eq!(judge(&labels(pairs), &here, &Told), expected, "case: {name}");
    }
}

/// `/p/mcpmon.toml` is p's and names api, `/k/mcpmon.toml` is k's, names api, and keeps.
impl Claims for Told {
    fn claim(&self, config_file: &str) -> Option<Claim> {
        let (project, keep) = match config_file {
            "/p/mcpmon.toml" => ("p", false),
            "/k/mcpmon.toml" => ("k", true),
            _ => return None,
        };
        Some(Claim { project: project.into(), targets: BTreeSet::from(["api".into()]), keep })
    }

    fn is_another(&self, config_file: &str, own: &Path) -> bool {
        config_file != "/gone.toml" && Path::new(config_file) != own
    }
}

/// The session of `LEFT` ended in order.
impl Ends for Told {
    fn left_to_user(&self, session: Uuid) -> bool {
        session.to_string() == LEFT
    }
}

const LEFT: &str = "00000000-0000-4000-8000-000000000003";
const ALIVE: &str = "00000000-0000-4000-8000-000000000001";
const GONE: &str = "00000000-0000-4000-8000-000000000002";

#[test]
fn a_living_lease_and_a_file_that_asks_count_for_more_than_labels() {
    let lease = Lease {
        session: ALIVE.parse().expect("uuid"),
        pid: 10,
        pid_start: 500,
        host: HERE.into(),
        started: 0,
        role: None,
        engine: Some("unix:///e".into()),
        project: Some("p".into()),
        config_file: Some("/moved/mcpmon.toml".into()),
        adopted: BTreeSet::from(["adopted".to_owned()]),
        reload_failed: BTreeMap::from([("api".to_owned(), "no such port".to_owned())]),
    };
    let known = Known {
        here: HERE.parse().expect("host"),
        processes: Arc::new(Told),
        leases: vec![lease],
        claims: Arc::new(Told),
        ends: Arc::new(Told),
    };
    let dead = || vec![(MANAGED, "true"), (SESSION, GONE), (PID, "99"), (HOST, HERE), (PID_START, "1")];
    let with = |more: &[(&'static str, &'static str)]| [dead(), more.to_vec()].concat();
    let of = |file: &'static str, project: &'static str| vec![(CONFIG_FILE, file), (PROJECT, project), (TARGET, "api")];
    let orphan = Verdict::Orphan(Reason::Dead(99));
    let kept = |file: &str| Verdict::Kept { file: file.into(), reason: Reason::Dead(99) };
    let owned = Verdict::Owned { pid: 10 };
    let keep = [(ON_EXIT, "keep")];
    #[rustfmt::skip]
    let cases: Vec<OfContainer<'_>> = vec![
        ("dead, nobody has adopted it", "other", dead(), orphan.clone()),
        ("dead, adopted", "adopted", dead(), owned.clone()),
        ("another host's, adopted here", "adopted", vec![(MANAGED, "true"), (PID, "99"), (HOST, "k/b/n")], owned.clone()),
        ("adopted, and not mcpmon's: never touched all the same", "adopted", vec![(PID, "99")], Verdict::NotManaged),
        ("its session has a lease, its pid can't be judged", "x", vec![(MANAGED, "true"), (SESSION, ALIVE), (PID, "99"), (HOST, "m/b/x")], owned),
        ("left by its own label, its file asks", "x", with(&[&of("/p/mcpmon.toml", "p")[..], &keep].concat()), kept("/p/mcpmon.toml")),
        ("left by its file's word, its file asks", "x", with(&of("/k/mcpmon.toml", "k")), kept("/k/mcpmon.toml")),
        ("left by a crash, its file asks", "x", with(&of("/p/mcpmon.toml", "p")), orphan.clone()),
        ("left, its file is another project's now", "x", with(&[&of("/k/mcpmon.toml", "q")[..], &keep].concat()), orphan.clone()),
        ("left, its file is gone", "x", with(&[&of("/gone.toml", "p")[..], &keep].concat()), orphan.clone()),
        ("left, its target left the file", "x", with(&[(CONFIG_FILE, "/k/mcpmon.toml"), (PROJECT, "k"), (TARGET, "db")]), orphan.clone()),
        ("left, without a file", "x", with(&keep), orphan.clone()),
        ("made to stay by a create line, and its user's", "x", with(&[(ROLE, "created")]), Verdict::NotManaged),
        ("the same, adopted", "adopted", with(&[(ROLE, "created")]), Verdict::Owned { pid: 10 }),
        ("left to its user by a line", "x", vec![(MANAGED, "true"), (SESSION, LEFT), (PID, "99"), (HOST, HERE)], Verdict::NotManaged),
        ("the same before the last start of the host", "x", vec![(MANAGED, "true"), (SESSION, LEFT), (PID, "99"), (HOST, "m/old/n")], Verdict::NotManaged),
        ("the same, adopted", "adopted", vec![(MANAGED, "true"), (SESSION, LEFT), (PID, "99"), (HOST, HERE)], Verdict::Owned { pid: 10 }),
        ("a stdio session's is never left", "x", with(&[&of("/k/mcpmon.toml", "k")[..], &[(ROLE, "stdio")]].concat()), orphan),
    ];
    for (name, id, pairs, expected) in cases {
        let mut container = testing::container(&testing::target("api", "i"));
        container.id = id.into();
        container.labels = labels(pairs);
        assert_eq!(known.judge(&container), expected, "case: {name}");
    }
    assert_eq!(known.judge_labels(&labels(with(&of("/k/mcpmon.toml", "k")))), Verdict::Orphan(Reason::Dead(99)));
    let own = Path::new("/p/mcpmon.toml");
    for (name, id, pairs, expected) in [
        ("its own file", "x", with(&of("/p/mcpmon.toml", "p")), None),
        ("its folder was moved", "x", with(&of("/gone.toml", "p")), None),
        ("without a file", "x", dead(), None),
        ("another file of the same name", "x", with(&of("/b/mcpmon.toml", "p")), Some("/b/mcpmon.toml")),
        ("another project's session, it says", "x", vec![(MANAGED, "true"), (SESSION, ALIVE), (PROJECT, "q")], None),
        (
            "that of this one",
            "x",
            vec![(MANAGED, "true"), (SESSION, ALIVE), (PROJECT, "p")],
            Some("/moved/mcpmon.toml"),
        ),
        ("another file's session has it now", "adopted", with(&of("/p/mcpmon.toml", "p")), Some("/moved/mcpmon.toml")),
    ] {
        assert_eq!(known.other_file(Some(id), &labels(pairs), own), expected, "case: {name}");
    }
    for (name, id, labelled, expected) in [
        ("its session says so", "x", [(SESSION, ALIVE), (PROJECT, "p"), (TARGET, "api")], Some("no such port")),
        ("adopted", "adopted", [(SESSION, GONE), (PROJECT, "p"), (TARGET, "api")], Some("no such port")),
        ("another target", "x", [(SESSION, ALIVE), (PROJECT, "p"), (TARGET, "db")], None),
        ("another project's session, it says", "x", [(SESSION, ALIVE), (PROJECT, "q"), (TARGET, "api")], None),
        ("a dead session", "x", [(SESSION, GONE), (PROJECT, "p"), (TARGET, "api")], None),
    ] {
        let mut container = testing::container(&testing::target("api", "i"));
        (container.id, container.labels) = (id.into(), labels(labelled));
        assert_eq!(known.reload_failed(&container), expected, "case: {name}");
    }
    assert_eq!(known.keepers("unix:///e", "p").count(), 1);
    assert_eq!(known.keepers_of_file("unix:///e", Path::new("/moved/mcpmon.toml")).count(), 1);
    let of_others = known.keepers_of_file("unix:///other", Path::new("/moved/mcpmon.toml")).count();
    assert_eq!(of_others + known.keepers_of_file("unix:///e", own).count(), 0);
    assert_eq!(known.keepers("unix:///other", "p").count() + known.keepers("unix:///e", "q").count(), 0);
}
