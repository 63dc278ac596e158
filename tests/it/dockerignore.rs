//! `.dockerignore` as mcpmon reads it, against what a real build context contains: the same tree is built with each
//! ignore file, and the image's files are compared with the verdicts. Nothing is left on the engine: the result goes into
//! a folder.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use mcpmon::trigger::Dockerignore;
use serde_json::{Value, json};

/// Files of the context.
const FILES: &[&str] = &[
    "README.md",
    "README-secret.md",
    "NOTES.md",
    "a.log",
    ".hidden",
    ".env",
    "ab",
    "axb",
    "foo",
    "xfoo",
    "tempa",
    "temp",
    "{a,b}",
    "a*",
    "!important",
    "#hash",
    "[x]",
    "src/main.rs",
    "src/lib.rs",
    "src/a.log",
    "src/keep/x",
    "src/keep/y/z",
    "src/target/out",
    "target/debug/out",
    "target/keep",
    "sub/temp",
    "sub/tempx/y",
    "sub/foo",
    "sub/deep/temp",
    "sub/deep/a.log",
    "ax/b",
    "a b/c",
    "node_modules/p/index.js",
    "sub/node_modules/q",
];

/// Ignore files, each tried by itself.
const IGNORE_FILES: &[&str] = &[
    "*.log",
    "**/*.log",
    "target",
    "target/",
    "/target",
    "./target",
    "**/target\n**/node_modules",
    "*/temp*",
    "temp?",
    "*\n!README.md",
    "*\n!src",
    "*\n!src/keep\n!sub/deep/temp",
    "src\n!src/keep\nsrc/keep/y",
    "*.md\n!README*.md\nREADME-secret.md",
    "*.md\nREADME-secret.md\n!README*.md",
    "# comment\n  foo  \n\n #hash\r\nab",
    ".",
    "sub/../foo",
    "[a-f]*",
    "[^a]*",
    "[!a]*",
    "a\\*",
    "{a,b}",
    "\\!important\n\\#hash",
    "a b",
    "src/**",
    "src/**/x",
    "**foo",
    "**foo*",
    "**/*oo",
    "**eep/x",
    "a**",
    "a**b",
    "**/keep/**\n!**/z",
    "**",
    "**\n!**/*.rs",
    "../foo",
    "\u{feff}foo",
];

/// So many are built at once: one CLI for all of them, and a load that others can stand.
const AT_ONCE: usize = 8;

/// Builds each context into a folder of its own (`context7` into `output7`), with what one Dockerfile says for all.
fn build(folder: &Path, contexts: impl Iterator<Item = usize>) {
    let targets: serde_json::Map<String, Value> = contexts
        .map(|number| {
            let output = format!("type=local,dest=output{number}");
            let context = format!("context{number}");
            // Outside of the context, so that no ignore file can be about it.
            let dockerfile = "FROM scratch\nCOPY . /\n";
            (context.clone(), json!({"context": context, "dockerfile-inline": dockerfile, "output": [output]}))
        })
        .collect();
    let names: Vec<&String> = targets.keys().collect();
    let file = json!({"group": {"default": {"targets": names}}, "target": targets});
    fs::write(folder.join("bake.json"), file.to_string()).expect("a file");
    let built = Command::new("docker")
        .args(["buildx", "bake", "--progress", "quiet", "--file", "bake.json"])
        .current_dir(folder)
        .output()
        .expect("the docker command is needed for this test");
    assert!(built.status.success(), "{names:?}: {}", String::from_utf8_lossy(&built.stderr));
}

#[test]
fn the_context_is_what_docker_sends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (number, text) in IGNORE_FILES.iter().enumerate() {
        let context = folder.path().join(format!("context{number}"));
        for file in FILES {
            let path = context.join(file);
            fs::create_dir_all(path.parent().expect("below the context")).expect("a folder");
            fs::write(path, "x").expect("a file");
        }
        fs::write(context.join(".dockerignore"), text).expect("an ignore file");
    }
    for first in (0..IGNORE_FILES.len()).step_by(AT_ONCE) {
        build(folder.path(), first..IGNORE_FILES.len().min(first + AT_ONCE));
    }

    let mut wrong = Vec::new();
    for (number, text) in IGNORE_FILES.iter().enumerate() {
        let output = folder.path().join(format!("output{number}"));
        let (ignore, problems) = Dockerignore::parse(text);
        assert!(problems.is_empty(), "{text:?}: {problems:?}");
        let sent: BTreeSet<&str> = FILES.iter().copied().filter(|file| output.join(file).exists()).collect();
        let ours: BTreeSet<&str> = FILES.iter().copied().filter(|file| !ignore.excludes(Path::new(file))).collect();
        if sent != ours {
            wrong.push(format!(
                "{text:?}: docker alone sends {:?}, mcpmon alone expects {:?}",
                sent.difference(&ours).collect::<Vec<_>>(),
                ours.difference(&sent).collect::<Vec<_>>(),
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
