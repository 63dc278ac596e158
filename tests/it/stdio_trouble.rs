//! What a stdio session bears: an engine that goes, servers and clients that misbehave. Memory stays bounded, something
//! is said, and the session goes on or ends with a status that says why.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    client::Client,
    project::Project,
    stdio::{greeting, servers},
    support::{DEADLINE, IMAGE, docker},
    wire::Wire,
};

/// A process target `local` of this shell line. The tests' server lies beside it as a file; results of any size pass.
fn shell(test: &str, line: &str) -> Project {
    let project = Project::new(test);
    server_binary(&project);
    project.config(&format!(
        "[targets.local]\nrun = [\"sh\", \"-c\", '''{line}''']\nmcp = {{ startup_timeout = \"20s\", extensions.results = false }}\n"
    ));
    project
}

/// The tests' server as a file of this host: it is static.
pub(crate) fn server_binary(project: &Project) {
    let label = format!("mcpmon.project={}", project.name);
    let made = docker(&["create", "--label", &label, IMAGE]);
    let id = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let file = project.path("mcp-server").display().to_string();
    assert!(docker(&["cp", &format!("{id}:/mcp-server"), &file]).status.success(), "docker cp");
    assert!(docker(&["rm", &id]).status.success(), "docker rm");
}

/// Bytes of a process's own memory, now.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("RssAnon");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

/// Waits until nothing moves any more: what is looked at is something for half a second, and the same.
#[track_caller]
fn until_it_stands_still(look: impl Fn() -> String) {
    let deadline = Instant::now() + DEADLINE;
    let (mut before, mut same) = (String::new(), 0);
    while same < 20 {
        std::thread::sleep(std::time::Duration::from_millis(25)); // between two looks
        let now = look();
        same = if now == before && !now.is_empty() { same + 1 } else { 0 };
        before = now;
        assert!(Instant::now() < deadline, "it never stands still");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_and_comes_back() {
    let mut wire = Wire::new();
    let mut project = greeting("stdio-lost", "");
    project.environment("DOCKER_HOST", &wire.address());
    let mut client = Client::of_target(&project, "api");
    assert_eq!(client.call("greet", &json!({})), "hello");
    wire.cut().await;
    client.hears("the server ended");
    wire.mend();
    assert_eq!(client.call("greet", &json!({})), "hello");
    client.leave();
    project.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_without_an_engine_says_what_to_do() {
    let mut wire = Wire::new();
    let mut project = greeting("stdio-end", "");
    project.environment("DOCKER_HOST", &wire.address());
    let mut client = Client::of_target(&project, "api");
    wire.cut().await;
    client.hears("the server ended");
    client.close();
    let (status, _) = client.end();
    assert_eq!(status.code(), Some(1), "{:#?}", client.said);
    let said = client.said.join("\n");
    assert!(said.contains("error: can't reach the container engine"), "{said}");
    assert!(said.contains("hint: `mcpmon cleanup` removes what this session left"), "{said}");
    wire.mend();
    assert_eq!(project.run(&["cleanup", "--force"]).code, 0);
    assert_eq!(servers(&project), Vec::<String>::new());
}

#[test]
fn what_can_not_be_started_ends_the_session_with_a_status_that_says_why() {
    let project = Project::new("stdio-hopeless");
    project.write("not-executable", "x");
    let cases = [
        ("run = [\"no-such-server\"]".to_owned(), 127, "was not found in PATH"),
        ("run = [\"./not-executable\"]".to_owned(), 126, "not-executable"),
        (
            format!("image = \"{IMAGE}\"\nentrypoint = [\"/no-such-file\"]\ninit = false\nnetwork_mode = \"none\""),
            1,
            "no such file",
        ),
        ("image = \"mcpmon-no-such-image\"\npull_policy = \"never\"".to_owned(), 1, "pull_policy"),
    ];
    for (target, code, part) in cases {
        project.config(&format!("[targets.api]\n{target}\n"));
        let mut client = Client::start(&project, &["run", "api"]);
        let line = client.hears("api: not started:");
        assert!(line.contains(part), "{line}");
        let (status, _) = client.end();
        assert_eq!(status.code(), Some(code), "{target}: {:#?}", client.said);
        project.assert_nothing_left();
    }
}

#[test]
fn what_is_no_message_goes_to_stderr_and_breaks_nothing() {
    let line = "echo starting up; echo '{\"level\":\"info\"}'; printf '{half'; echo; exec ./mcp-server stdio";
    let project = shell("stdio-noise", line);
    let mut client = Client::of_target(&project, "local");
    client.hears("starting up");
    client.hears("{\"level\":\"info\"}");
    client.hears("{half");
    assert_eq!(client.call("echo", &json!({"text": "x"})), "x");
    client.leave();
}

#[test]
fn garbage_from_the_client_is_answered_and_breaks_nothing() {
    let project = shell("stdio-garbage", "exec ./mcp-server stdio");
    let mut client = Client::of_target(&project, "local");
    client.send_raw(b"{not json}\n");
    let error =
        client.message("an answer to nobody", |message| message["id"].is_null() && message["error"].is_object());
    assert_eq!(error["error"]["code"], -32700, "{error}");
    client.send_raw(b"hello?\n");
    client.hears("the client sent");
    assert_eq!(client.call("echo", &json!({"text": "x"})), "x");
    client.send_raw(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"meth");
    client.close();
    let (status, _) = client.end();
    assert_eq!(status.code(), Some(0), "half a line is no reason to fail: {:#?}", client.said);
}

#[test]
fn endless_noise_costs_no_memory() {
    // Two hundred megabytes without a line end, many times what may be held, then a server.
    const NOISE: usize = 200_000_000;
    let project = shell("stdio-flood", "head -c 200000000 /dev/zero | tr '\\\\0' x; echo; exec ./mcp-server stdio");
    let mut command = project.command(&["run", "local"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("mcpmon starts");
    let mut errors = child.stderr.take().expect("a pipe");
    let (mut read, mut most, mut buffer) = (0, 0, vec![0; 1 << 20]);
    let deadline = Instant::now() + DEADLINE;
    while read < NOISE {
        let length = errors.read(&mut buffer).expect("read");
        assert!(length > 0, "it ended after {read} bytes");
        read += length;
        most = most.max(memory(child.id()));
        assert!(Instant::now() < deadline, "not all of it came: {read} bytes");
    }
    let rest = std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    assert!(most < 12 << 20, "{most} bytes");
    let mut input = child.stdin.take().expect("a pipe");
    writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    rest.join().expect("read").expect("to its end");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("one answer");
    assert_eq!(answer["id"], 1, "{answer}");
}

#[test]
fn a_client_that_does_not_read_holds_the_server_back() {
    let project = shell("stdio-unread", "exec ./mcp-server stdio");
    let mut command = project.command(&["run", "local"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("mcpmon starts");
    let mut input = child.stdin.take().expect("a pipe");
    let client = json!({"name": "it", "version": "1"});
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).expect("sent");
    writeln!(input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).expect("sent");
    for id in 1..=60 {
        let params = json!({"name": "big", "arguments": {"bytes": 1_000_000}});
        writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}))
            .expect("sent");
    }
    // Nothing is read until nothing moves any more: the server's own processor time stands still.
    let server = || {
        let children =
            Command::new("pgrep").args(["-x", "mcp-server", "-P", &child.id().to_string()]).output().expect("pgrep");
        let pid = String::from_utf8_lossy(&children.stdout).trim().to_owned();
        fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default()
    };
    until_it_stands_still(server);
    let held = memory(child.id());
    assert!(held < 12 << 20, "{held} bytes");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let answers = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!((output.status.code(), answers), (Some(0), 61));
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    const LINE: &[u8] = b"{not json}\n";
    const LINES: usize = 50_000;
    // What is refused needs no server, so no server holds the client back.
    let project = Project::new("stdio-refused");
    project.config("[targets.local]\nrun = [\"cat\"]\n");
    let mut command = project.command(&["run", "local"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("mcpmon starts");
    let mut input = child.stdin.take().expect("a pipe");
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = std::thread::spawn({
        let sent = Arc::clone(&sent);
        move || {
            while sent.load(Ordering::Relaxed) < LINES {
                input.write_all(LINE).expect("it reads");
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let stat = format!("/proc/{}/schedstat", child.id());
    let moves = || format!("{} {}", fs::read_to_string(&stat).unwrap_or_default(), sent.load(Ordering::Relaxed));
    until_it_stands_still(moves);
    let (read, held) = (sent.load(Ordering::Relaxed), memory(child.id()));
    assert!(read > 0 && read < LINES && held < 12 << 20, "{read} lines, {held} bytes");
    // Once it reads, it is read from again, and each line has its answer.
    let output = child.wait_with_output().expect("it ends");
    sending.join().expect("all is sent");
    let answers = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!((output.status.code(), answers), (Some(0), LINES));
}

#[test]
fn a_session_whose_client_does_not_read_is_ended_by_a_signal() {
    let project = Project::with(
        "stdio-unread-end",
        &format!(
            "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"stdio\"]\nnetwork_mode = \"none\"\n"
        ),
    );
    let mut command = project.command(&["run", "api"]);
    command.env("MAX_MCP_OUTPUT_TOKENS", "9000000");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("mcpmon starts");
    let (mut input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let client = json!({"name": "it", "version": "1"});
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).expect("sent");
    let mut output = BufReader::with_capacity(1, output);
    output.read_line(&mut String::new()).expect("the answer");
    writeln!(input, "{}", json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).expect("sent");
    for id in 1..=10 {
        let params = json!({"name": "big", "arguments": {"bytes": 1_000_000}});
        writeln!(input, "{}", json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}))
            .expect("sent");
    }
    let stat = format!("/proc/{}/schedstat", child.id());
    until_it_stands_still(|| fs::read_to_string(&stat).unwrap_or_default());
    assert!(Command::new("kill").arg(child.id().to_string()).status().expect("kill").success());
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("its status") {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill().expect("it is killed");
            panic!("it did not end within {DEADLINE:?}");
        }
        std::thread::sleep(std::time::Duration::from_millis(25)); // between two looks
    };
    assert_eq!(status.code(), Some(143));
    assert_eq!(servers(&project), Vec::<String>::new());
    project.assert_nothing_left();
}

#[test]
fn one_long_line_is_held_once() {
    let project = shell("stdio-long", "exec ./mcp-server stdio");
    let mut client = Client::of_target(&project, "local");
    let before = memory(client.pid());
    let big: u64 = 60_000_000;
    let id = client.begin("big", &json!({"bytes": big}));
    let mut most = 0;
    while client.is_quiet() {
        most = most.max(memory(client.pid()));
    }
    let answer = client.answer(id);
    assert_eq!(answer["result"]["content"][0]["text"].as_str().map(str::len), usize::try_from(big).ok());
    let held = most.saturating_sub(before);
    assert!(held <= big + (8 << 20), "{held} bytes for {big}");
    client.leave();
}
