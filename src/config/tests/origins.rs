//! The result with the place of each value.

use super::*;

#[test]
fn shows_every_value_with_its_origin() {
    let text = "name = 'acme'\n[targets.api]\nimage = 'a:${TAG}'\nports = ['1:1']\nenvironment = { API_KEY = 'hush', LOG = 'debug' }\n";
    let project = Project::new(text)
        .file("project/mcpmon.local.toml", "targets.api.ports = ['+', '2:2']")
        .variables(&[("TAG", "1.10"), ("MCPMON_DELAY", "250")])
        .set(&["targets.api.init=no"]);
    let loaded = project.load();
    insta::assert_snapshot!(loaded.to_toml(true), @r#"
    extensions_dir = ".mcpmon"  # default
    name = "acme"               # mcpmon.toml:1:1

    [docker]
    cleanup = true             # default
    stop_grace_period = "10s"  # default
    timeout = "30s"            # default

    [log]
    verbose = 0  # default

    [mcp]
    buffer = "1MiB"            # default
    max_output_tokens = 25000  # default
    on_reload = "drain"        # default
    startup_timeout = "60s"    # default

    [mcp.extensions]
    results = true  # default

    [reconcile]
    interval = "30s"       # default
    on_drift = "recreate"  # default
    on_exit = "remove"     # default
    prune = true           # default

    [reconcile.backoff]
    initial = "500ms"    # default
    max = "30s"          # default
    reset_after = "60s"  # default

    [targets.api]
    image = "a:1.10"        # mcpmon.toml:3:1
    init = false            # --set targets.api.init=no
    ports = ["1:1", "2:2"]  # mcpmon.toml:4:1 + mcpmon.local.toml:1:13

    [targets.api.environment]
    API_KEY = "***"  # mcpmon.toml:5:17
    LOG = "debug"    # mcpmon.toml:5:35

    [watch]
    delay = "250ms"                                 # MCPMON_DELAY
    extensions = []                                 # default
    ignore = []                                     # default
    ignore_files = [".gitignore", ".dockerignore"]  # default
    paths = ["auto"]                                # default
    "#);
    let plain = loaded.to_toml(false);
    let (root, errors) = document::parse(&plain);
    assert!(errors.is_empty(), "{errors:?}");
    assert!(root.keys().any(|key| key == "targets"), "{plain}");
    assert!(!loaded.to_json(true).to_string().contains("hush"));
    assert_eq!(loaded.to_json(false)["targets"]["api"]["image"], "a:1.10");
    insta::assert_snapshot!(loaded.why("targets.api").unwrap(), @r#"
    targets.api.environment.API_KEY = "***"
      set by mcpmon.toml:5:17
    targets.api.environment.LOG = "debug"
      set by mcpmon.toml:5:35
    targets.api.image = "a:1.10"
      set by mcpmon.toml:3:1
    targets.api.init = false
      set by --set targets.api.init=no
    targets.api.ports = ["1:1", "2:2"]
      set by mcpmon.toml:4:1 + mcpmon.local.toml:1:13
    "#);
    insta::assert_snapshot!(loaded.why("watch.delay").unwrap(), @r#"
    watch.delay = "250ms"
      set by MCPMON_DELAY
      over   default: "100ms"
    "#);
    assert_eq!(loaded.why("targets.api.imag").unwrap_err().hint.as_deref(), Some("did you mean `targets.api.image`?"));
    assert_eq!(loaded.why("targets.api.user").unwrap_err().message, "`targets.api.user` is not set");
    for (key, hint) in [
        ("targets.apo.image", "did you mean `targets.api.image`?"),
        ("targets.apo.user", "did you mean `targets.api.user`?"),
        ("targets.web.image", "there is api"),
    ] {
        assert_eq!(loaded.why(key).unwrap_err().hint.as_deref(), Some(hint), "{key}");
    }
}

#[test]
fn an_item_is_shown_in_the_layer_that_it_came_from() {
    let rule = |action: &str| format!("[targets.api.develop]\nwatch = [{{ path = '.', action = '{action}' }}]\n");
    let project = Project::new(&format!("{API}{}", rule("restart")))
        .file("project/mcpmon.local.toml", &rule("${A}"))
        .variables(&[("A", "sync")]);
    assert!(project.load_errors().contains("mcpmon.local.toml:2:"), "{}", project.load_errors());
}
