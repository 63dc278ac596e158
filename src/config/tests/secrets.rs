//! What comes in by `${…}` and is a secret is shown nowhere.

use super::*;
use crate::model::{TargetKind, fingerprint};

const SECRET: &str = "[targets.api]
image = 'a'
command = ['run', '--password', '${DB_PASSWORD}']
environment = { DB = 'postgres://u:${DB_PASSWORD}@db', MODE = 'quick', TOKEN_X = '${TOKEN_X:-default5}' }
labels = { note = 'is ${DB_PASSWORD}', api-key = 'label7', url = 'http://u:pw77@h' }
logging = { driver = 'x', options = { splunk-token = 'option7' } }
[targets.web.compose.override.services.web]
environment = ['API_KEY=list77', 'MODE=slow']
build.args = ['NPM_TOKEN=list77']
";

fn project() -> Project {
    Project::new(SECRET).file("project/.env", "DB_PASSWORD=hunter3\n")
}

fn assert_none(text: &str) {
    for secret in ["hunter3", "default5", "label7", "option7", "pw77", "list77"] {
        assert!(!text.contains(secret), "{secret} in:\n{text}");
    }
}

#[test]
fn are_hidden_where_the_configuration_is_shown() {
    let loaded = project().load();
    assert_none(&loaded.to_toml(true));
    assert_none(&loaded.to_json(true).to_string());
    for target in ["targets.api", "targets.web"] {
        let why = loaded.why(target).unwrap();
        assert_none(&format!("{why}{}", why.to_json()));
    }
    assert!(loaded.to_toml(false).contains("DB = \"postgres://u:***@db\""), "{}", loaded.to_toml(false));
    assert!(loaded.to_toml(false).contains("MODE = \"quick\""));
    assert!(loaded.to_toml(false).contains("[\"API_KEY=***\", \"MODE=slow\"]"), "{}", loaded.to_toml(false));
}

#[test]
fn are_fingerprints_in_what_a_container_remembers() {
    let run = |project: &Project| match project.load().settings.project.targets.remove("api").unwrap().kind {
        TargetKind::Run(run) => run,
        kind => panic!("{kind:?}"),
    };
    let old = run(&project());
    assert_eq!(old.spec.environment["DB"].value, "postgres://u:hunter3@db");
    assert!(old.spec.environment["DB"].secret && !old.spec.environment["MODE"].secret);
    let remembered = fingerprint::remember(&old);
    assert_none(&remembered);
    let new = run(&project().file("project/.env", "DB_PASSWORD=hunter4\n"));
    let differences = fingerprint::differences(&remembered, &new);
    let fields: Vec<_> = differences.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(fields, ["command", "environment.DB", "labels.note"]);
    assert!(!format!("{differences:?}").contains("hunter"), "{differences:?}");
}

#[test]
fn are_hidden_in_messages() {
    let text = "[targets.api]\nimage = 'a'\nports = ['${API_TOKEN}']\ninit = '${API_TOKEN}'\nuser = '${U:?not ${API_TOKEN}}'\n";
    let errors = Project::new(text).variables(&[("API_TOKEN", "hunter3")]).load_errors();
    assert!(errors.contains("3 errors") && errors.contains("not ***"), "{errors}");
    assert_none(&errors);
}

#[test]
fn a_default_in_the_file_is_masked_in_its_line() {
    let text = "[targets.api]\nimage = 'a'\nenvironment = { TOKEN_X = '${TOKEN_X:-default5}', B = [1] }\n";
    assert_none(&Project::new(text).load_errors());
}

#[test]
fn are_masked_in_a_line_that_was_not_understood() {
    let target = "[targets.api]\nimage = 'a'\n";
    for (text, error) in [
        ("[targets.api.environment]\nAPI_KEY = \"hunter3\"\nAPI_KEY = \"default5\"\n", "duplicate key"),
        ("[targets.api]\nenvironmen = { API_KEY = \"hunter3\" }\n", "did you mean `environment`?"),
        ("[targets.api]\nenvironmen = [\"API_KEY=hunter3\"]\n", "did you mean `environment`?"),
        ("[targets.api.environment]\nAPI_KEY = hunter3 default5\n", "error"),
        ("[targets.api.environment]\nAPI_KEY \"hunter3\"\n", "error"),
    ] {
        let errors = Project::new(text).errors();
        assert!(errors.contains(error), "{errors}");
        assert_none(&errors);
    }
    let errors = Project::new(target).set(&["targets.api.environmen.API_KEY=hunter3"]).errors();
    assert!(errors.contains("API_KEY=*******"), "{errors}");
    assert_none(&errors);
}

#[test]
fn secrets_are_masked_in_errors() {
    let text = "[targets.api]\nimage = 'a'\nenvironment = { API_KEY = 'hunter2', B = [1] }\n";
    let project = Project::new(text).variables(&[("MCPMON_TARGETS__API__ENVIRONMENT__TOKEN", "hunter2")]);
    let errors = project.errors();
    assert!(!errors.contains("hunter2"), "{errors}");
    insta::assert_snapshot!(errors, @r#"
    error: `targets.api.environment.B` must be a string, a number or a boolean, not a list
     --> mcpmon.toml:3:42
      |
    3 | environment = { API_KEY = *********, B = [1] }
      |                                          ^^^

    1 error in the configuration
    "#);
}
