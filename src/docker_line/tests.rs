use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn container(line: &str) -> ContainerLine {
    match parse(&words(line)) {
        DockerLine::Container(line) => *line,
        other => panic!("{line}: {other:?}"),
    }
}

fn injected() -> Injected {
    Injected { labels: BTreeMap::from([("mcpmon.k".to_owned(), "v".to_owned())]), ..Injected::default() }
}

fn argv(line: &str, injected: &Injected) -> String {
    let argv = container(line).argv(injected);
    argv.iter().map(|word| word.to_str().expect("UTF-8")).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_place_for_labels_is_found_and_nothing_else_changes() {
    // The line as typed; `@` is where the labels go in.
    for line in [
        "docker run@ image",
        "docker run@ image run run",
        "docker run@ run",
        "docker run@ create --label mcpmon.pid=1",
        "docker container run@ -it image",
        "docker create@ image",
        "docker container create@ --name x image",
        "docker --context x run@ image",
        "docker --context=x run@ image",
        "docker -c run run@ image",
        "docker -crun run@ image",
        "docker -H tcp://a:1 run@ image",
        "docker -Htcp://a:1 run@ image",
        "docker --host=tcp://a:1 -l debug --tls --tlsverify=false -D run@ -d image",
        "docker --log-level debug container run@ image",
        "docker -Dl debug run@ image",
        "docker -- run@ image",
        "docker --tlscacert a --tlscert b --tlskey c --config d run@ image",
        "docker run@ -itd -p80:80 -p 81:81 --publish=82:82 image -d --label x",
        "docker run@ -itp 80:80 image",
        "docker run@ --rm -- image --rm",
        "docker run@ --name run --network container run run",
        "docker run@ -e A=b --env=C=d -eE=f image sh -c a&&b",
        "docker run@ --label a=b -l c=d --label-file f image",
        "docker run@ --detach=false image",
        "docker run@ - x",
        "/usr/local/bin/docker run@ image",
        "podman run@ image",
        "podman --log-level debug --remote run@ -d --tz local --replace image",
        "/opt/podman container create@ --pod p image",
        "podman-remote run@ image",
    ] {
        let typed = line.replace('@', "");
        assert_eq!(argv(&typed, &injected()), line.replace('@', " --label mcpmon.k=v"), "{line}");
    }
}

#[test]
fn what_makes_no_container_is_passed_through() {
    for line in [
        "docker",
        "docker ps",
        "docker exec x run",
        "docker build -t run .",
        "docker start run",
        "docker image run",
        "docker container",
        "docker container ls",
        "docker container --help run x",
        "docker --version run x",
        "docker -v run x",
        "docker --help run x",
        "docker -h",
        "docker buildx build .",
        "docker stack run",
        // Docker will refuse these, or print its help.
        "docker run",
        "docker run -it",
        "docker run --",
        "docker run --help",
        "docker run --help image",
        "docker run -p",
        "docker run --detach=maybe image",
        "docker run --stop-timeout=soon image",
        "docker --context",
        "docker run ---x image",
    ] {
        assert_eq!(parse(&words(line)), DockerLine::PassThrough, "{line}");
    }
    assert_eq!(parse(&[]), DockerLine::PassThrough);
    for (line, at) in
        [("docker compose up", 2), ("docker --context x compose -f a up", 4), ("docker-compose -f a up", 1)]
    {
        assert_eq!(parse(&words(line)), DockerLine::Compose(at), "{line}");
    }
}

#[test]
fn an_option_of_no_table_is_asked_for() {
    for (line, option, help) in [
        ("docker run --new x image", "--new", "docker run --help"),
        ("docker -c x container run -iZ image", "-Z", "docker -c x container run --help"),
        ("docker create -d image", "-d", "docker create --help"),
        ("docker --new x run image", "--new", "docker --help"),
        ("docker run --tz local image", "--tz", "docker run --help"),
    ] {
        let expected = DockerLine::UnknownOption { option: option.to_owned(), help: words(help) };
        assert_eq!(parse(&words(line)), expected, "{line}");
    }
    let more = Options::from_help("  -Z, --new string   New\n      --bare   Bare\n");
    for (line, image) in [
        ("docker run --new x image y", "image"),
        ("docker run -iZ x image y", "image"),
        ("docker run --bare x image y", "x"),
    ] {
        match parse_with(&words(line), &more) {
            DockerLine::Container(read) => assert_eq!(read.image, image, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn mcpmons_own_labels_never_come_from_the_user() {
    for (line, expected, dropped) in [
        ("docker run --label mcpmon.pid=1 image", "docker run@ image", 1),
        ("docker run --label=mcpmon.pid=1 image", "docker run@ image", 1),
        ("docker run -l mcpmon.pid=1 image", "docker run@ image", 1),
        ("docker run -lmcpmon.pid=1 image", "docker run@ image", 1),
        ("docker run -l=mcpmon.pid=1 image", "docker run@ image", 1),
        ("docker run -il mcpmon.pid=1 -t image", "docker run@ -i -t image", 1),
        ("docker run -itlmcpmon.pid=1 image", "docker run@ -it image", 1),
        ("docker run --label mcpmon.managed image", "docker run@ image", 1),
        ("docker run -l a=b -l mcpmon.x=1 -l mcpmon.y -l c image", "docker run@ -l a=b -l c image", 2),
        ("docker run -l mcpmon=1 -l x.mcpmon.pid=1 image -l mcpmon.pid=1", "", 0),
    ] {
        let read = container(line);
        let expected = if expected.is_empty() { line.replacen("run", "run@", 1) } else { expected.to_owned() };
        assert_eq!(argv(line, &injected()), expected.replace('@', " --label mcpmon.k=v"), "{line}");
        assert_eq!(read.dropped_labels.len(), dropped, "{line}");
    }
}

#[test]
fn what_else_is_put_in_makes_way_or_takes_the_place() {
    let all = Injected {
        cidfile: Some("/run/cid".into()),
        log_driver_none: true,
        name: Some("new".into()),
        label_files: BTreeMap::from([("f".into(), "/run/f".into())]),
        ..injected()
    };
    let again = Injected { replace_cidfile: true, ..all.clone() };
    for (line, first, later) in [
        (
            "docker run image",
            "docker run --label mcpmon.k=v --cidfile /run/cid --log-driver none --name new image",
            "docker run --label mcpmon.k=v --cidfile /run/cid --log-driver none --name new image",
        ),
        (
            "docker run --name a --cidfile=own --log-driver local --label-file f --label-file=f --label-file g image",
            "docker run --label mcpmon.k=v --name new --cidfile=own --log-driver local --label-file /run/f \
             --label-file=/run/f --label-file g image",
            "docker run --label mcpmon.k=v --cidfile /run/cid --name new --log-driver local --label-file /run/f \
             --label-file=/run/f --label-file g image",
        ),
    ] {
        assert_eq!(argv(line, &all), first, "{line}");
        assert_eq!(argv(line, &again), later, "{line}");
    }
    let own = container("docker run --cidfile own image");
    assert_eq!(own.cidfile(&all), Some(Path::new("own")));
    assert_eq!(own.cidfile(&again), Some(Path::new("/run/cid")));
    assert_eq!(container("docker run image").cidfile(&all), Some(Path::new("/run/cid")));
}

#[test]
fn what_mcpmon_needs_to_know_is_read() {
    let line = container(
        "docker -H a run -itd=false --rm --sig-proxy=0 --init --name n --cidfile c --log-driver none --restart always \
         -v ./src:/app:ro -v cache:/c --mount type=bind,src=/x,dst=/y --env-file .env --label-file l -p 80:80 \
         --net a --network b --stop-timeout 3 --stop-signal INT -a stdout img a b",
    );
    assert_eq!(line.verb, Verb::Run);
    assert!(line.interactive && line.tty && !line.detach && line.remove && !line.signal_proxy);
    assert_eq!(line.init, Some(true));
    assert_eq!(line.name.as_deref(), Some(OsStr::new("n")));
    assert_eq!(line.cidfile.as_deref(), Some(Path::new("c")));
    assert_eq!(line.log_driver.as_deref(), Some(OsStr::new("none")));
    assert_eq!(line.restart.as_deref(), Some(OsStr::new("always")));
    let bind = |source: &str, target: &str, read_only| Bind { source: source.into(), target: target.into(), read_only };
    assert_eq!(line.binds, [bind("./src", "/app", true), bind("/x", "/y", false)]);
    assert_eq!(line.env_files, [Path::new(".env")]);
    assert_eq!(line.label_files, [Path::new("l")]);
    assert_eq!(line.ports, ["80:80"]);
    assert_eq!(line.networks, ["a", "b"]);
    assert_eq!(line.stop_timeout, Some(3));
    assert_eq!(line.stop_signal.as_deref(), Some(OsStr::new("INT")));
    assert_eq!((line.image.as_os_str(), line.command.as_slice()), (OsStr::new("img"), &words("a b")[..]));
    assert_eq!((line.program(), line.global()), (OsStr::new("docker"), &words("-H a")[..]));
    assert!(!line.takes_stdin(), "stdout alone is attached");
}

#[test]
fn the_last_word_of_a_switch_counts() {
    for (line, detach, remove) in [
        ("docker run image", false, false),
        ("docker run -d --detach=false image", false, false),
        ("docker run --detach=false -d image", true, false),
        ("docker run --rm=F --rm=T image", false, true),
        ("docker run -d=0 image", false, false),
    ] {
        let read = container(line);
        assert_eq!((read.detach, read.remove), (detach, remove), "{line}");
    }
}

#[test]
fn stdin_and_singleness_follow_from_the_options() {
    for (line, stdin, single) in [
        ("docker run image", false, false),
        ("docker run -i image", true, false),
        ("docker run -id image", false, false),
        ("docker create -i image", false, false),
        ("docker run -i -a stdout image", false, false),
        ("docker run -a STDIN image", true, false),
        ("docker run --name x image", false, true),
        ("docker run -p 80 image", false, false),
        ("docker run -p 80:80 image", false, true),
        ("docker run --ip 10.0.0.2 image", false, true),
    ] {
        let read = container(line);
        assert_eq!((read.takes_stdin(), read.is_single()), (stdin, single), "{line}");
    }
}

/// An option in one of its spellings.
fn option() -> impl Strategy<Value = Vec<String>> {
    let value = "[a-z=:/.-]{1,6}".prop_map(|value| format!("x{value}"));
    let switch = prop::sample::select(vec!["-i", "-t", "-d", "-it", "-tdi", "--rm", "--init", "--rm=false", "-P=true"]);
    let long = (
        prop::sample::select(vec!["env", "publish", "label", "mount", "name", "network"]),
        value.clone(),
        any::<bool>(),
    );
    let short = (prop::sample::select(vec!["e", "p", "l", "itv", "du"]), value, 0..3u8);
    prop_oneof![
        switch.prop_map(|word| vec![word.to_owned()]),
        long.prop_map(|(name, value, together)| {
            if together { vec![format!("--{name}={value}")] } else { vec![format!("--{name}"), value] }
        }),
        short.prop_map(|(name, value, form)| match form {
            0 => vec![format!("-{name}{value}")],
            1 => vec![format!("-{name}={value}")],
            _ => vec![format!("-{name}"), value],
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_stands_around_the_image_is_found(
        options in prop::collection::vec(option(), 0..8),
        own in prop::collection::vec((0..8usize, prop::sample::select(vec!["--label mcpmon.a=1", "-lmcpmon.b", "--label=mcpmon.c"])), 0..3),
        dashes in any::<bool>(),
        command in prop::collection::vec("[a-z-]{1,5}|run|--label|mcpmon.x=1", 0..4),
    ) {
        let head = ["docker", "run"].map(str::to_owned).to_vec();
        let mut tail: Vec<String> = if dashes { vec!["--".to_owned()] } else { Vec::new() };
        tail.push("image".to_owned());
        tail.extend(command.clone());
        let clean: Vec<String> = options.concat();
        let mut typed = options;
        for (at, label) in &own {
            typed.insert((*at).min(typed.len()), label.split(' ').map(str::to_owned).collect());
        }
        let line: Vec<OsString> = [head.clone(), typed.concat(), tail.clone()].concat().into_iter().map(Into::into).collect();
        let DockerLine::Container(read) = parse(&line) else { panic!("{line:?}") };
        prop_assert_eq!(&read.image, "image");
        prop_assert_eq!(&read.command, &command.into_iter().map(OsString::from).collect::<Vec<_>>());
        prop_assert_eq!(read.dropped_labels.len(), own.len());
        let put_in = ["--label", "mcpmon.k=v"].map(str::to_owned).to_vec();
        let expected: Vec<OsString> = [head, put_in, clean, tail].concat().into_iter().map(Into::into).collect();
        prop_assert_eq!(read.argv(&injected()), expected);
    }

    #[test]
    fn no_line_makes_it_panic(line in prop::collection::vec("docker|run|create|container|--|-[a-z=]{0,4}|--[a-z-]{0,9}(=[a-z,:\"=]{0,5})?|[a-z:,=/\"]{0,6}", 0..10)) {
        let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
        if let DockerLine::Container(read) = parse(&line) {
            let _ = read.argv(&Injected { replace_cidfile: true, name: Some("n".into()), ..injected() });
        }
    }
}

#[test]
fn a_run_line_becomes_a_create_line_that_makes_the_same() {
    let create = Injected { create: true, log_driver_none: true, ..Injected::default() };
    for (line, expected) in [
        ("docker run -i image -d", "docker create --log-driver none -i image -d"),
        ("docker container run -i image run", "docker container create --log-driver none -i image run"),
        ("docker -c run run -i --rm run", "docker -c run create --log-driver none -i --rm run"),
        ("docker run --detach=false -i --sig-proxy=false image", "docker create --log-driver none -i image"),
        ("docker run -i --detach-keys ctrl-a --log-driver local image", "docker create -i --log-driver local image"),
        ("docker run -id=false image", "docker create --log-driver none -i image"),
        ("docker run -d -i -d=0 image", "docker create --log-driver none -i -i image"),
        ("docker run -dip 80:80 --detach=f image", "docker create --log-driver none -iip 80:80 image"),
        ("docker run -idl mcpmon.x=1 --detach=f image", "docker create --log-driver none -ii image"),
    ] {
        assert_eq!(argv(line, &create), expected, "{line}");
    }
}
