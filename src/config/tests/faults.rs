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
fn no_profile_is_none() {
    let project = || Project::new("[targets.a]\nimage = 'a'\n[profile.ci]\nwatch.delay = '4s'").profiles(&[""]);
    assert_eq!(project().get("watch.delay"), "\"100ms\"");
    assert_eq!(project().variables(&[("MCPMON_PROFILE", "ci")]).get("watch.delay"), "\"4s\"");
}
