//! Which fields differ, and what is said of them.

use super::*;

#[test]
fn fields_that_differ_are_named_and_secrets_are_not_shown() {
    let mut desired = project([target("a", "i")]);
    run(a(&mut desired))
        .spec
        .environment
        .insert("TOKEN".into(), EnvironmentValue { value: "hunter2".into(), secret: true });
    let observed = settled(&desired);
    let spec = &mut run(a(&mut desired)).spec;
    spec.environment.insert("TOKEN".into(), EnvironmentValue { value: "hunter3".into(), secret: true });
    spec.environment.insert("LEVEL".into(), EnvironmentValue { value: "debug".into(), secret: false });
    spec.init = false;
    let plan = plan(&desired, &observed, &Situation::default());
    let Step::Replace { fields, .. } = &plan.changes[1].step else { panic!("{plan:?}") };
    let names: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(names, ["environment.LEVEL", "environment.TOKEN", "init"]);
    assert_eq!((fields[2].old.as_deref(), fields[2].new.as_deref()), (Some("true"), Some("false")));
    assert!(!serde_json::to_string(&plan).expect("json").contains("hunter"), "{plan:?}");
    assert!(!format!("{:?}", observed.containers).contains("hunter"), "no secret in a label");
}

#[test]
fn a_changed_build_is_told_field_by_field() {
    let built = |args: &[(&str, &str)]| {
        let mut a = target("a", "i");
        let args = args.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        run(&mut a).build = Some(crate::model::target::Build { args, ..build() });
        a
    };
    let (old, new) = (built(&[("A", "1"), ("TOKEN", "s3cret1")]), built(&[("A", "2"), ("TOKEN", "s3cret2")]));
    let desired = project([new]);
    let mut observed = settled(&project([old]));
    let fields = |observed: &Observed| {
        let plan = plan(&desired, observed, &Situation::default());
        let fields = plan.changes.iter().find_map(|change| match &change.step {
            Step::RefreshImage { fields, .. } | Step::Replace { fields, .. } => Some(fields.clone()),
            _ => None,
        });
        fields.map(|fields| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let fields = fields.iter().map(|one| format!("{} {} {}", one.field, text(&one.old), text(&one.new)));
            fields.collect::<Vec<_>>()
        })
    };
    observed.images.insert("i".into(), ObservedImage { build_hash: Some("old".into()), ..image("sha256:i") });
    let told = fields(&observed).unwrap();
    assert_eq!(told[0], "build.args.A 1 2");
    assert!(
        told.len() == 2 && told[1].starts_with("build.args.TOKEN *** (") && !told[1].contains("s3cret"),
        "{told:?}"
    );
    // Built since, with the same image: nothing of the build is left to do.
    let TargetKind::Run(now) = &desired.targets["a"].kind else { unreachable!("a run target") };
    let hash = now.build.as_ref().map(crate::model::fingerprint::config_hash);
    observed.images.insert("i".into(), ObservedImage { build_hash: hash, ..image("sha256:j") });
    assert_eq!(fields(&observed), Some(vec!["image id i j".to_owned()]));
}

#[test]
fn the_fields_that_differ_are_named_in_short() {
    let named = |names: &[&str]| {
        let fields = names.iter().map(|name| FieldChange { field: (*name).into(), old: None, new: None }).collect();
        let step = Step::Replace { container: "c".into(), image: None, fields };
        let subject = Subject::Target("a".into());
        Change { subject, step, cause: "the cause".into(), waits: Vec::new() }.cause_in_short()
    };
    assert_eq!(named(&[]), "the cause");
    assert_eq!(named(&["image id"]), "the cause");
    assert_eq!(named(&["a", "b"]), "the cause: a, b");
    assert_eq!(named(&["a", "b", "c", "d", "e"]), "the cause: a, b, c, d, e");
    assert_eq!(named(&["a", "b", "c", "d", "e", "f", "g"]), "the cause: a, b, c, d, e and 2 more");
}

#[test]
fn what_differs_is_told_of_a_dead_sessions_container_too() {
    let observed = settled(&project([target("a", "i")]));
    let mut asked = target("a", "i");
    run(&mut asked).spec.command = Some(vec!["x".into()]);
    let dead = Ownership::Dead { reason: "dead".into(), adoptable: true };
    let situation = Situation { owners: BTreeMap::from([("id-a".into(), dead)]), ..Situation::default() };
    let plan = plan(&project([asked]), &observed, &situation);
    let told: Vec<String> = plan.actions().map(Change::cause_in_short).collect();
    assert_eq!(told, ["the file asks for something else; dead: command"]);
}
