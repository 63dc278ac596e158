//! `MCPMON_*` variables by the type of their key, and `${…}`.

use super::*;

#[test]
fn variables_are_read_by_the_type_of_their_key() {
    let file = "[targets.my-api]\nimage = 'a:1'\ncommand = ['x']\n";
    let cases: &[(&str, &str, &str, &str)] = &[
        // Empty = unset.
        ("MCPMON_DELAY", "", "watch.delay", "\"100ms\""),
        // Durations: a bare integer is milliseconds.
        ("MCPMON_DELAY", "2000", "watch.delay", "\"2000ms\""),
        ("MCPMON_DELAY", "2s", "watch.delay", "\"2s\""),
        // Booleans.
        ("MCPMON_DOCKER_CLEANUP", "0", "docker.cleanup", "false"),
        ("MCPMON_DOCKER_CLEANUP", "No", "docker.cleanup", "false"),
        ("MCPMON_DOCKER_CLEANUP", "OFF", "docker.cleanup", "false"),
        ("MCPMON_DOCKER_CLEANUP", "yes", "docker.cleanup", "true"),
        ("MCPMON_VERBOSE", "1", "log.verbose", "1"),
        ("MCPMON_VERBOSE", "true", "log.verbose", "true"),
        // Lists.
        ("MCPMON_WATCH", "src/, config/", "watch.paths", r#"["src/","config/"]"#),
        ("MCPMON_WATCH", "src/", "watch.paths", r#"["src/"]"#),
        ("MCPMON_WATCH", "none", "watch.paths", "[]"),
        ("MCPMON_WATCH", "[]", "watch.paths", "[]"),
        ("MCPMON_WATCH", "['a,b', 'c']", "watch.paths", r#"["a,b","c"]"#),
        ("MCPMON_WATCH", "+src", "watch.paths", r#"["auto","src"]"#),
        ("MCPMON_WATCH", "+['src']", "watch.paths", r#"["auto","src"]"#),
        ("MCPMON_IGNORE", "*.{tmp,log},x", "watch.ignore", r#"["*.{tmp,log}","x"]"#),
        // Text stays text.
        ("MCPMON_TARGETS__MY_API__IMAGE", "1.10", "targets.my-api.image", "\"1.10\""),
        ("MCPMON_TARGETS__MY_API__USER", "1000", "targets.my-api.user", "\"1000\""),
        ("MCPMON_TARGETS__MY_API__IMAGE", "a:${NOT_FILLED}", "targets.my-api.image", "\"a:${NOT_FILLED}\""),
        // Sizes and numbers, by their own readers later.
        ("MCPMON_BUFFER_SIZE", "1048576", "mcp.buffer", "\"1048576\""),
        ("MAX_MCP_OUTPUT_TOKENS", "10", "mcp.max_output_tokens", "10"),
        // Names without case; `-` as `_`.
        ("MCPMON_TARGETS__my_api__read_only", "1", "targets.my-api.read_only", "true"),
        ("MCPMON_TARGETS__MY_API__MCP__TRANSPORT", "none", "targets.my-api.mcp.transport", "\"none\""),
        ("MCPMON_TARGETS__MY_API__STOP_GRACE_PERIOD", "5", "targets.my-api.stop_grace_period", "\"5ms\""),
        // Free keys: the whole rest, its case kept.
        ("MCPMON_TARGETS__MY_API__ENVIRONMENT__Log__Level", "x", "targets.my-api.environment.Log__Level", "\"x\""),
        ("MCPMON_TARGETS__MY_API__LABELS__com.acme", "1", "targets.my-api.labels.\"com.acme\"", "\"1\""),
        ("MCPMON_TARGETS__MY_API__BUILD__ARGS__RUST", "1.90", "targets.my-api.build.args.RUST", "\"1.90\""),
        ("MCPMON_DOCKER_LABELS", "a=1, b=2=3", "docker.labels.b", "\"2=3\""),
        ("MCPMON_TARGETS__MY_API__ENVIRONMENT", "A=1,B=2", "targets.my-api.environment.B", "\"2\""),
        // Short forms become the long one.
        ("MCPMON_TARGETS__MY_API__BUILD", "./x", "targets.my-api.build.context", "\"./x\""),
        ("MCPMON_TARGETS__MY_API__PORTS", "127.0.0.1:1:1,2:2", "targets.my-api.ports", r#"["127.0.0.1:1:1","2:2"]"#),
        ("MCPMON_TARGETS__MY_API__ENV_FILE", ".env,b.env", "targets.my-api.env_file", r#"[".env","b.env"]"#),
        // A command line is one string, commas and all.
        ("MCPMON_TARGETS__MY_API__COMMAND", "serve a,b", "targets.my-api.command", "\"serve a,b\""),
        ("MCPMON_TARGETS__MY_API__COMMAND", "['serve', 'a']", "targets.my-api.command", r#"["serve","a"]"#),
        ("MCPMON_TARGETS__MY_API__COMMAND", "+['a']", "targets.my-api.command", r#"["x","a"]"#),
        ("MCPMON_RECONCILE__ON_EXIT", "keep", "reconcile.on_exit", "\"keep\""),
        ("MCPMON_TARGETS__MY_API__HEALTHCHECK", "{ retries = 2 }", "targets.my-api.healthcheck.retries", "2"),
    ];
    for (name, value, key, want) in cases {
        assert_eq!(Project::new(file).variables(&[(name, value)]).get(key), *want, "{name}={value}");
    }
}

#[test]
fn variables_reach_below_a_compose_override() {
    let file = "[targets.web.compose]\nprofiles = [\"x\"]\noverride.services.my-db.image = \"old\"\n";
    let below = |key: &str| format!("targets.web.compose.{key}");
    for (name, value, key, want) in [
        ("PROFILES", "dev,debug", "profiles", r#"["dev","debug"]"#),
        ("OVERRIDE__SERVICES__WEB__IMAGE", "a:1.10", "override.services.web.image", "\"a:1.10\""),
        ("OVERRIDE__SERVICES__MY_DB__IMAGE", "${NEW}", "override.services.my-db.image", "\"${NEW}\""),
        (
            "OVERRIDE__SERVICES__WEB__ENVIRONMENT__Log__Level",
            "1",
            "override.services.web.environment.Log__Level",
            "\"1\"",
        ),
        ("OVERRIDE__SERVICES__WEB__LABELS__com.acme", "x", "override.services.web.labels.\"com.acme\"", "\"x\""),
        ("OVERRIDE__SERVICES__WEB__COMMAND", "['a', 'b']", "override.services.web.command", r#"["a","b"]"#),
    ] {
        let name = format!("MCPMON_TARGETS__WEB__COMPOSE__{name}");
        assert_eq!(Project::new(file).variables(&[(&name, value)]).get(&below(key)), want, "{name}");
    }
}

#[test]
fn unknown_variables_are_warnings_with_the_nearest_name() {
    let project = Project::new(API).variables(&[
        ("MCPMON_DELY", "1"),
        ("MCPMON_TARGETS__APO__IMAGE", "x"),
        ("MCPMON_TARGETS__API__IMAG", "x"),
        ("MCPMON_TARGETS__", "2"),
        ("MCPMON_TARGETS__API__", "2"),
        ("MCPMON_WHATEVER", "x"),
        ("OTHER", "x"),
    ]);
    assert_eq!(
        project.warnings(),
        [
            "MCPMON_DELY: unknown variable; did you mean MCPMON_DELAY?",
            "MCPMON_TARGETS__: the name of a target and a key must follow, as in MCPMON_TARGETS__NAME__IMAGE",
            "MCPMON_TARGETS__API__: a key of `targets.api` must follow",
            "MCPMON_TARGETS__API__IMAG: nothing in `targets.api` is called IMAG; did you mean IMAGE?",
            "MCPMON_TARGETS__APO__IMAGE: nothing in `targets` is called APO; did you mean API?",
            "MCPMON_WHATEVER: unknown variable",
        ]
    );
}

#[test]
fn variables_are_filled_in_from_the_environment_above_dotenv() {
    let text = "[targets.api]\nimage = 'a:${TAG}'\nread_only = '${RO:-yes}'\nmcp.transport = '${T:-stdio}'\ncommand = '${UNSET}'\n[targets.web.compose]\noverride.services.web.image = '${LEFT}'\n";
    let project = Project::new(text).file("project/.env", "TAG=1\nT=none\n").variables(&[("TAG", "2")]);
    assert_eq!(project.get("targets.api.image"), "\"a:2\"");
    assert_eq!(project.get("targets.api.read_only"), "true");
    assert_eq!(project.get("targets.api.mcp.transport"), "\"none\"");
    assert_eq!(project.get("targets.web.compose.override.services.web.image"), "\"${LEFT}\"");
    assert_eq!(project.warnings(), ["the variable UNSET is not set; it is taken as blank"]);
}
