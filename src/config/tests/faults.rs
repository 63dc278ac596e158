//! Every fault at once: one does not hide the others.

use super::*;

/// The message of each error, in the order they are told.
fn messages(project: &Project) -> Vec<String> {
    project.load_errors().lines().filter_map(|line| line.strip_prefix("error: ")).map(str::to_owned).collect()
}

#[test]
fn a_flag_that_is_no_key_hides_nothing() {
    let text = "[targets.api]\nimage = 'a'\nports = ['1:99999']\n";
    let project = Project::new(text).set(&["nonsense=1", "no equals"]).file("project/.env", "no name=1\n");
    assert_eq!(
        messages(&project),
        [
            "' ' can't be part of a variable's name",
            "port 99999 is above 65535",
            "unknown key `nonsense`",
            "--set no equals: there is no `=`"
        ]
    );
}

#[test]
fn what_a_higher_layer_hides_is_judged_all_the_same() {
    let text = "watch.delay = 'abc'\n[targets.api]\nimage = 'a'\nmem_limit = '2q'\ncpus = 'two'\nshm_size = -1\n\
                [profile.slow]\nwatch.delay = '5'\n";
    let project = Project::new(text).variables(&[("MCPMON_DELAY", "1s"), ("MCPMON_TIMEOUT", "soon")]).set(&[
        "mcp.startup_timeout=1s",
        "targets.api.mem_limit=64m",
        "targets.api.cpus=2",
        "targets.api.shm_size=64m",
    ]);
    let told = [
        "unknown unit \"abc\" in the duration \"abc\"",
        "\"2q\" is not a size",
        "\"two\" is not a number",
        "a size can't be negative: \"-1\"",
        "the duration \"5\" has no unit",
        "unknown unit \"soon\" in the duration \"soon\"",
    ];
    assert_eq!(messages(&project), told);
    let text = "[targets.api]\nimage = 'a'\nports = ['1:99999', '2:2']\nvolumes = ['a:b']\nrestart = 'sometimes'\n\
                [profile.p.targets.api]\nports = ['x']\n";
    let better = "targets.api.ports = ['1:1']\ntargets.api.volumes = []\ntargets.api.restart = 'no'\n";
    let project = || Project::new(text).file("project/mcpmon.local.toml", better);
    let told = messages(&project());
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], "port 99999 is above 65535");
    // Each once, hidden or not; and what is right stays where it is.
    assert_eq!(messages(&Project::new(text)), told);
    let faults = load(&project().request).unwrap_err().faults;
    let keys: Vec<_> = faults.into_iter().filter_map(|fault| fault.key).collect();
    assert_eq!(keys, ["targets.api.ports[0]", "targets.api.volumes[0]", "targets.api.restart", "targets.api.ports[0]"]);
    let text = "watch.ignore = ['a[']\n[targets.api]\nimage = 'a'\npids_limit = -2\nhealthcheck = { test = 'x', retries = 'often' }\n\
                mcp.max_output_tokens = -1\nports = [{ target = 99999, published = '2-1', host_ip = 'here' }]\n\
                develop.watch = [{ path = '.', action = 'restart', ignore = ['{a'] }]\n";
    let better = "watch.ignore = []\n[targets.api]\npids_limit = 1\nhealthcheck.retries = 1\nmcp.max_output_tokens = 1\n\
                  ports = []\ndevelop.watch = []\n";
    let told = messages(&Project::new(text).file("project/mcpmon.local.toml", better));
    let expected = [
        "\"a[\" is not a glob: unclosed character class; missing ']'",
        "pids_limit can't be negative",
        "\"often\" is not a whole number",
        "-1 is out of range for max_output_tokens",
        "99999 is out of range for target",
        "the port range 2-1 runs backwards",
        "\"here\" is not an IP address",
        "\"{a\" is not a glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
    ];
    assert_eq!(told, expected);
    assert_eq!(messages(&Project::new(text)), expected, "each once");
    // What `${…}` becomes counts only where it is used.
    let project = Project::new("watch.delay = '${DELAY:?}'\n[targets.api]\nimage = 'a'\n");
    assert_eq!(project.variables(&[("MCPMON_DELAY", "1s")]).get("watch.delay"), "\"1s\"");
}

#[test]
fn an_unknown_variable_is_told_beside_the_errors() {
    let project =
        Project::new("watch.delay = 'abc'\n[targets.api]\nimage = 'a'\n").variables(&[("MCPMON_DELEY", "1s")]);
    let warning = "MCPMON_DELEY: unknown variable; did you mean MCPMON_DELAY?";
    let shown = project.load_errors();
    assert!(
        shown.contains(&format!("\nwarning: {warning}\n")) && shown.ends_with("\n1 error in the configuration"),
        "{shown}"
    );
    assert_eq!(load(&project.request).unwrap_err().warnings, [warning]);
    // Also where a file is no TOML.
    let project = Project::new("name = \n").variables(&[("MCPMON_DELEY", "1s")]);
    assert!(project.load_errors().contains(warning));
}

#[test]
fn flags_alone_are_the_command_lines_fault() {
    let delay = |value: &str| Override {
        flag: "--delay".into(),
        key: vec!["watch".into(), "delay".into()],
        values: vec![value.into()],
    };
    let mut project = Project::new(API).set(&["nonsense=1"]).profiles(&["cj"]);
    project.request.overrides = vec![delay("abc")];
    let error = load(&project.request).unwrap_err();
    assert_eq!((error.kind.exit_code(), error.faults.len()), (64, 3), "{error}");
    assert!(error.message.ends_with("\n3 errors on the command line"), "{error}");
    let mut project = Project::new("dealy = '1s'").variables(&[("MCPMON_DELAY", "1s")]);
    project.request.overrides = vec![delay("abc")];
    let error = load(&project.request).unwrap_err();
    assert_eq!((error.kind.exit_code(), error.faults.len()), (78, 2), "{error}");
}

#[test]
fn the_good_lines_of_a_dotenv_file_count() {
    let project = Project::new("[targets.api]\nimage = '${IMAGE:?set it}'\n").file("project/.env", "IMAGE=a\n1 2=\n");
    assert_eq!(messages(&project), ["' ' can't be part of a variable's name"]);
}

#[test]
fn a_target_without_a_kind_is_judged_all_the_same() {
    let project = Project::new("[targets.api]\nimag = 'a'\nports = ['1:99999']\nstop_grace_period = '5'\n");
    assert_eq!(
        messages(&project),
        ["unknown key `imag` in `targets.api`", "port 99999 is above 65535", "the duration \"5\" has no unit"]
    );
    let project = Project::new("[targets.api]\nports = ['1:99999']\n");
    assert_eq!(messages(&project), ["the target does not say what it is", "port 99999 is above 65535"]);
}

#[test]
fn a_table_in_braces_is_a_table() {
    let project = Project::new(API).set(&["targets.api.environment={A=\"1\", B=\"x=y\"}"]);
    assert_eq!(project.get("targets.api.environment"), r#"{"A":"1","B":"x=y"}"#);
    let project = Project::new(API).variables(&[("MCPMON_TARGETS__API__ENVIRONMENT", "{A=\"1\"}")]);
    assert_eq!(project.get("targets.api.environment"), r#"{"A":"1"}"#);
}

#[test]
fn numbers_that_are_text_stay_as_written() {
    let text = "[targets.api]\nenvironment = { A = 1.90, B = 0xff, C = 3000, D = 1.5, E = 1_000 }\n\
                build = { context = '.', args = { RUST = 1.10 } }\ncpus = 0.50\nlabels.v = 1.0\n[profile.p.targets.api.labels]\nv = 2.0\n";
    let project = || Project::new(text);
    let environment = r#"{"A":"1.90","B":"0xff","C":3000,"D":1.5,"E":"1_000"}"#;
    assert_eq!(project().get("targets.api.environment"), environment);
    assert_eq!(project().get("targets.api.build.args.RUST"), "\"1.10\"");
    assert_eq!(project().get("targets.api.labels.v"), "\"1.0\"");
    assert_eq!(project().profiles(&["p"]).get("targets.api.labels.v"), "\"2.0\"");
    assert_eq!(project().get("targets.api.cpus"), "0.5");
    let project = project().set(&["targets.api.environment={ A = 1.80 }"]);
    assert_eq!(project.get("targets.api.environment.A"), "\"1.80\"");
}

#[test]
fn a_folder_is_no_file() {
    for (named, shown) in [(".", "FOLDER/project"), ("..", "FOLDER/project/.."), ("sub/", "FOLDER/project/sub")] {
        let project = Project::new(API).file("project/sub/x", "").variables(&[("MCPMON_CONFIG", named)]);
        let message = project.errors();
        assert_eq!(message, format!("MCPMON_CONFIG names {shown}, which is a folder"));
    }
}

#[test]
fn a_folder_that_is_not_utf_8_is_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let mut project = Project::new(API);
    let odd = OsStr::from_bytes(b"caf\xe9");
    let from = project.folder.path().join("project");
    project.request.folder = project.folder.path().join(odd);
    fs::rename(from, &project.request.folder).unwrap();
    let error = load(&project.request).unwrap_err();
    let told = error.message.replace(project.folder.path().to_str().unwrap(), "FOLDER");
    assert_eq!(told, "the project's folder FOLDER/caf\u{fffd} has a name that is not UTF-8");
    assert_eq!((error.kind.exit_code(), error.hint.is_some()), (78, true));
    // A line that brings its own target needs no project.
    project.request.without_project = true;
    assert!(load(&project.request).is_ok());

    let mut project = Project::new("[targets.api]\nimage = 'a'\nvolumes = ['~/data:/data']\n");
    project.request.home = Some(project.folder.path().join(odd));
    let told = ["the home folder FOLDER/caf\u{fffd} has a name that is not UTF-8"];
    assert_eq!(messages(&project), told);
}

#[test]
fn what_stands_in_a_files_place_is_not_passed_over() {
    let put = |path: &str, link: bool| {
        let mut project = Project::new(API).file("project/sub/x", "").file("home/.config/mcpmon/x", "");
        project.request.folder = project.folder.path().join("project/sub");
        let path = project.folder.path().join(path);
        if link {
            std::os::unix::fs::symlink("nowhere", path).unwrap();
        } else {
            fs::create_dir(path).unwrap();
        }
        project
    };
    for (path, shown) in [
        ("project/sub/mcpmon.toml", "FOLDER/project/sub/mcpmon.toml"),
        ("project/mcpmon.local.toml", "error: FOLDER/project/mcpmon.local.toml"),
        ("project/.env", "error: FOLDER/project/.env"),
        ("home/.config/mcpmon/config.toml", "error: FOLDER/home/.config/mcpmon/config.toml"),
    ] {
        let error = put(path, false).errors();
        assert!(error.starts_with(&format!("{shown} is a folder, not a file")), "{error}");
        let error = put(path, true).errors();
        assert!(error.starts_with(&format!("{shown} is a symbolic link to nowhere, which is not there")), "{error}");
    }
    let python = put("project/.env", false).file("project/.env/pyvenv.cfg", "");
    assert_eq!(python.get("targets.api.image"), "\"a:1\"");
}

#[test]
fn no_profile_is_none() {
    let project = || Project::new("[targets.a]\nimage = 'a'\n[profile.ci]\nwatch.delay = '4s'").profiles(&[""]);
    assert_eq!(project().get("watch.delay"), "\"100ms\"");
    assert_eq!(project().variables(&[("MCPMON_PROFILE", "ci")]).get("watch.delay"), "\"4s\"");
}

#[test]
fn what_is_likely_to_be_a_slip_is_said() {
    let warnings = |text: &str| Project::new(text).load().settings.warnings;
    assert_eq!(warnings("name = 'a'"), ["there are no targets: add [targets.NAME] with image or build"]);
    assert!(warnings(&format!("{API}restart = 'no'")).is_empty());
    let restart = warnings(&format!("{API}restart = 'always'"));
    assert!(restart.len() == 1 && restart[0].starts_with("targets.api.restart: "), "{restart:?}");
}

#[test]
fn a_first_item_that_begins_with_plus_is_a_slip() {
    let text = "watch = { paths = ['+src'], ignore = ['+*.x', '+y'] }\n";
    let errors = Project::new(text).load_errors();
    assert!(errors.contains("write [\"+\", \"src\"]; a name that begins with + is written \"./+src\""), "{errors}");
    assert!(errors.contains("\"[+]*.x\"") && errors.contains("2 errors"), "{errors}");
    assert!(load(&Project::new("watch = { paths = ['+', 'src'], ignore = '[+]x' }\n").request).is_ok());
}

#[test]
fn a_path_is_no_volume() {
    let errors = Project::new(&format!("{API}volumes = [{{ type = 'volume', source = './x', target = '/x' }}]\n"));
    let errors = errors.load_errors();
    assert!(errors.contains("is a path, not the name of a volume") && errors.contains("type = \"bind\""), "{errors}");
}

#[test]
fn why_speaks_of_what_is_not_set_and_of_targets_that_are_not_there() {
    let loaded = Project::new(&format!("{API}[targets.'my.api']\nimage = 'b'\n")).load();
    for (key, default) in [
        ("targets.api.init", "true"),
        ("targets.api.pull_policy", "\"missing\""),
        ("targets.api.mcp.buffer", "what the file's own mcp table says"),
        ("log.level", "what log.verbose asks for: \"info\" at 0"),
    ] {
        let why = loaded.why(key).unwrap();
        assert_eq!(why.to_string(), format!("{key} is not set; default: {default}\n"));
        assert_eq!(
            (&why.to_json()[0]["value"], &why.to_json()[0]["default"]),
            (&serde_json::Value::Null, &default.into())
        );
    }
    for (key, hint) in [
        ("targets.zz", "there is api, my.api"),
        ("targets.apy.image", "did you mean `targets.api.image`?"),
        ("targets.my.api.image", "did you mean `targets.\"my.api\".image`?"),
    ] {
        let error = loaded.why(key).unwrap_err();
        assert!(error.message.starts_with("there is no target "), "{key}: {error}");
        assert_eq!(error.hint.as_deref(), Some(hint), "{key}");
    }
}

#[test]
fn the_name_is_shown_that_everything_goes_by() {
    let mut project = Project::new(API).file("eng ä x/mcpmon.toml", API).file("eng ä x/.git/HEAD", "");
    project.request.folder = project.folder.path().join("eng ä x");
    let loaded = project.load();
    assert_eq!(loaded.why("name").unwrap().to_string(), "name = \"engx\"\n  set by the folder's name\n");
    let shown = loaded.to_toml(true);
    let line = shown.lines().find(|line| line.starts_with("name")).unwrap();
    assert!(line.starts_with("name = \"engx\"") && line.ends_with("# the folder's name"), "{shown}");
    assert_eq!(loaded.to_json(false)["name"], "engx");
    let named = Project::new(&format!("name = 'b'\n{API}")).load();
    assert_eq!(named.why("name").unwrap().to_string(), "name = \"b\"\n  set by mcpmon.toml:1:1\n");
}
