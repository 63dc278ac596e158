//! Docker lines with and without mcpmon in front, really run: the same container, exit status and output.
//!
//! In a line, `@` is this test's own label: a word of its own (`--label` with its value) or a part of one (`-l@`).
//! IMAGE is the tests' image, HOST the engine's address, NAME this test's own; files lie in the folder that the lines are run in.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::Receiver,
    },
    time::Instant,
};

use mcpmon::model::labels;
use serde_json::Value;

use crate::{
    engine_api::{self, Kind},
    support::{DEADLINE, IMAGE, docker, inspected, lines_of},
};

/// A folder for lines, and a label of their containers' own.
struct Bench {
    label: String,
    folder: tempfile::TempDir,
    host: String,
}

/// What a line gave, without what differs from run to run.
#[derive(Debug, PartialEq)]
struct Gave {
    code: Option<i32>,
    out: String,
    err: String,
    /// The container as inspected; null: there is none (left).
    container: Value,
}

impl Bench {
    fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        assert!(engine_api::inspect(Kind::Image, IMAGE).is_some(), "engine tests need the image {IMAGE}");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for (name, text) in [
            ("vars", "A=from file\n# no\nB"),
            ("labels", "in.file=1\n other=x y\n"),
            ("own-labels", "in.file=1\nmcpmon.pid=7\nmcpmon.project=stolen\n"),
            ("src/text", "text\n"),
            ("config/config.json", "{}"),
        ] {
            fs::create_dir_all(path(name).parent().expect("a parent")).expect("a folder");
            fs::write(path(name), text).expect("a file");
        }
        let which = Command::new("sh").args(["-c", "command -v docker"]).output().expect("sh");
        let program = String::from_utf8(which.stdout).expect("UTF-8");
        std::os::unix::fs::symlink(program.trim(), path("podman")).expect("a link");
        std::os::unix::fs::symlink(program.trim(), path("docker")).expect("a link");
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        Self {
            label: format!("mcpmon-test=it-{test}-{}-{count}", std::process::id()),
            host: host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()),
            folder,
        }
    }

    /// For a container or a volume.
    fn name(&self) -> &str {
        self.label.split_once('=').map_or("", |(_, name)| name)
    }

    fn words(&self, line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for word in line.split(' ') {
            if word == "@" {
                words.extend(["--label".to_owned(), self.label.clone()]);
            } else {
                words.push(
                    word.replace('@', &self.label)
                        .replace("IMAGE", IMAGE)
                        .replace("HOST", &self.host)
                        .replace("NAME", self.name()),
                );
            }
        }
        words
    }

    fn command(&self, line: &str, with: bool) -> Command {
        let words = self.words(line);
        let mut command = if with {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mcpmon"));
            command.args(words);
            command
        } else {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        };
        own_variables(&mut command);
        command.current_dir(self.folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("CONTAINER_HOST", &self.host).env("B", "from outside").env("NO_COLOR", "1");
        command
    }

    /// The ids of this test's containers.
    fn containers(&self) -> Vec<String> {
        engine_api::ids(Kind::Container, &[&format!("label={}", self.label)])
    }

    fn clear(&self) {
        engine_api::sweep(&[Kind::Container], &[&self.label]);
        engine_api::remove(Kind::Volume, self.name());
        let _ = fs::remove_file(self.folder.path().join("cid"));
    }

    /// The one container there is, as inspected.
    fn inspected(&self, with: bool) -> Value {
        match &self.containers()[..] {
            [] => Value::Null,
            [id] => tidy(inspected(id), with),
            more => panic!("{more:?}"),
        }
    }

    fn run(&self, line: &str, with: bool, input: &str) -> Gave {
        let mut child = self.command(line, with).spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("it is read");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let container = self.inspected(with);
        let ids = self.containers();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("UTF-8");
            ids.iter().fold(text, |text, id| text.replace(id.as_str(), "ID"))
        };
        let gave = Gave { code: output.status.code(), out: text(output.stdout), err: text(output.stderr), container };
        self.clear();
        gave
    }

    /// Runs each line without and with mcpmon.
    fn compare(&self, lines: &[&str]) {
        for line in lines {
            self.compare_with(line, "");
        }
    }

    fn compare_with(&self, line: &str, input: &str) -> Gave {
        let without = self.run(line, false, input);
        let with = self.run(line, true, input);
        assert_eq!(with, without, "{line}");
        with
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Nothing of the tests' own settings.
fn own_variables(command: &mut Command) {
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("MCPMON_")) {
        command.env_remove(key);
    }
    command.env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"));
}

/// A container without what differs from run to run. One of mcpmon's has its labels; no other has any.
fn tidy(mut container: Value, with: bool) -> Value {
    let id = container["Id"].as_str().expect("an id").to_owned();
    // Not one that `run` made and could not start.
    let is_created = container["State"]["Status"] == "created" && container["State"]["ExitCode"] == 0;
    let found = container["Config"]["Labels"].as_object_mut().expect("labels");
    let own: Vec<String> = found.keys().filter(|key| key.starts_with("mcpmon.")).cloned().collect();
    let expected: Vec<&str> = if with {
        // What `create` makes is the user's.
        let always = [labels::HOST, labels::MANAGED, labels::PID, labels::PID_START];
        let role = is_created.then_some(labels::ROLE);
        always.into_iter().chain(role).chain([labels::SESSION, labels::STARTED]).collect()
    } else {
        // What a line itself says of these keys is what mcpmon must not let through.
        own.iter().map(String::as_str).collect()
    };
    assert_eq!(own, expected, "mcpmon's labels");
    found.retain(|key, _| !key.starts_with("mcpmon."));
    if container["Config"]["Hostname"] == id[..12] {
        container["Config"]["Hostname"] = "ID".into();
    }
    for (pointer, keys) in [
        ("", &["Id", "Created", "LogPath", "HostnamePath", "HostsPath", "ResolvConfPath", "GraphDriver"][..]),
        ("/State", &["Pid", "StartedAt", "FinishedAt"]),
        ("/NetworkSettings", &["SandboxID", "SandboxKey", "EndpointID", "IPAddress", "MacAddress", "Ports"]),
    ] {
        let object = container.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
    let networks = container.pointer_mut("/NetworkSettings/Networks").and_then(Value::as_object_mut);
    for network in networks.into_iter().flat_map(|networks| networks.values_mut()) {
        let network = network.as_object_mut().expect("an object");
        network.retain(|key, _| !["EndpointID", "IPAddress", "MacAddress", "Aliases"].contains(&key.as_str()));
    }
    for mount in container["Mounts"].as_array_mut().into_iter().flatten() {
        if mount["Type"] == "volume" && mount["Name"].as_str().is_some_and(|name| name.len() == 64) {
            mount["Name"] = "ANONYMOUS".into();
            mount["Source"] = "ANONYMOUS".into();
        }
    }
    // Docker has them in maps, and so in any order.
    for pointer in ["/Config/Env", "/HostConfig/Binds", "/Mounts"] {
        if let Some(list) = container.pointer_mut(pointer).and_then(Value::as_array_mut) {
            list.sort_by_key(Value::to_string);
        }
    }
    // A name that docker made up.
    if container["Name"].as_str().is_some_and(|name| !name.contains("it-")) {
        container["Name"] = "MADE UP".into();
    }
    container
}

#[test]
fn created_containers_are_the_same() {
    Bench::new("create").compare(&[
        "docker create @ IMAGE",
        "docker create -l@ IMAGE idle",
        "docker create -l=@ IMAGE idle",
        "docker create --label=@ IMAGE run run create",
        "docker container create @ IMAGE exit 3",
        "docker create @ -- IMAGE idle",
        "docker create @ IMAGE -- idle",
        "docker create @ IMAGE --label mcpmon.pid=1 -d --rm",
        "docker create -it @ IMAGE idle",
        "docker create -itl @ IMAGE idle",
        "docker create -itl@ IMAGE idle",
        "docker create -i=false -t=true @ IMAGE idle",
        "docker create -itp 8123:80 @ IMAGE idle",
        "docker create -p8123:80 -p 8124:81/udp --publish=127.0.0.1:8125:82 --publish 83 @ IMAGE idle",
        "docker create -P --expose 90 @ IMAGE idle",
        "docker create @ --name NAME IMAGE idle",
        "docker create @ -eA=1 -e B --env=C=x=y --env D= -e=E=1 IMAGE idle",
        "docker create @ --env-file vars -e A=over IMAGE idle",
        "docker create @ --env-file=vars IMAGE idle",
        "docker create @ -l a=b --label c -lx=y=z IMAGE idle",
        "docker create @ --label-file labels IMAGE idle",
        "docker create @ --label-file=labels -l in.file=2 IMAGE idle",
        "docker create @ -v /data -v NAME:/c:ro --volume=/tmp:/t:ro IMAGE idle",
        "docker create @ --mount type=tmpfs,destination=/x,tmpfs-size=1m --tmpfs /y:size=1m IMAGE idle",
        "docker create @ --mount type=bind,source=/tmp,target=/t,readonly IMAGE idle",
        "docker create @ --network none IMAGE idle",
        "docker create @ --net=host IMAGE idle",
        "docker create @ --entrypoint /mcp-server -w /tmp -u 1:2 -h box --domainname d IMAGE idle",
        "docker create @ -m 64m --memory-reservation=32m --cpus 0.5 -c 512 --pids-limit 20 IMAGE idle",
        "docker create @ --read-only --init --privileged --cap-add SYS_TIME --cap-drop=ALL IMAGE idle",
        "docker create @ --restart on-failure:3 --stop-timeout 3 --stop-signal SIGINT IMAGE idle",
        "docker create @ --rm IMAGE idle",
        "docker create @ --rm=false IMAGE idle",
        "docker create @ --log-driver none --log-opt a=b IMAGE idle",
        "docker create @ --log-driver=json-file --log-opt max-size=1m IMAGE idle",
        "docker create @ --health-cmd x --health-interval=1s --health-retries 2 IMAGE idle",
        "docker create @ --no-healthcheck --ulimit nofile=10:20 --sysctl net.ipv4.ip_forward=1 IMAGE idle",
        "docker create @ --add-host a:1.2.3.4 --dns 1.1.1.1 --dns-search=x --dns-opt use-vc IMAGE idle",
        "docker create @ --cidfile cid IMAGE idle",
        "docker create --pull never @ IMAGE idle",
        "docker create --pull=missing --quiet @ IMAGE idle",
    ]);
}

#[test]
fn the_engine_may_be_named_in_any_way() {
    Bench::new("global").compare(&[
        "docker -H HOST create @ IMAGE idle",
        "docker -HHOST create @ IMAGE idle",
        "docker --host=HOST container create @ IMAGE idle",
        "docker --host HOST run @ --network host IMAGE exit 5",
        "docker --config config create @ IMAGE idle",
        "docker -l error create @ IMAGE idle",
        "docker --log-level=error --tls=false run @ --network host IMAGE exit 6",
        "docker -- create @ IMAGE idle",
        "docker --context default create @ IMAGE idle",
        "docker -cdefault run --rm @ --network host IMAGE exit 7",
        "./docker create @ IMAGE idle",
        "./podman create @ IMAGE idle",
        "./podman run --rm @ --network host IMAGE lines --count 2 --then-exit 4",
        // An engine that is not there, and a context that is not.
        "docker -H unix:///nowhere.sock run @ IMAGE exit 1",
        "docker --context nowhere run @ IMAGE exit 1",
    ]);
}

#[test]
fn what_ran_is_the_same_and_said_the_same() {
    Bench::new("run").compare(&[
        "docker run @ --network host IMAGE exit 0",
        "docker run @ --network host IMAGE exit 3",
        "docker container run @ --network=host IMAGE exit 4 --print words",
        "docker run @ --network host IMAGE lines --count 3 --then-exit 0",
        "docker run @ --network host IMAGE lines --count 3 --stderr --then-exit 9",
        "docker run -a stdout @ --network host IMAGE lines --count 3 --stderr --then-exit 9",
        "docker run -a stderr -a stdout @ --network host IMAGE lines --count 1 --then-exit 1",
        "docker run --detach=false @ --network host IMAGE exit 2",
        "docker run -d=0 @ --network host IMAGE exit 2",
        "docker run -t @ --network host IMAGE lines --count 2 --then-exit 0",
        "docker run @ --network host IMAGE run",
        "docker run --rm @ --network host IMAGE exit 3",
        "docker run --rm=true @ --network host IMAGE lines --count 2 --then-exit 0",
        "docker run @ --network host -v ./src:/src:ro IMAGE cat /src/text",
        // A job's own writing is no reason to start it again.
        "docker run @ --network host -v ./src:/src IMAGE write /src/made text",
        "docker run --rm @ --network host --mount type=bind,src=./src,dst=/src IMAGE cat /src/text",
        "docker run @ --network host --cidfile cid IMAGE exit 1",
        "docker run @ --network host --log-driver none IMAGE lines --count 1 --then-exit 0",
        "docker run @ --network host --sig-proxy=false --init IMAGE exit 1",
        "docker run @ --name NAME --rm --network host IMAGE exit 1",
        "docker run @ --network host --restart no --stop-timeout=1 IMAGE exit 1",
        "docker run @ -p 127.0.0.1::80 IMAGE exit 1",
        // No such program in the image, no such image.
        "docker run @ --network host --entrypoint /nope IMAGE",
        "docker run @ --rm --network host --entrypoint /nope IMAGE",
        "docker run @ --pull never no-such-image:it",
    ]);
}

#[test]
fn what_docker_refuses_it_refuses_in_its_own_words() {
    let bench = Bench::new("refused");
    bench.compare(&[
        "docker run",
        "docker run -it",
        "docker run @ --nope IMAGE",
        "docker run @ -Z IMAGE",
        "docker run @ -p",
        "docker run @ --detach=maybe IMAGE",
        "docker run @ --stop-timeout=soon IMAGE",
        "docker run @ -d -a stdout IMAGE",
        "docker run @ --memory nonsense IMAGE",
        "docker run @ --env-file nowhere IMAGE",
        "docker run @ --label-file nowhere IMAGE",
        "docker run @ --cidfile vars IMAGE",
        "docker run @ -it IMAGE idle",
        "docker create @ -d IMAGE",
        "docker container run",
        "docker --nope run IMAGE",
        "docker runn IMAGE",
        "docker run --help",
        "docker create @ --help IMAGE",
        "docker container run --help",
    ]);
}

#[test]
fn every_other_line_is_the_programs_own() {
    let bench = Bench::new("other");
    bench.compare(&[
        "docker",
        "docker --help",
        "docker --version",
        "docker -v",
        "docker ps --filter label=@ -a",
        "docker exec no-such-container run",
        "docker start run-no-such",
        "docker image inspect IMAGE --format {{.Id}}",
        "docker container inspect no-such-container",
        "docker version --format {{.Server.Version}}",
        "docker inspect --type image IMAGE",
    ]);
    let input = "FROM scratch\nCOPY nope /\n";
    bench.compare_with("docker build -q --no-cache -f - src", input);
}

/// Takes the name away again.
struct Untag;

impl Drop for Untag {
    fn drop(&mut self) {
        docker(&["rmi", "run:latest"]);
    }
}

#[test]
fn an_image_may_be_called_run() {
    let bench = Bench::new("called-run");
    assert!(!docker(&["image", "inspect", "run:latest"]).status.success(), "there is an image called run");
    assert!(docker(&["tag", IMAGE, "run:latest"]).status.success());
    let _untag = Untag;
    bench.compare(&[
        "docker create @ run run",
        "docker run @ --network host run exit 3",
        "docker container create @ --name NAME run",
    ]);
}

#[test]
fn labels_of_mcpmons_own_never_come_from_the_user() {
    let bench = Bench::new("own-labels");
    for (line, said) in [
        ("docker create --label mcpmon.pid=1 @ -l mcpmon.project=x --label=mcpmon.managed=false IMAGE idle", 3),
        ("docker create -itlmcpmon.session=x @ IMAGE idle", 1),
        ("docker create @ --label-file own-labels IMAGE idle", 2),
        ("docker run @ --network host --label-file=own-labels -l mcpmon.x IMAGE exit 3", 3),
    ] {
        let without = bench.run(line, false, "");
        let mut with = bench.run(line, true, "");
        let warnings =
            with.err.lines().filter(|line| line.contains("is left out: keys that begin with mcpmon.")).count();
        assert_eq!(warnings, said, "{line}: {}", with.err);
        with.err = without.err.clone();
        assert_eq!(with, without, "{line}");
    }
    // The copy of the label file is gone.
    let left = fs::read_dir(std::env::temp_dir()).expect("a folder").flatten();
    let pattern = |name: &str| name.starts_with("mcpmon-") && name.len() == "mcpmon-".len() + 36;
    let left: Vec<PathBuf> = left
        .map(|entry| entry.path())
        .filter(|path| pattern(&path.file_name().unwrap_or_default().to_string_lossy()))
        .collect();
    for folder in left {
        let text = fs::read_to_string(folder.join("0")).unwrap_or_default();
        assert!(!text.contains("in.file=1"), "{} is left", folder.display());
    }
}

#[test]
fn stdin_and_the_terminal_pass_through() {
    let bench = Bench::new("stdin");
    let hello = concat!(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#,
        r#""clientInfo":{"name":"it","version":"1"}}}"#,
        "\n"
    );
    // A session adds what it provides, and nothing else.
    let line = "docker run -i --rm @ --network host IMAGE stdio";
    let (without, mut with) = (bench.run(line, false, hello), bench.run(line, true, hello));
    assert!(without.out.contains("serverInfo"), "{without:?}");
    let answer = |gave: &Gave| serde_json::from_str::<Value>(&gave.out).expect("one answer");
    let (mut expected, given) = (answer(&without), answer(&with));
    expected["result"]["capabilities"]["tools"]["listChanged"] = true.into();
    assert_eq!(given, expected);
    with.out.clone_from(&without.out);
    assert_eq!(with, without);
    // A terminal of its own, made by script(1): 80 columns wide, keys as they are.
    for line in [
        "docker run -it --rm @ --network host IMAGE lines --count 2 --then-exit 5",
        "docker run -t @ --network host IMAGE exit 3",
    ] {
        let words = bench.words(line);
        let in_terminal = |with: bool| {
            let line = shell_words::join(&words);
            let line = if with { format!("{} {line}", env!("CARGO_BIN_EXE_mcpmon")) } else { line };
            let line = format!("script -qefc {} /dev/null", shell_words::quote(&line));
            let mut command = Command::new("sh");
            command.args(["-c", &line]).stdin(Stdio::piped()).stdout(Stdio::piped());
            own_variables(&mut command);
            let mut child = command.spawn().expect("script runs");
            // Kept open: its end would be a key pressed.
            let _stdin = child.stdin.take();
            let output = child.wait_with_output().expect("it ends");
            let container = bench.inspected(with);
            bench.clear();
            (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"), container)
        };
        assert_eq!(in_terminal(true), in_terminal(false), "{line}");
    }
}

#[test]
fn what_is_detached_from_by_its_keys_goes_on_and_is_its_users() {
    let bench = Bench::new("keys");
    for (line, goes_on) in [
        ("docker run -it --rm @ --name NAME --network host IMAGE lines --every 100", true),
        ("docker run -it @ --name NAME --network host --restart on-failure IMAGE lines --every 100", false),
    ] {
        let line = format!("{} {}", env!("CARGO_BIN_EXE_mcpmon"), shell_words::join(bench.words(line)));
        let mut command = Command::new("script");
        command.args(["-qefc", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        own_variables(&mut command);
        let mut going = Going::of(command.stderr(Stdio::piped()));
        let mut keys = going.child.stdin.take().expect("a pipe");
        going.wait("line 2");
        keys.write_all(b"\x10\x11").expect("they are read");
        going.wait(if goes_on { "comes back to it" } else { "stopped and removed" });
        assert_eq!((going.end(), bench.containers().len()), (Some(0), usize::from(goes_on)), "{line}");
        if goes_on {
            assert_eq!(inspected(bench.name())["State"]["Running"], true);
            let mut cleanup = Command::new(env!("CARGO_BIN_EXE_mcpmon"));
            own_variables(cleanup.args(["cleanup", "--dry-run", "--verbose", "--format", "json"]));
            let listed = String::from_utf8(cleanup.output().expect("it runs").stdout).expect("UTF-8");
            assert!(!listed.contains(bench.name()), "{listed}");
        }
        bench.clear();
    }
}

/// A line that goes on until it is ended.
struct Going {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Going {
    fn start(bench: &Bench, line: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = bench.command(line, true);
        Self::of(command.envs(variables.iter().copied()))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("mcpmon starts");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let errors = lines_of(child.stderr.take().expect("a pipe"));
        Self { child, lines, errors }
    }

    #[track_caller]
    fn line(&self, what: &str) -> String {
        self.lines.recv_timeout(DEADLINE).unwrap_or_else(|_| {
            panic!("{what} did not come within {DEADLINE:?}; stderr: {:#?}", self.errors.try_iter().collect::<Vec<_>>())
        })
    }

    /// Waits for a line that ends like this.
    #[track_caller]
    fn wait(&self, what: &str) {
        while !self.line(what).ends_with(what) {}
    }

    #[track_caller]
    fn wait_error(&self, what: &str) -> String {
        loop {
            let line = self.errors.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{what:?} was not said"));
            if line.contains(what) {
                return line;
            }
        }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "{signal}");
    }

    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        // Its outputs close when it ends.
        while self.lines.recv_timeout(DEADLINE).is_ok() {}
        self.child.wait().expect("it ended").code()
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_detached_container_is_followed_and_nothing_is_left() {
    let bench = Bench::new("detached");
    for (line, signal, code) in [
        ("docker run -d @ --network host IMAGE lines --every 100", "INT", 130),
        ("docker container run -dit @ --rm --network host IMAGE lines --every 100", "TERM", 143),
        ("docker run --detach @ --network host --stop-timeout 0 IMAGE stubborn", "HUP", 129),
        ("./podman run -dl@ --network host --log-driver none IMAGE idle", "TERM", 143),
    ] {
        assert_eq!(bench.run(line, false, "").code, Some(0), "{line}");
        let plain = bench.command(line, false).output().expect("docker runs");
        let id = String::from_utf8(plain.stdout).expect("UTF-8");
        let without = tidy(inspected(id.trim()), false);
        bench.clear();

        let mut going = Going::start(&bench, line, &[]);
        let id = going.line("the id");
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}: {id}");
        // Docker prints the id before the start.
        let deadline = Instant::now() + DEADLINE;
        while inspected(&id)["State"]["Status"] == "created" {
            assert!(Instant::now() < deadline, "{line}: it was not started within {DEADLINE:?}");
        }
        assert_eq!(tidy(inspected(&id), true), without, "{line}");
        if line.contains("lines") {
            going.wait("line 3");
        }
        going.signal(signal);
        assert_eq!(going.end(), Some(code), "{line}");
        assert_eq!(bench.containers(), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_detached_container_ends_with_its_own_exit_code() {
    let bench = Bench::new("detached-ends");
    for (line, code, left) in [
        ("docker run -d @ --network host IMAGE exit 0", 0, 1),
        ("docker run -d @ --network host IMAGE exit 3 --after 300", 3, 1),
        ("docker run -d --rm @ --network host IMAGE exit 4 --after 1500", 4, 0),
        // What is watched makes no difference to what ends well.
        ("docker run -d @ --network host -v ./src:/src IMAGE exit 0 --after 300", 0, 1),
        ("docker run -d --rm @ --network host -v ./src:/src IMAGE exit 0 --after 1500", 0, 0),
        ("docker run -d @ --network host --entrypoint /nope IMAGE", 127, 1),
        ("docker run -d --rm @ --network host --entrypoint /nope IMAGE", 127, 0),
    ] {
        let gave = Going::start(&bench, line, &[]).end();
        assert_eq!((gave, bench.containers().len()), (Some(code), left), "{line}");
        bench.clear();
    }
}

#[test]
fn what_is_restarted_from_outside_is_followed_on() {
    let bench = Bench::new("detached-restarted");
    let lines = [
        "docker run -d @ --network host IMAGE lines --every 50",
        "docker run -d --rm @ --network host IMAGE lines --every 50",
        "docker run -d @ --restart unless-stopped --network host IMAGE lines --every 50",
    ];
    // An older engine removes now and then what it has just restarted (`anew.rs`).
    for line in lines.iter().filter(|line| !line.contains("--rm") || engine_api::speaks(1, 42)) {
        let mut going = Going::start(&bench, line, &[]);
        let id = going.line("the id");
        going.wait("line 3");
        assert!(docker(&["restart", "-t", "1", &id]).status.success());
        going.wait("| line 1");
        going.signal("TERM");
        assert_eq!(going.end(), Some(143), "{line}");
        assert_eq!(bench.containers(), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_saved_file_restarts_what_is_detached() {
    let bench = Bench::new("detached-reload");
    let save = |text: &str| fs::write(bench.folder.path().join("src/text"), text).expect("a file");
    let quick = [("MCPMON_DELAY", "0")];
    let restarts_what_it_removes = engine_api::speaks(1, 42);
    for (line, variables) in [
        ("docker run -d @ --init --network host -v ./src:/src:ro IMAGE lines --every 50", &quick[..]),
        ("docker run -d --rm @ --network host --mount type=bind,src=./src,dst=/src IMAGE lines --every 50", &quick),
        ("docker run -d @ --network host IMAGE lines --every 50", &[("MCPMON_DELAY", "0"), ("MCPMON_WATCH", "src")]),
    ] {
        let mut going = Going::start(&bench, line, variables);
        let id = going.line("the id");
        going.wait("line 3");
        save(line);
        assert!(going.wait_error("changed, restarting").contains("src/text"), "{line}");
        // The counting begins again: in the same container, but where the engine may remove what it restarts.
        going.wait("| line 1");
        going.wait_error("restarted in");
        let now = bench.containers();
        if line.contains("--rm") && !restarts_what_it_removes {
            assert!(now.len() == 1 && now != [id], "{line}: {now:?}");
        } else {
            assert_eq!(now, [id], "{line}");
        }
        going.signal("TERM");
        assert_eq!(going.end(), Some(143), "{line}");
        assert_eq!(bench.containers(), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_saved_file_runs_a_foreground_line_again() {
    let bench = Bench::new("foreground-reload");
    let save = |text: &str| fs::write(bench.folder.path().join("src/text"), text).expect("a file");
    let watched = [("MCPMON_DELAY", "0"), ("MCPMON_WATCH", "src")];
    for (line, variables, left) in [
        ("docker run --rm @ --init --network host -v ./src:/src:ro IMAGE lines --every 50", &watched[..1], 0),
        ("docker run -t @ --network host --name NAME --cidfile cid IMAGE lines --every 50", &watched, 1),
    ] {
        let mut going = Going::start(&bench, line, variables);
        going.wait("line 3");
        let before = bench.containers();
        save(line);
        assert!(going.wait_error("changed, restarting").contains("src/text"), "{line}");
        going.wait("line 1");
        let after = bench.containers();
        assert!(after.len() == 1 && after != before, "{line}: {before:?} {after:?}");
        // What ends by an error after a save waits for the next one.
        assert!(docker(&["kill", &after[0]]).status.success());
        going.wait_error("ended with exit code 137; it is run again when a watched file is saved");
        save("again");
        // The killed one's was read above: this is the next one's.
        going.wait("line 1");
        going.signal("TERM");
        assert_eq!((going.end(), bench.containers().len()), (Some(0), left), "{line}");
        bench.clear();
    }
}

#[test]
fn what_ended_by_a_bad_save_starts_again_with_the_next() {
    let bench = Bench::new("detached-crash");
    let save = |text: &str| fs::write(bench.folder.path().join("src/text"), text).expect("a file");
    for line in [
        "docker run -d @ --network host -v ./src:/src IMAGE lines --every 50",
        "docker run -d --rm @ --network host -v ./src:/src IMAGE lines --every 50",
    ] {
        let mut going = Going::start(&bench, line, &[("MCPMON_DELAY", "0")]);
        let id = going.line("the id");
        going.wait("line 2");
        crash(&id);
        going.wait_error("ended with exit code 137; it is started again when a watched file is saved");
        save(line);
        going.wait("| line 1");
        going.signal("INT");
        assert_eq!(going.end(), Some(130), "{line}");
        assert_eq!(bench.containers(), Vec::<String>::new(), "{line}");
    }
}

/// Kills a container's process. Not by the engine: nobody asked for this end.
fn crash(id: &str) {
    let process = inspected(id)["State"]["Pid"].to_string();
    assert_ne!(process, "0");
    assert!(Command::new("kill").args(["-9", &process]).status().expect("kill runs").success());
}

#[test]
fn what_its_user_ended_stays_ended() {
    let bench = Bench::new("detached-ended");
    let line = "docker run -d @ --network host -v ./src:/src IMAGE lines --every 50";
    let rm = "docker run -d --rm @ --network host -v ./src:/src IMAGE lines --every 50";
    let (removed, stopped) = ("was removed from outside", "was stopped from outside, exit code 137");
    for (line, command, said, left) in [
        (line, "rm -f", removed, 0),
        (line, "kill", stopped, 1),
        (rm, "rm -f", stopped, 0),
        // Also what waits for a save.
        (line, "rm", removed, 0),
    ] {
        let mut going = Going::start(&bench, line, &[("MCPMON_DELAY", "0")]);
        let id = going.line("the id");
        going.wait("line 2");
        if command == "rm" {
            crash(&id);
            going.wait_error("is started again when a watched file is saved");
        }
        let words: Vec<&str> = command.split(' ').chain([&*id]).collect();
        assert!(docker(&words).status.success(), "{line}: {command}");
        going.wait_error(said);
        assert_eq!((going.end(), bench.containers().len()), (Some(137), left), "{line}: {command}");
        bench.clear();
    }
}

#[test]
fn signals_reach_a_foreground_container_and_none_outlives_its_cli() {
    let bench = Bench::new("signals");
    // (line, signal, exit code, what is left)
    for (line, signal, code, left) in [
        ("docker run --rm @ --network host IMAGE lines --every 50", "TERM", 0, 0),
        ("docker run @ --network host IMAGE lines --every 50", "INT", 0, 1),
        // The terminal has gone: what does not hear SIGHUP is stopped.
        ("docker run @ --network host --stop-timeout 1 IMAGE lines --every 50", "HUP", 0, 0),
    ] {
        let mut going = Going::start(&bench, line, &[]);
        going.wait("line 2");
        going.signal(signal);
        assert_eq!((going.end(), bench.containers().len()), (Some(code), left), "{line}");
        bench.clear();
    }
    // The CLI is killed: docker itself would leave the container.
    for line in [
        "docker run --rm @ --network host --stop-timeout 1 IMAGE lines --every 50",
        "docker run @ --network host --stop-timeout 0 IMAGE lines --every 50",
    ] {
        let mut going = Going::start(&bench, line, &[]);
        going.wait("line 2");
        let children = format!("/proc/{0}/task/{0}/children", going.child.id());
        let cli = fs::read_to_string(children).expect("its children");
        let name = |pid: &str| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let cli = cli.split_whitespace().find(|pid| name(pid).trim() == "docker").expect("the CLI");
        assert!(Command::new("kill").args(["-9", cli]).status().expect("kill").success());
        going.wait_error("still ran: stopped and removed");
        assert_eq!(going.end(), Some(137), "{line}");
        assert_eq!(bench.containers(), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn bad_settings_and_missing_programs_are_named() {
    let bench = Bench::new("bad");
    let mut going = Going::start(&bench, "docker run @ IMAGE exit 0", &[("MCPMON_DELAY", "soon")]);
    going.wait_error("MCPMON_DELAY");
    assert_eq!(going.end(), Some(78));
    for line in ["docker run @ IMAGE exit 0", "docker ps"] {
        let mut going = Going::start(&bench, line, &[("PATH", "/nowhere")]);
        going.wait_error("there is no program docker");
        assert_eq!(going.end(), Some(127), "{line}");
    }
    assert_eq!(bench.containers(), Vec::<String>::new());
}
