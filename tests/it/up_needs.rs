//! What a target needs and mcpmon does not make: it is said before a container is made, and nothing empty takes its place.

use crate::{
    project::{OWN_LABEL, Project},
    support::docker,
};

fn idle(more: &str) -> String {
    format!(
        "[targets.api]\nimage = \"mcpmon-test-server:latest\"\npull_policy = \"never\"\ncommand = [\"idle\"]\n{more}\n"
    )
}

#[test]
fn an_external_network_or_volume_that_is_missing_is_waited_for() {
    let project = Project::new("external");
    for word in ["network", "volume"] {
        let name = format!("{}-ext", project.name);
        let use_it = match word {
            "network" => "networks = [\"ext\"]",
            _ => "network_mode = \"host\"\nvolumes = [\"ext:/x\"]",
        };
        project.config(&idle(&format!("{use_it}\n[{word}s.ext]\nexternal = true\nname = \"{name}\"")));
        let mut up = project.up(&[]);
        let failed = up.wait("action_failed", "api");
        assert_eq!(failed.text("error"), format!("external {word} \"{name}\" was not found"));
        let hint = failed.text("hint");
        assert!(hint.starts_with(&format!("create it with `docker {word} create {name}`")), "{hint}");
        project.assert_nothing_left();
        assert!(!docker(&[word, "inspect", &name]).status.success(), "{word} {name} was made");
        let label = format!("{OWN_LABEL}={}", project.name);
        assert!(docker(&[word, "create", "--label", &label, &name]).status.success());
        up.wait("ready", "api");
        up.interrupt();
        assert!(docker(&[word, "rm", &name]).status.success(), "{word} {name} is gone");
        project.assert_nothing_left();
    }
}

#[test]
fn a_source_that_is_missing_is_said() {
    let project = Project::with("confg", &idle("network_mode = \"host\"\nvolumes = [\"./confg.json:/conf.json:ro\"]"));
    let plan = project.run(&["plan"]);
    let words = "warning: targets.api.volumes: confg.json is not there: the engine makes an empty folder of it";
    assert!(plan.code == 0 && plan.err.contains(words), "{plan:?}");
    let mut up = project.up(&[]);
    let warning = up.wait("warning", "");
    assert!(words.contains(&warning.text("message")[..40]), "{}", warning.event);
    up.wait("ready", "api");
    // As docker and compose do it.
    assert!(project.path("confg.json").is_dir());
    let plan = project.run(&["plan"]);
    assert_eq!(plan.err, "");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_source_that_is_gone_is_not_made_by_a_start() {
    let project = Project::new("source-gone");
    project.write("one.txt", "1");
    project.config(&idle("network_mode = \"host\"\nvolumes = [\"./one.txt:/one.txt:ro\"]"));
    let mut up = project.settled();
    for end in [&["kill"][..], &["rm", "-f"]] {
        std::fs::remove_file(project.path("one.txt")).expect("it is there");
        up.wait("held", "api");
        let restart = project.run(&["restart", "api"]);
        assert_eq!(restart.code, 1, "{restart:?}");
        assert!(restart.err.contains("api: the volume's source one.txt is gone: "), "{restart:?}");
        assert!(!project.path("one.txt").exists(), "it was made by restart");
        let name = project.container("api");
        assert!(docker(&[end, &[name.as_str()]].concat()).status.success());
        let failed = up.wait("action_failed", "api");
        assert_eq!(failed.text("error"), "the volume's source one.txt is gone; the target starts when it is back");
        assert!(!project.path("one.txt").exists(), "it was made: {}", up.told());
        project.write("one.txt", "2");
        up.wait("ready", "api");
        assert!(project.path("one.txt").is_file());
    }
    up.interrupt();
    project.assert_nothing_left();
}
