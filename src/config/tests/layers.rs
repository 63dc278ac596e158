//! What wins, where it is looked for, and how layers merge.

use super::*;

#[test]
fn higher_layers_win() {
    let all = || {
        Project::new("watch.delay = '3s'\n[targets.api]\nimage = 'a'\n[profile.ci]\nwatch.delay = '4s'")
            .file("etc/config.toml", "watch.delay = '1s'")
            .file("home/.config/mcpmon/config.toml", "watch.delay = '2s'")
    };
    assert_eq!(Project::new(API).get("watch.delay"), "\"100ms\"");
    assert_eq!(Project::new(API).file("etc/config.toml", "watch.delay = '1s'").get("watch.delay"), "\"1s\"");
    let user = Project::new(API)
        .file("etc/config.toml", "watch.delay = '1s'")
        .file("home/.config/mcpmon/config.toml", "watch.delay = '2s'");
    assert_eq!(user.get("watch.delay"), "\"2s\"");
    assert_eq!(all().get("watch.delay"), "\"3s\"");
    assert_eq!(all().profiles(&["ci"]).get("watch.delay"), "\"4s\"");
    let local = || all().profiles(&["ci"]).file("project/mcpmon.local.toml", "watch.delay = '5s'");
    assert_eq!(local().get("watch.delay"), "\"5s\"");
    let variable = || local().variables(&[("MCPMON_DELAY", "6s")]);
    assert_eq!(variable().get("watch.delay"), "\"6s\"");
    assert_eq!(variable().set(&["watch.delay=7s"]).get("watch.delay"), "\"7s\"");
    let mut flag = variable().set(&["watch.delay=7s"]);
    flag.request.overrides =
        vec![Override { flag: "--delay".into(), key: vec!["watch".into(), "delay".into()], values: vec!["8s".into()] }];
    assert_eq!(flag.get("watch.delay"), "\"8s\"");
}

#[test]
fn lists_append_and_tables_merge_across_forms() {
    let base = "[targets.api]\nimage = 'a'\nports = ['1:1']\nenvironment = ['A=1', 'B=2', 'HOST']\nenv_file = '.env'\ndepends_on = ['db']\nbuild = '.'\n";
    let local = "[targets.api]\nports = ['+', '2:2', '3:3']\nenvironment = { B = 3 }\nenv_file = ['+', 'x.env']\nbuild = { args = ['X=1'] }\ndepends_on.db.condition = 'service_healthy'\n";
    let project = Project::new(base).file("project/mcpmon.local.toml", local).variables(&[("HOST", "here $ too")]);
    assert_eq!(project.get("targets.api.ports"), r#"["1:1","2:2","3:3"]"#);
    assert_eq!(project.get("targets.api.environment"), r#"{"A":"1","B":3,"HOST":"here $ too"}"#);
    assert_eq!(project.get("targets.api.env_file"), r#"[".env","x.env"]"#);
    assert_eq!(project.get("targets.api.build"), r#"{"args":{"X":"1"},"context":"."}"#);
    assert_eq!(project.get("targets.api.depends_on"), r#"{"db":{"condition":"service_healthy"}}"#);
    let layered = project.read();
    let place = |key: &str| {
        let place = layered.merged.place(&parse_key(key).unwrap().0).unwrap();
        place.layer.place(place.node.span.start)
    };
    assert_eq!(place("targets.api.ports[0]"), "mcpmon.toml:3:10");
    assert_eq!(place("targets.api.ports[2]"), "mcpmon.local.toml:2:22");
    assert_eq!(place("targets.api.environment.A"), "mcpmon.toml:4:16");
    assert_eq!(place("targets.api.environment.B"), "mcpmon.local.toml:3:21");
    assert_eq!(place("watch.delay"), "default");
}

#[test]
fn a_table_can_be_cleared() {
    let project = Project::new("[targets.api]\nimage = 'a'\nlabels = { a = '1' }\n");
    assert_eq!(project.set(&["targets.api.labels=none"]).get("targets.api.labels"), "{}");
}

#[test]
fn profiles_apply_in_order() {
    let text = "[targets.api]\nimage = 'a'\n[profile.a]\ntargets.api.image = 'b'\nwatch.delay = '1s'\n[profile.b]\ntargets.api.image = 'c'\n";
    assert_eq!(Project::new(text).get("targets.api.image"), "\"a\"");
    assert_eq!(Project::new(text).profiles(&["a", "b"]).get("targets.api.image"), "\"c\"");
    assert_eq!(Project::new(text).profiles(&["b", "a"]).get("targets.api.image"), "\"b\"");
    let variable = Project::new(text).variables(&[("MCPMON_PROFILE", "b, a")]);
    assert_eq!(variable.get("targets.api.image"), "\"b\"");
    assert_eq!(variable.get("profile"), "nothing");
    let local =
        Project::new(text).file("project/mcpmon.local.toml", "profile.a.targets.api.image = 'z'").profiles(&["a"]);
    assert_eq!(local.get("targets.api.image"), "\"z\"");
}

#[test]
fn profiles_do_not_nest() {
    let project = Project::new("[targets.api]\nimage = 'a'\n[profile.ci.profile.x]\nname = 'y'\n");
    assert!(
        project.errors().starts_with("error: a profile can't hold profiles\n --> mcpmon.toml:3:13\n"),
        "{}",
        project.errors()
    );
}

#[test]
fn the_nearest_file_upward_to_the_repository_is_found() {
    let mut project = Project::new(API).file("mcpmon.toml", "name = 'outside'").file("project/a/b/x", "");
    project.request.folder = project.folder.path().join("project/a/b");
    assert_eq!(project.get("name"), "nothing");
    assert_eq!(project.get("targets.api.image"), "\"a:1\"");
    fs::remove_file(project.folder.path().join("project/mcpmon.toml")).unwrap();
    insta::assert_snapshot!(project.errors(), @r"
    there is no mcpmon.toml in FOLDER/project/a/b and upward to FOLDER/project
    ");
    let mut project = project.file("other.toml", "name = 'other'").file("other.local.toml", "watch.delay = '9s'");
    project.request.config = Some("../../../other.toml".into());
    assert_eq!(project.get("name"), "\"other\"");
    assert_eq!(project.get("watch.delay"), "\"9s\"");
    project.request.config = None;
    let mut project = project.variables(&[("MCPMON_CONFIG", "../../../other.toml")]);
    assert_eq!(project.get("name"), "\"other\"");
    project.request.environment = BTreeMap::from([("MCPMON_CONFIG".into(), "gone.toml".into())]);
    insta::assert_snapshot!(project.errors(), @r"
    MCPMON_CONFIG names FOLDER/project/a/b/gone.toml, which is not there
    ");
}
