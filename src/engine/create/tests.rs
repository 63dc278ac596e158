//! What differs between engines, and the mount table. Every other field is tested by what the engine
//! then has (`tests/it/engine_fields.rs`): that is the proof that counts.

use std::{path::PathBuf, time::Duration};

use super::*;
use crate::model::spec::MountSource;

const OLD: Abilities = Abilities { several_networks: false, create_mountpoint: false };
const NEW: Abilities = Abilities { several_networks: true, create_mountpoint: true };

fn create(spec: &ContainerSpec, abilities: Abilities) -> Creation {
    let labels = BTreeMap::new();
    creation(&CreateContainer { name: "acme-api", spec, alias: "api", labels: &labels, stdin_once: false }, abilities)
}

fn spec() -> ContainerSpec {
    crate::model::testing::spec("acme/api:1")
}

#[test]
fn an_old_engine_gets_one_network_and_the_rest_is_connected() {
    let mut spec = spec();
    spec.network_mode = None;
    spec.networks = ["a", "b", "c"].map(|name| (name.to_owned(), NetworkAttachment::default())).into();
    let names = |creation: &Creation| {
        let endpoints = creation.body.networking_config.clone().unwrap().endpoints_config.unwrap();
        let mut names: Vec<String> = endpoints.into_keys().collect();
        names.sort();
        (names.join(" "), creation.connect.keys().cloned().collect::<Vec<_>>().join(" "))
    };
    let (old, new) = (create(&spec, OLD), create(&spec, NEW));
    assert_eq!(names(&old), ("a".into(), "b c".into()));
    assert_eq!(names(&new), ("a b c".into(), String::new()));
    for creation in [&old, &new] {
        assert_eq!(creation.body.host_config.as_ref().unwrap().network_mode.as_deref(), Some("a"));
    }
    assert_eq!(old.connect["b"].aliases, Some(vec!["api".to_owned()]));
}

#[test]
fn built_in_networks_get_no_alias() {
    for (network, aliases) in [("bridge", None), ("acme_default", Some(vec!["api".to_owned(), "db".to_owned()]))] {
        let attachment = NetworkAttachment { aliases: vec!["db".into(), "api".into()], ..NetworkAttachment::default() };
        assert_eq!(endpoint(network, &attachment, "api").aliases, aliases, "{network}");
    }
}

#[test]
fn a_network_mode_stands_alone() {
    let mut spec = spec();
    spec.networks.clear();
    spec.network_mode = Some("container:db".into());
    let creation = create(&spec, OLD);
    assert_eq!(creation.body.networking_config, None);
    assert_eq!(creation.body.host_config.unwrap().network_mode.as_deref(), Some("container:db"));
}

#[test]
fn a_mount_takes_the_way_that_can_express_it() {
    let bind = |path: &str, create: bool| Mount {
        source: MountSource::Bind { path: PathBuf::from(path), create },
        target: "/data".into(),
        read_only: false,
        propagation: None,
        selinux: None,
        nocopy: false,
    };
    let rows = [
        (bind("/a", true), OLD, Some("/a:/data")),
        (Mount { read_only: true, ..bind("/a", true) }, OLD, Some("/a:/data:ro")),
        (
            Mount {
                read_only: true,
                selinux: Some("Z".into()),
                propagation: Some("rslave".into()),
                ..bind("/a", true)
            },
            OLD,
            Some("/a:/data:ro,Z,rslave"),
        ),
        (Mount { selinux: Some("z".into()), ..bind("/a", false) }, NEW, Some("/a:/data:z")),
        // What is missing must fail: only the mount API does.
        (bind("/a", false), NEW, None),
        // A colon can't be written in the short form.
        (bind("/a:b", true), OLD, None),
        (bind("/a:b", true), NEW, None),
        (Mount { source: MountSource::Volume("cache".into()), nocopy: true, ..bind("", false) }, OLD, None),
        (Mount { source: MountSource::Anonymous, ..bind("", false) }, OLD, None),
    ];
    for (mount, abilities, expected) in rows {
        let (binds, others) = mounts(std::slice::from_ref(&mount), abilities);
        assert_eq!(binds.first().map(String::as_str), expected, "{mount:?}");
        assert_eq!(binds.len() + others.len(), 1, "{mount:?}");
        let Some(other) = others.first() else { continue };
        assert_eq!(other.target.as_deref(), Some("/data"));
        match &mount.source {
            MountSource::Bind { path, create } => {
                assert_eq!(other.source.as_deref(), path.to_str());
                let made = other.bind_options.as_ref().and_then(|options| options.create_mountpoint);
                assert_eq!(made, (*create && abilities == NEW).then_some(true), "{mount:?}");
            }
            MountSource::Volume(name) => {
                assert_eq!(other.source.as_deref(), Some(name.as_str()));
                assert_eq!(other.volume_options.as_ref().and_then(|options| options.no_copy), Some(true));
            }
            MountSource::Anonymous => assert_eq!((other.typ, &other.source), (Some(MountType::VOLUME), &None)),
        }
    }
}

#[test]
fn times_are_nanoseconds_and_a_grace_period_whole_seconds() {
    let mut spec = spec();
    spec.stop_grace_period = Duration::from_millis(1500);
    spec.healthcheck = Some(Healthcheck {
        test: None,
        interval: Some(Duration::from_millis(1500)),
        timeout: None,
        retries: Some(3),
        start_period: None,
        start_interval: Some(Duration::from_secs(1)),
    });
    let (old, new) = (create(&spec, OLD).body, create(&spec, NEW).body);
    assert_eq!(old.stop_timeout, Some(2));
    let (old, new) = (old.healthcheck.unwrap(), new.healthcheck.unwrap());
    assert_eq!((old.interval, old.start_interval, old.test), (Some(1_500_000_000), None, None));
    assert_eq!(new.start_interval, Some(1_000_000_000));
}

#[test]
fn the_clients_own_word_among_the_security_options_is_translated() {
    let mut spec = spec();
    spec.security_opt = vec!["no-new-privileges".into(), "systempaths=unconfined".into()];
    let host = create(&spec, OLD).body.host_config.unwrap();
    assert_eq!(host.security_opt, Some(vec!["no-new-privileges".to_owned()]));
    assert_eq!((host.masked_paths, host.readonly_paths), (Some(vec![]), Some(vec![])));
}
