//! What mcpmon reads as compose does, it reads as the compose that is installed does. Needs the compose plugin, no engine.

use std::{collections::BTreeMap, path::Path, process::Command};

use mcpmon::config::{
    dotenv,
    interpolate::interpolate,
    value::{duration, port, size, words},
};
use serde_json::{Value, json};

const HOST: [(&str, &str); 4] = [("A", "a"), ("E", ""), ("_x1", "u"), ("H", "host")];

fn host(name: &str) -> Option<String> {
    HOST.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
}

/// `docker compose config` of services: the services as compose understands them, or what it says.
fn compose(folder: &Path, services: &Value) -> Result<Value, String> {
    // JSON is YAML, too.
    std::fs::write(folder.join("compose.yaml"), json!({ "services": services }).to_string()).expect("a file");
    let mut command = Command::new("docker");
    command.args(["compose", "--project-name", "x", "config", "--format", "json"]).current_dir(folder).env_clear();
    for variable in ["PATH", "HOME"] {
        command.env(variable, std::env::var_os(variable).unwrap_or_default());
    }
    let output = command.envs(HOST).output().expect("the docker CLI");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("is not a docker command"), "the compose plugin is needed: {errors}");
    if !output.status.success() {
        return Err(errors);
    }
    let config: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    Ok(config["services"].clone())
}

/// A service for each text, all in one call; compose's output doubles each `$`.
fn compose_reads(texts: &[&str], service: impl Fn(&str) -> Value) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let services: BTreeMap<String, Value> =
        texts.iter().enumerate().map(|(index, text)| (format!("s{index:03}"), service(text))).collect();
    let read = compose(folder.path(), &json!(services)).unwrap_or_else(|error| panic!("{error}"));
    read.as_object().expect("services").values().cloned().collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace("$$", "$")
}

#[test]
fn variables() {
    let texts = [
        "$A",
        "${A}",
        "$A.b",
        "$AB",
        "${U}",
        "$U",
        "${U:-d}",
        "${U-d}",
        "${E:-d}",
        "${E-d}",
        "${A:+r}",
        "${A+r}",
        "${E:+r}",
        "${E+r}",
        "${U+r}",
        "${U:+r}",
        "${E?msg}",
        "$$A",
        "$$$A",
        "$",
        "a$",
        "$1",
        "$-",
        "$ A",
        "$é",
        "$_x1",
        "${A-}",
        "${U:-}",
        "${U:-a:-b}",
        "${U:-${A}}",
        "${U:-$A}",
        "${U:-$$A}",
        "${U:-${V:-x}y}z",
        "${U:-a}b}",
        "${U:-{a}}",
        "${A:+${A}q}",
        "${E:+${A}}",
        "${U-?a}",
        "${a-b}",
        "${U-${V-${W-w}}}${A}",
        "$A$A",
        "${A}${E}x",
        "x${U:-\\}}",
    ];
    let theirs = compose_reads(&texts, |text| json!({ "image": "x", "working_dir": text }));
    for (written, theirs) in texts.iter().zip(theirs) {
        let ours = interpolate(written, &host).map(|filled| filled.text);
        assert_eq!(ours, Ok(text(&theirs["working_dir"])), "{written}");
    }
}

#[test]
fn variables_that_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = [
        "${U:?msg}",
        "${U?msg}",
        "${E:?msg}",
        "${U:?}",
        "${",
        "${A",
        "${}",
        "${1}",
        "${A!}",
        "${A:}",
        "${A }",
        "${ A}",
        "${A:0:1}",
    ];
    for text in texts {
        assert!(interpolate(text, &host).is_err(), "{text}");
        assert!(compose(folder.path(), &json!({ "s": { "image": "x", "working_dir": text } })).is_err(), "{text}");
    }
}

#[test]
fn env_files() {
    let texts = [
        "A=1\nB = 2\n  C=3\n",
        "A: yaml\n",
        "export A=1\nexport\tB=2\n",
        "A=a b  # c\nB=a#b\nC= # c\nD=#x\n",
        "A='x $B \\n \\' y'\n",
        "A=\"x\\ny\\tz \\\"q\\\" \\\\ \\$B $B\"\nB=2\n",
        "B=2\nC=$B ${B} ${X:-d} ${X-d} ${B:+r} $$B\n",
        "A=\nB=\"\"\nC=''\n",
        "A\nB\nexport H\n",
        "A=\"multi\nline\"\nB='m\nl'\n",
        "A=\"x\" # c\nB=\"x\"y\nC='x'y\n",
        "1A=2\nA-B.c[0]=1\n",
        "A=1\r\nB=2\r\n",
        "A=x\\ny\nB=x\\$y\n",
        "A=a=b:c\n",
        "# c\n\n   # d\nA=1",
        "A=$1 x\nB=\"$\"\nC=$\nD=a$ b\n",
        "A=x'y'\nB=a\\ b\nC=`x`\n",
        "A=\"a\\qb\\u0041\\rb\\fc\\vd\\ae\"\n",
        "A=h\nA=i\n",
        "A='${B}'\nB=1\n",
        "A=tail   \nB=\tq\n",
        "\u{feff}A=1\n",
        "A=$B\nB=2\n",
        "A=$H\nH=file\nB=$H\n",
        "A=\\\nB=1\n",
        "A=\n\nB=x\nC=   \nD=y\n",
        "A=\"a\\\nb\"\n",
        "A=x#y #z\nB=\"a # b\"\nC=x \\# y\n",
        "A=x\t#z\n",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let mut services = BTreeMap::new();
    for (index, text) in texts.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{index}.env")), text).expect("a file");
        services.insert(format!("s{index:03}"), json!({ "image": "x", "env_file": [format!("{index}.env")] }));
    }
    let read = compose(folder.path(), &json!(services)).unwrap_or_else(|error| panic!("{error}"));
    for (written, theirs) in texts.iter().zip(read.as_object().expect("services").values()) {
        let theirs = theirs["environment"].as_object().into_iter().flatten();
        let theirs: BTreeMap<String, String> = theirs.map(|(key, value)| (key.clone(), text(value))).collect();
        let ours = dotenv::parse(written, &host).map(|found| found.values);
        assert_eq!(ours, Ok(theirs), "{written:?}");
    }
}

#[test]
fn env_files_that_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for text in
        ["A=\"unterminated\nB=1\n", "A='unterminated\n", "A B=1\n", "A!=1\n", "A=${B\n", "A=${}\n", "A=${C:?need c}\n"]
    {
        std::fs::write(folder.path().join("x.env"), text).expect("a file");
        let theirs = compose(folder.path(), &json!({ "s": { "image": "x", "env_file": ["x.env"] } }));
        assert!(theirs.is_err(), "{text:?}");
        assert!(dotenv::parse(text, &host).is_err(), "{text:?}");
    }
}

#[test]
fn ports() {
    let texts = [
        "3000",
        "3000-3001",
        "8000:80",
        ":80",
        "127.0.0.1:80:80/udp",
        "127.0.0.1::80",
        "[::1]:5:6",
        "8000-8002:9000-9002",
        "1.2.3.4:81-82:81-82/SCTP",
    ];
    let theirs = compose_reads(&texts, |text| json!({ "image": "x", "ports": [text] }));
    for (text, theirs) in texts.iter().zip(theirs) {
        let ours: Vec<Value> = port::parse(text)
            .unwrap_or_else(|invalid| panic!("{text}: {invalid}"))
            .iter()
            .map(|port| {
                let mut shown = json!({ "mode": "ingress", "target": port.target, "protocol": port.protocol.as_str() });
                if let Some(address) = port.host_ip {
                    shown["host_ip"] = address.to_string().into();
                }
                if port.published != 0 {
                    shown["published"] = port.published.to_string().into();
                }
                shown
            })
            .collect();
        assert_eq!(json!(ours), theirs["ports"], "{text}");
    }
}

#[test]
fn ports_that_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let texts = [
        "99999",
        "80:70000",
        "a",
        "1-2:3-5",
        "5-3",
        "80/foo",
        "0",
        "1.2:80:80",
        "h:80:80",
        "::1:7:8",
        "1.2.3.4:80",
        "80:",
    ];
    for text in texts {
        assert!(port::parse(text).is_err(), "{text}");
        assert!(compose(folder.path(), &json!({ "s": { "image": "x", "ports": [text] } })).is_err(), "{text}");
    }
}

#[test]
fn sizes_durations_and_command_lines() {
    let sizes = ["32", "32b", "64m", "64MB", "1MiB", "1.5g", "32 kB", "1T", "0.5k"];
    for (text, theirs) in sizes.iter().zip(compose_reads(&sizes, |text| json!({ "image": "x", "mem_limit": text }))) {
        assert_eq!(size::parse(text).map(|bytes| bytes.to_string()), Ok(self::text(&theirs["mem_limit"])), "{text}");
    }
    let durations = ["250ms", "10s", "1m30s", "1h", "90s", "1.5h", "3us"];
    let theirs =
        compose_reads(&durations, |text| json!({ "image": "x", "healthcheck": { "test": "x", "interval": text } }));
    for (text, theirs) in durations.iter().zip(theirs) {
        let theirs = self::text(&theirs["healthcheck"]["interval"]);
        assert_eq!(duration::parse(text), duration::parse(&theirs), "{text} is {theirs}");
    }
    let lines = ["echo \"a b\" 'c d' e\\ f", "x=1 --y='z'", "a  b\tc", "\"a\\\"b\" 'c\\d'"];
    for (text, theirs) in lines.iter().zip(compose_reads(&lines, |text| json!({ "image": "x", "command": text }))) {
        assert_eq!(words::parse(text).map(|words| json!(words)), Ok(theirs["command"].clone()), "{text}");
    }
}
