//! One target in every state of the world, by table.

use super::*;

#[test]
fn one_target() {
    let cases: &[(&str, Prepare, &str)] = &[
        ("as asked", |_, _, _| {}, ""),
        (
            "nothing there",
            |_, o, _| *o = Observed::default(),
            "p_default: make: a uses it\na: Pull, create after [p_default must be there]: there is none",
        ),
        ("gone, never made here", |_, o, _| o.containers.clear(), "a: create: there is none"),
        (
            "removed from outside",
            |_, o, s| {
                o.containers.clear();
                s.made.insert("a".into());
            },
            "a: create: somebody removed it",
        ),
        (
            "removed, drift only warns",
            |_, o, s| {
                o.containers.clear();
                s.made.insert("a".into());
                s.on_drift = OnDrift::Warn;
            },
            "a: hold: somebody removed it; left so (reconcile.on_drift = \"warn\")",
        ),
        (
            "removed, drift ignored",
            |_, o, s| {
                o.containers.clear();
                s.made.insert("a".into());
                s.on_drift = OnDrift::Ignore;
            },
            "a: same, not ready: somebody removed it",
        ),
        ("killed", |_, o, _| only(o).state = State::Exited(Some(137)), "a: start id-a: it ended with exit code 137"),
        ("ended, code unknown", |_, o, _| only(o).state = State::Exited(None), "a: start id-a: it ended"),
        ("made, not started", |_, o, _| only(o).state = State::Created, "a: start id-a: it was made but not started"),
        ("paused", |_, o, _| only(o).state = State::Paused, "a: unpause id-a: somebody paused it"),
        ("renamed", |_, o, _| only(o).name = "other".into(), "a: rename id-a to p-a: somebody renamed it to other"),
        ("off its network", |_, o, _| only(o).networks.clear(), "a: replace id-a: it was taken off network p_default"),
        (
            "restarting",
            |_, o, _| only(o).state = State::Restarting,
            "a: hold: the engine's own restart policy is at work on it",
        ),
        ("removing", |_, o, _| only(o).state = State::Removing, "a: hold 100: it is being removed"),
        (
            "unknown state",
            |_, o, _| only(o).state = State::Other("stopped".into()),
            "a: hold: its state is \"stopped\", which this version of mcpmon does not know",
        ),
        ("starting", |_, o, _| only(o).health = Health::Starting, "a: same, not ready: "),
        ("unhealthy", |_, o, _| only(o).health = Health::Unhealthy, "a: same, not ready: "),
        ("healthy", |_, o, _| only(o).health = Health::Healthy, ""),
        ("other spec", |p, _, _| run(a(p)).spec.init = false, "a: replace id-a: the file asks for something else"),
        (
            "other hash, no memory",
            |_, o, _| {
                only(o).labels = testing::labels([
                    ("mcpmon.managed", "true"),
                    ("mcpmon.project", "p"),
                    (TARGET, "a"),
                    (CONFIG_HASH, "x"),
                ]);
            },
            "a: replace id-a: made from another configuration",
        ),
        (
            "other image id",
            |_, o, _| {
                o.images.insert("i".into(), image("sha256:new"));
            },
            "a: replace id-a: i is another image now",
        ),
        ("image gone, container runs", |_, o, _| o.images.clear(), ""),
        (
            "image missing, build",
            |p, o, _| {
                o.containers.clear();
                o.images.clear();
                run(a(p)).build = Some(build());
            },
            "a: Build, create: there is none",
        ),
        (
            "image missing, never pull",
            |p, o, _| {
                o.containers.clear();
                o.images.clear();
                run(a(p)).pull_policy = PullPolicy::Never;
            },
            "a: hold: image i is not here, and pull_policy is \"never\": fetch it, or set pull_policy = \"missing\"",
        ),
        (
            "refresh",
            |_, _, s| {
                s.refresh.insert("a".into());
            },
            "a: refresh Pull: asked for",
        ),
        (
            "refresh, build, none there",
            |p, o, s| {
                o.containers.clear();
                run(a(p)).build = Some(build());
                s.refresh.insert("a".into());
            },
            "a: Build, create: there is none",
        ),
        (
            "replacement rejected, the old one runs",
            |p, _, s| {
                run(a(p)).spec.init = false;
                s.rejected.insert("a".into(), "it ended".into());
            },
            "a: hold: the container goes on as it is, its replacement failed: it ended",
        ),
        (
            "replacement rejected, the old one ended",
            |p, o, s| {
                run(a(p)).spec.init = false;
                only(o).state = State::Exited(Some(1));
                s.rejected.insert("a".into(), "it ended".into());
            },
            "a: start id-a: it ended, and its replacement failed: it ended",
        ),
        (
            "replacement rejected, the old one ended and its network is gone",
            |p, o, s| {
                run(a(p)).spec.init = false;
                only(o).state = State::Exited(Some(1));
                o.networks.clear();
                s.rejected.insert("a".into(), "it ended".into());
            },
            "p_default: make: a uses it\na: replace id-a after [p_default must be there]: the file asks for something else",
        ),
        (
            "replacement by another image rejected, the old one ended",
            |_, o, s| {
                o.images.insert("i".into(), image("sha256:new"));
                only(o).state = State::Exited(Some(137));
                s.rejected.insert("a".into(), "it ended".into());
            },
            "a: start id-a: it ended, and its replacement failed: it ended",
        ),
        (
            "stopped by somebody, drift is only said",
            |_, o, s| {
                only(o).state = State::Exited(Some(0));
                s.stopped.insert("id-a".into());
                s.on_drift = OnDrift::Warn;
            },
            "a: hold: somebody stopped it; left so (reconcile.on_drift = \"warn\")",
        ),
        (
            "ended by itself, drift is only said",
            |_, o, s| {
                only(o).state = State::Exited(Some(3));
                s.on_drift = OnDrift::Warn;
            },
            "a: start id-a: it ended with exit code 3",
        ),
        (
            "its build changed",
            |p, o, _| {
                run(a(p)).build = Some(build());
                o.images.insert("i".into(), ObservedImage { build_hash: Some("old".into()), ..image("sha256:i") });
            },
            "a: refresh Build: its build changed in the file",
        ),
        (
            "its build failed, and it was killed",
            |p, o, s| {
                run(a(p)).build = Some(build());
                s.refresh.insert("a".into());
                s.rejected.insert("a".into(), "build failed".into());
                only(o).state = State::Exited(Some(137));
            },
            "a: start id-a: it ended with exit code 137",
        ),
        ("built by somebody else", |p, _, _| run(a(p)).build = Some(build()), ""),
        (
            "busy",
            |_, o, s| {
                o.containers.clear();
                s.busy.insert("a".into());
            },
            "",
        ),
        (
            "backing off",
            |_, o, s| {
                only(o).state = State::Exited(Some(1));
                s.backoff.insert("a".into(), Backoff { retry_ms: Some(500), reason: "crashed".into() });
            },
            "a: hold 500: crashed",
        ),
        (
            "backed off",
            |_, o, s| {
                only(o).state = State::Exited(Some(1));
                s.backoff.insert("a".into(), Backoff { retry_ms: Some(0), reason: "crashed".into() });
            },
            "a: start id-a: it ended with exit code 1",
        ),
        (
            "running while backing off",
            |_, _, s| {
                s.backoff.insert("a".into(), Backoff { retry_ms: Some(500), reason: "crashed".into() });
            },
            "",
        ),
        (
            "name taken",
            |_, o, _| {
                o.containers.clear();
                o.foreign_names.insert("p-a".into(), "0123456789abcdef".into());
            },
            "a: hold: the name p-a is taken by container 0123456789ab, which is not this project's: remove or rename that one, or set another container_name",
        ),
        (
            "another mcpmon's",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "a: hold: another mcpmon, pid 7, keeps it running: end that one first",
        ),
        (
            "a client's session keeps it for its server",
            |_, o, s| {
                only(o).labels.0.insert(ROLE.into(), DEPENDENCY.into());
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "",
        ),
        (
            "the same, unhealthy",
            |_, o, s| {
                only(o).labels.0.insert(ROLE.into(), DEPENDENCY.into());
                only(o).health = Health::Unhealthy;
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "a: same, not ready: ",
        ),
        (
            "the same, not as asked",
            |_, o, s| {
                only(o).labels.0.extend([(ROLE.into(), DEPENDENCY.into()), (CONFIG_HASH.into(), "other".into())]);
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "a: hold: another mcpmon, pid 7, keeps it running: end that one first",
        ),
        (
            "owner dead",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::Dead { reason: "dead".into(), adoptable: true });
            },
            "a: adopt id-a: dead",
        ),
        (
            "owner dead, another configuration",
            |_, o, s| {
                o.containers[0].labels.0.insert(crate::model::labels::CONFIG_HASH.into(), "other".into());
                s.owners.insert("id-a".into(), Ownership::Dead { reason: "dead".into(), adoptable: true });
            },
            "a: replace id-a: made from another configuration; dead",
        ),
        (
            "owner dead, another image",
            |_, o, s| {
                o.containers[0].image_id = "sha256:other".into();
                s.owners.insert("id-a".into(), Ownership::Dead { reason: "dead".into(), adoptable: true });
            },
            "a: replace id-a: i is another image now; dead",
        ),
        (
            "owner dead, made for something else",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::Dead { reason: "dead".into(), adoptable: false });
            },
            "a: replace id-a: dead",
        ),
        (
            "another file's",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::OtherFile { file: "/b c/mcpmon.toml".into() });
            },
            "a: hold: it was made from /b c/mcpmon.toml, which has this project's name too: give one of the two another `name`, or `mcpmon --config '/b c/mcpmon.toml' down`",
        ),
        (
            "left the file, another file's",
            |p, _, s| {
                p.targets.clear();
                s.owners.insert("id-a".into(), Ownership::OtherFile { file: "/b/mcpmon.toml".into() });
            },
            "a: hold: it was made from /b/mcpmon.toml, which has this project's name too: give one of the two another `name`, or `mcpmon --config /b/mcpmon.toml down`",
        ),
        (
            "owner elsewhere",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::Remote { host: "h".into() });
            },
            "a: hold: container id-a belongs to a session on h: end it there, or remove the container",
        ),
        ("left the file", |p, _, _| p.targets.clear(), "a: remove id-a: it left the file"),
        (
            "left the file, prune off",
            |p, _, s| {
                p.targets.clear();
                s.prune = false;
            },
            "a: hold: it left the file, and reconcile.prune is off: `mcpmon up --remove-orphans` removes it",
        ),
        (
            "left the file, another's",
            |p, _, s| {
                p.targets.clear();
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "a: hold: another mcpmon, pid 7, keeps it running",
        ),
        (
            "left the file, not in scope",
            |p, _, s| {
                p.targets.clear();
                s.scope = Some(BTreeSet::new());
            },
            "",
        ),
        (
            "not in scope",
            |_, o, s| {
                o.containers.clear();
                s.scope = Some(BTreeSet::new());
            },
            "",
        ),
        (
            "network left the file",
            |p, o, _| {
                p.targets.clear();
                p.networks.clear();
                o.containers.clear();
            },
            "p_default: remove : it left the file",
        ),
        (
            "network differs",
            |p, _, _| {
                p.networks.insert("p_default".into(), NetworkSpec { internal: true, ..NetworkSpec::default() });
            },
            "p_default: hold: the network differs from the file and can't be changed in place: `mcpmon down`, then `mcpmon up`",
        ),
        (
            "network is another's",
            |_, o, _| {
                o.networks.get_mut("p_default").expect("network").labels = Labels::default();
            },
            "p_default: hold: a network of that name is there and is not this project's: set `external = true` to use it, or another `name`",
        ),
    ];
    for (name, prepare, expected) in cases {
        assert_eq!(case(prepare), *expected, "case: {name}");
    }
}
