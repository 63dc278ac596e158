//! What a person reads when something is wrong: the place, the line, and what to do.

use super::*;

#[test]
fn every_error_is_shown_with_its_place() {
    let text = "\u{feff}version = 1\r\n\r\n[targets.api]\r\n\t'имя' = 1\r\nimage = 5\r\nenviroment = { A = 'b' }\r\ndevices = []\r\nx-mine = 1\r\ninit = 'yes'\r\ndevelop.watch = [{ path = '.', action = 'reload' }]\r\nmem_limit = '${MEM:?how much}'\r\n[watch]\r\ndelay = 100\r\n[services.web]\r\n";
    insta::assert_snapshot!(Project::new(text).errors(), @r#"
    error: unknown key `имя` in `targets.api`
     --> mcpmon.toml:4:2
      |
    4 |     'имя' = 1
      |     ^^^^^

    error: `targets.api.image` must be a string, not an integer
     --> mcpmon.toml:5:9
      |
    5 | image = 5
      |         ^

    error: unknown key `enviroment` in `targets.api`
     --> mcpmon.toml:6:1
      |
    6 | enviroment = { A = 'b' }
      | ^^^^^^^^^^
      |
      = help: did you mean `environment`?

    error: `devices` in `targets.api` is not there yet
     --> mcpmon.toml:7:1
      |
    7 | devices = []
      | ^^^^^^^
      |
      = help: it is a key of compose-spec, and will come; take it out, or write it as `x-…`, for now

    error: `targets.api.init` must be a boolean, not a string
     --> mcpmon.toml:9:8
      |
    9 | init = 'yes'
      |        ^^^^^
      |
      = help: without quotes: `true`

    error: `targets.api.develop.watch[0].action` must be one of `restart`, `rebuild`, `sync`, `sync+restart`, `sync+exec`
      --> mcpmon.toml:10:41
       |
    10 | develop.watch = [{ path = '.', action = 'reload' }]
       |                                         ^^^^^^^^

    error: the variable MEM is required, and has no value: how much
      --> mcpmon.toml:11:14
       |
    11 | mem_limit = '${MEM:?how much}'
       |              ^^^^^^^^^^^^^^^^
       |
       = help: set MEM in the environment or in .env

    error: `watch.delay` must be a duration ("250ms", "2s"), not an integer
      --> mcpmon.toml:13:9
       |
    13 | delay = 100
       |         ^^^
       |
       = help: a number needs a unit: "100ms", "100s"

    error: `services` is not there yet
      --> mcpmon.toml:14:2
       |
    14 | [services.web]
       |  ^^^^^^^^
       |
       = help: mcpmon calls them targets: `[targets.NAME]`

    9 errors in the configuration
    "#);
}

#[test]
fn every_layer_is_checked_at_once() {
    let mut project = Project::new("dealy = '1s'\n[targets.api]\nimage = 'a'\nimage2 = 'x'\n[targets.my-api]\nimage = 'b'\n[targets.my_api]\nimage = 'c'\n[profile.ci]\nwatch.dely = '1s'\n")
        .file("project/mcpmon.local.toml", "[targets.api]\ncommand = ['+', 'x']\n[targets.api.environment]\nAPI_KEY = ['hush']\n")
        .file("etc/config.toml", "log.level = 'loud'")
        .variables(&[
            ("MCPMON_DOCKER_CLEANUP", "perhaps"),
            ("MCPMON_TARGETS__MY_API__IMAGE", "x"),
            ("MCPMON_TARGETS__API__PORTS", "[1,"),
            ("MCPMON_LOG_LEVEL", "debugg"),
            ("MCPMON_DOCKER_LABELS", "a"),
            ("MCPMON_NOTHING", "x"),
        ])
        .set(&["targets.api.imag=x", "watch.delay", "targets.\"a b.image=x", "targets.api.init=maybe", "targets.api=x"])
        .profiles(&["cj"]);
    project.request.strict = true;
    project.request.overrides = vec![Override {
        flag: "--ignore".into(),
        key: vec!["watch".into(), "ignore".into()],
        values: vec!["[a]*".into()],
    }];
    insta::assert_snapshot!(project.errors(), @r#"
    error: `log.level` must be one of `error`, `warn`, `info`, `debug`, `trace`
     --> FOLDER/etc/config.toml:1:13
      |
    1 | log.level = 'loud'
      |             ^^^^^^

    error: unknown key `dealy`
     --> mcpmon.toml:1:1
      |
    1 | dealy = '1s'
      | ^^^^^

    error: unknown key `image2` in `targets.api`
     --> mcpmon.toml:4:1
      |
    4 | image2 = 'x'
      | ^^^^^^
      |
      = help: did you mean `image`?

    error: unknown key `dely` in `profile.ci.watch`
      --> mcpmon.toml:10:7
       |
    10 | watch.dely = '1s'
       |       ^^^^
       |
       = help: did you mean `delay`?

    error: `targets.api.environment.API_KEY` must be a string, a number or a boolean, not a list
     --> mcpmon.local.toml:4:11
      |
    4 | API_KEY = ********
      |           ^^^^^^^^

    error: there is no profile `cj`
     |
     | --profile cj
     |           ^^
     |
     = help: did you mean `ci`?

    error: MCPMON_DOCKER_CLEANUP: "perhaps" is no boolean: write true or false (or 1/0, yes/no, on/off)
     |
     | MCPMON_DOCKER_CLEANUP=perhaps
     |                       ^^^^^^^

    error: MCPMON_LOG_LEVEL: `log.level` must be one of `error`, `warn`, `info`, `debug`, `trace`; did you mean `debug`?
     |
     | MCPMON_LOG_LEVEL=debugg
     |                  ^^^^^^

    error: MCPMON_TARGETS__API__PORTS: "[1," is no TOML: unclosed array, expected `]`
     |
     | MCPMON_TARGETS__API__PORTS=[1,
     |                            ^^^

    error: `targets.my-api` and `targets.my_api` are spelled the same in a variable's name: use `--set`, or rename one
     |
     | MCPMON_TARGETS__MY_API__IMAGE=x
     | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: unknown variable
     |
     | MCPMON_NOTHING
     | ^^^^^^^^^^^^^^

    error: unknown key `imag` in `targets.api`
     |
     | --set targets.api.imag=x
     |       ^^^^^^^^^^^^^^^^
     |
     = help: did you mean `targets.api.image`?

    error: --set watch.delay: there is no `=`
     |
     | --set watch.delay
     |       ^^^^^^^^^^^
     |
     = help: write --set KEY=VALUE, as in --set targets.api.image=acme/api:2

    error: --set targets."a b.image=x: there is no `=`
     |
     | --set targets."a b.image=x
     |       ^^^^^^^^^^^^^^^^^^^^
     |
     = help: write --set KEY=VALUE, as in --set targets.api.image=acme/api:2

    error: --set targets.api.init: "maybe" is no boolean: write true or false (or 1/0, yes/no, on/off)
     |
     | --set targets.api.init=maybe
     |                        ^^^^^

    error: --set targets.api: a table is wanted here: write `{ key = value }`, or set its keys one by one
     |
     | --set targets.api=x
     |                   ^

    16 errors in the configuration
    "#);
}

#[test]
fn syntax_errors_are_all_shown() {
    insta::assert_snapshot!(Project::new("name = \n[targets.api\nimage = 'a'\nimage = 'b'\nports = [1,\n").errors(), @r#"
    error: string values must be quoted, expected literal string
     --> mcpmon.toml:1:8
      |
    1 | name = 
      |        ^

    error: unclosed table, expected `]`
     --> mcpmon.toml:2:13
      |
    2 | [targets.api
      |             ^

    error: unclosed array, expected `]`
     --> mcpmon.toml:5:12
      |
    5 | ports = [1,
      |            ^

    3 errors in the configuration
    "#);
}

#[test]
fn a_missing_variable_is_shown_where_it_is_named() {
    let text = "[targets.api]\nimage = 'a'\nenvironment = { API_KEY = \"${API_KEY:?set API_KEY}\", B = 'x${1}' }\n";
    insta::assert_snapshot!(Project::new(text).errors(), @r#"
    error: the variable API_KEY is required, and has no value: set API_KEY
     --> mcpmon.toml:3:28
      |
    3 | environment = { API_KEY = "${API_KEY:?set API_KEY}", B = 'x${1}' }
      |                            ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: set API_KEY in the environment or in .env

    error: "${1}" is not a variable
     --> mcpmon.toml:3:60
      |
    3 | environment = { API_KEY = "${API_KEY:?set API_KEY}", B = 'x${1}' }
      |                                                            ^^^^
      |
      = help: write ${NAME}, ${NAME:-default} or ${NAME:?message}; a plain $ is written $$

    2 errors in the configuration
    "#);
}

#[test]
fn what_resolving_finds_is_shown_at_its_place_too() {
    let text = "[targets.api]\nimage = 'a'\nports = ['1:99999', '2:2']\nstop_grace_period = '${GRACE}'\n[targets.empty]\n[targets.db]\nimag = 'x'\n";
    let project = Project::new(text)
        .variables(&[("GRACE", "5"), ("MCPMON_DELAY", "soon"), ("MCPMON_BUFFER_SIZE", "much")])
        .set(&["targets.api.mem_limit=2q"]);
    insta::assert_snapshot!(project.load_errors(), @r#"
    error: port 99999 is above 65535
     --> mcpmon.toml:3:10
      |
    3 | ports = ['1:99999', '2:2']
      |          ^^^^^^^^^

    error: the duration "5" has no unit
     --> mcpmon.toml:4:21
      |
    4 | stop_grace_period = '${GRACE}'
      |                     ^^^^^^^^^^
      |
      = help: write a number with its unit: 250ms, 10s, 1m30s, 2h

    error: the target does not say what it is
     --> mcpmon.toml:5:10
      |
    5 | [targets.empty]
      |          ^^^^^
      |
      = help: give it image or build (a container), compose (services of a compose project) or run (a command)

    error: unknown key `imag` in `targets.db`
     --> mcpmon.toml:7:1
      |
    7 | imag = 'x'
      | ^^^^
      |
      = help: did you mean `image`?

    error: "much" is not a size
     |
     | MCPMON_BUFFER_SIZE=much
     |                    ^^^^
     |
     = help: write bytes as a number, or a number with a unit (powers of 1024): 512k, 64m, 1MiB, 2g

    error: unknown unit "soon" in the duration "soon"
     |
     | MCPMON_DELAY=soon
     |              ^^^^
     |
     = help: write a number with its unit: 250ms, 10s, 1m30s, 2h

    error: "2q" is not a size
     |
     | --set targets.api.mem_limit=2q
     |                             ^^
     |
     = help: write bytes as a number, or a number with a unit (powers of 1024): 512k, 64m, 1MiB, 2g

    7 errors in the configuration
    "#);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_panics(text in "([a-z\\[\\]{}=.'\"\\n ,+$0-9é\\u{feff}-]|targets|image|environment|profile|= 1\\n){0,40}",
        name in "MCPMON_(TARGETS|WATCH|_|A|IMAGE|ENVIRONMENT){0,6}", value in "[\\[\\]{}=.'\", +$a-zé0-9-]{0,12}",
        set in "[\\[\\]{}=.'\", +$a-zé0-9-]{0,16}",
    ) {
        let project = Project::new(&text).variables(&[(&name, &value), ("MCPMON_WATCH", &value), ("MCPMON_DOCKER_LABELS", &value)]).set(&[&set]);
        let _ = load(&project.request);
        if let Ok(layered) = layered(&project.request) {
            let _ = report(&layered.merged.layers, layered.findings, Vec::new(), true);
        }
    }
}
