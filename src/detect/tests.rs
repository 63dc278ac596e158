//! Command lines as people write them into clients, against one tree of files.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use super::*;
use crate::{
    model::{Target, settings::WatchAction},
    trigger::{Entry, Ignores, samples},
    watch::Watcher,
};

/// A file system of texts; folders are where files lie.
#[derive(Default)]
struct Tree {
    files: BTreeMap<PathBuf, &'static str>,
    programs: BTreeMap<&'static str, &'static str>,
}

impl Files for Tree {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        if self.files.contains_key(path) {
            return Some(FileKind::File);
        }
        self.files.keys().any(|file| file.starts_with(path)).then_some(FileKind::Folder)
    }

    fn beginning(&self, path: &Path) -> Option<String> {
        self.files.get(path).map(ToString::to_string)
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        self.programs.get(name).map(PathBuf::from)
    }
}

const PACKAGE: &str = r#"{
    "name": "own-server", "bin": { "own": "build/index.js" },
    "scripts": {
        "start": "node build/index.js", "dev": "cross-env DEBUG=1 tsx watch src/index.ts", "built": "tsc && node build/index.js",
        "prehooked": "npm run compile", "hooked": "node build/index.js", "compile": "tsc -p .", "loop": "npm run loop",
        "vite": "vite-something", "py": "cd ../py && python server.py"
    }
}"#;

fn tree() -> Tree {
    let files = [
        // Plain files without a project.
        ("plain/server.py", ""),
        ("plain/pkg/__main__.py", ""),
        ("plain/tool", "#!/usr/bin/env -S uv run --script\nprint()"),
        ("plain/tool.sh", "#!/bin/sh\n"),
        ("plain/server.rb", ""),
        ("plain/server.js", ""),
        ("plain/Main.java", ""),
        ("plain/x.jar", ""),
        ("plain/classes/A.class", ""),
        ("plain/binary", "\u{7f}ELF"),
        // A Python project.
        ("py/.git/HEAD", ""),
        ("py/pyproject.toml", ""),
        ("py/server.py", ""),
        ("py/scripts/run.py", ""),
        ("py/src/app/main.py", ""),
        ("py/.venv/bin/app", "#!/w/py/.venv/bin/python\n"),
        // A TypeScript project.
        ("ts/package.json", PACKAGE),
        ("ts/tsconfig.json", "{}"),
        ("ts/build/index.js", ""),
        ("ts/src/index.ts", ""),
        ("ts/node_modules/.bin/installed", ""),
        ("ts/node_modules/.bin/tsx", ""),
        // A Deno project.
        ("deno/deno.json", "{}"),
        ("deno/x.ts", ""),
        // A Rust workspace inside of a repository, below another one that is not meant.
        ("outer/Cargo.toml", "[workspace]"),
        ("outer/rs/.git", "gitdir: elsewhere"),
        ("outer/rs/Cargo.toml", "[workspace]\nmembers = [\"one\"]"),
        ("outer/rs/one/Cargo.toml", "[package]"),
        ("outer/rs/one/src/main.rs", ""),
        // A Go module.
        ("go/go.mod", ""),
        ("go/cmd/x/main.go", ""),
        ("maven/pom.xml", ""),
        // The home folder.
        ("home/server.py", ""),
        ("home/package.json", PACKAGE),
        ("home/pyproject.toml", ""),
        ("home/mine/server.py", ""),
        ("home/bin/installed", ""),
    ];
    let files = files.map(|(path, text)| (Path::new("/w").join(path), text)).into();
    let programs = [("installed", "/w/home/bin/installed"), ("app", "/w/py/.venv/bin/app"), ("ls", "/usr/bin/ls")];
    Tree { files, programs: programs.into() }
}

fn look(folder: &str, words: &[String]) -> Detected {
    let (files, folder) = (tree(), Path::new("/w").join(folder));
    let surroundings =
        Surroundings { files: &files, folder: &folder, home: Some(Path::new("/w/home")), python_path: None };
    detect(words, surroundings)
}

/// What was found, short: `py[py]` is a folder with its first suffix, `py/x` a file.
fn found(folder: &str, line: &str) -> String {
    let words = shell_words::split(line).expect("words");
    let detected = look(folder, &words);
    assert_eq!(detected.found.is_empty(), detected.nothing.is_some(), "{line}: {detected:?}");
    let short = detected.found.iter().map(|found| {
        let path = found.path.strip_prefix("/w").unwrap_or(&found.path).display();
        found.suffixes.first().map_or_else(|| path.to_string(), |suffix| format!("{path}[{suffix}]"))
    });
    short.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(folder, line, expected)| {
            let found = found(folder, line);
            (found != *expected).then(|| format!("{folder}$ {line}\n  expected {expected}\n  found    {found}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn python() {
    check(&[
        ("plain", "python server.py", "plain[py]"),
        ("plain", "python3 -u server.py --port 1", "plain[py]"),
        ("", "python3.12 -X dev -Wd plain/server.py", "plain[py]"),
        ("plain", "/usr/bin/python3 /w/plain/server.py", "plain[py]"),
        ("plain", "python missing.py", "plain[py]"),
        ("plain", "python tool", "plain[py] plain/tool"),
        ("plain", "python -m pkg", "plain/pkg[py]"),
        ("plain", "python -um pkg.sub --x", "plain/pkg[py]"),
        ("plain", "python -m server", "plain[py]"),
        ("plain", "python pkg", "plain/pkg[py]"),
        ("py", "python server.py", "py[py] py/pyproject.toml"),
        ("py", "python scripts/run.py", "py/scripts[py] py[py] py/pyproject.toml"),
        ("py", "python -m app.main", "py/src/app[py] py[py] py/pyproject.toml"),
        ("", "env PYTHONPATH=py/src python -m app", "py/src/app[py] py[py] py/pyproject.toml"),
        ("py", "python -m mcp run server.py:app", "py[py] py/pyproject.toml"),
        ("py", "uvicorn app.main:app --port 80", "py/src/app[py] py[py] py/pyproject.toml"),
        ("py", "fastmcp run server.py", "py[py] py/pyproject.toml"),
        ("plain", "python -m mcp_server_time", ""),
        ("plain", "python -c 'print()'", ""),
        ("plain", "python", ""),
        ("plain", "python -", ""),
    ]);
}

#[test]
fn pythons_tools() {
    let project = "py[py] py/pyproject.toml";
    check(&[
        ("py", "uv run server.py", project),
        ("", "uv --directory py run server.py", project),
        ("", "uv run --directory /w/py --with mcp[cli] mcp run server.py", project),
        ("", "uv run --project py app", "py[py] py/pyproject.toml py/.venv/bin/app"),
        ("plain", "uv run --project ../py no-such", project),
        ("py", "uv run -m app.main", "py/src/app[py] py[py] py/pyproject.toml"),
        ("py", "uv run python -m app.main", "py/src/app[py] py[py] py/pyproject.toml"),
        ("py", "uv run app", "py[py] py/pyproject.toml py/.venv/bin/app"),
        ("plain", "uv run --script tool.py", "plain[py]"),
        ("plain", "uv run mcp-server-x", ""),
        ("plain", "uv sync", ""),
        ("py", "uvx mcp-server-time --local-timezone X", ""),
        ("py", "uvx --from . app", project),
        ("", "uv tool run --from ./py app", project),
        ("py", "poetry run python server.py", project),
        ("", "poetry -C py run app", "py[py] py/pyproject.toml py/.venv/bin/app"),
        ("py", "pdm run start", project),
        ("py", ".venv/bin/app --stdio", "py[py] py/pyproject.toml py/.venv/bin/app"),
        ("py", "/w/py/.venv/bin/python server.py", project),
    ]);
}

#[test]
fn node_and_its_like() {
    let js = "ts/build[js] ts[js] ts/package.json";
    let ts = "ts/src[ts] ts[ts] ts/package.json ts/tsconfig.json";
    check(&[
        ("ts", "node build/index.js", js),
        ("ts", "node --enable-source-maps --env-file=.env build", js),
        ("ts", "node -r dotenv/config build/index", js),
        ("", "node ts/build/index.js /some/folder", js),
        ("ts", "node src/index.ts", ts),
        ("ts", "node --import tsx src/index.ts", ts),
        ("ts", "tsx src/index.ts", ts),
        ("ts", "tsx watch --clear-screen=false src/index.ts", ts),
        ("ts", "./node_modules/.bin/tsx src/index.ts", ts),
        ("ts", "npx -y tsx@latest src/index.ts", ts),
        ("ts", "bun src/index.ts", ts),
        ("ts", "bun run --hot src/index.ts", ts),
        ("plain", "node server.js", "plain[js]"),
        ("plain", "node", ""),
        ("plain", "node -e 1", ""),
        ("deno", "deno run -A --allow-net=x.y x.ts", "deno[ts] deno/deno.json"),
        ("deno", "deno -A x.ts", "deno[ts] deno/deno.json"),
        ("deno", "deno run -c deno.json x.ts", "deno[ts] deno/deno.json"),
        ("deno", "deno task dev", "deno[ts] deno/deno.json"),
        ("deno", "deno run -A jsr:@a/b", ""),
        ("deno", "deno run https://example.org/x.ts", ""),
    ]);
}

#[test]
fn what_package_json_runs() {
    let js = "ts/build[js] ts[js] ts/package.json";
    let ts = "ts/src[ts] ts[ts] ts/package.json ts/tsconfig.json";
    let all = "ts[ts] ts/package.json ts/tsconfig.json";
    let both = "ts[ts] ts/package.json ts/tsconfig.json ts/build[js]";
    check(&[
        ("ts", "npm start", js),
        ("ts", "npm run --silent start -- --x", js),
        ("ts/src", "npm run dev", ts),
        ("", "npm --prefix ts run dev", ts),
        ("", "pnpm -C ts dev", ts),
        ("ts", "yarn dev", ts),
        ("ts", "bun run dev", ts),
        ("ts", "node --run dev", ts),
        ("ts", "npm run built", both),
        ("ts", "npm run hooked", both),
        ("ts", "npm run vite", all),
        ("ts", "npm run loop", all),
        ("ts", "npm run no-such", all),
        ("ts", "npm run dev -w packages/a", ts),
        ("ts", "npm -w a run dev", all),
        ("ts", "npm run py", "py[py] py/pyproject.toml ts/package.json"),
        ("plain", "npm start", ""),
        ("home", "npm start", ""),
        ("ts", "npx own", all),
        ("ts", "npx own-server", all),
        ("ts", "npx installed serve", all),
        ("ts", "npx -y @modelcontextprotocol/server-filesystem /data", ""),
        ("ts", "npm exec -- tsx src/index.ts", ts),
        ("ts", "npx -c 'tsx src/index.ts'", ts),
        ("ts", "bunx some-server", ""),
    ]);
}

#[test]
fn compiled_languages() {
    let workspace = "outer/rs[rs] outer/rs/Cargo.toml";
    check(&[
        ("outer/rs/one", "cargo run", workspace),
        ("outer/rs", "cargo +nightly run -q -p one --bin x -- --stdio", workspace),
        ("", "cargo run --manifest-path outer/rs/one/Cargo.toml", workspace),
        ("outer", "cargo run", "outer[rs] outer/Cargo.toml"),
        ("plain", "cargo run", ""),
        ("go/cmd", "go run ./x", "go[go] go/go.mod"),
        ("go", "go run -race ./cmd/x --port 1", "go[go] go/go.mod"),
        ("", "go run -C go ./cmd/x", "go[go] go/go.mod"),
        ("", "go run go/cmd/x/main.go", "go[go] go/go.mod"),
        ("go", "go run example.org/x@latest", ""),
        ("plain", "go run .", ""),
        ("plain", "java -Xmx2g -jar x.jar --stdio", "plain/x.jar"),
        ("plain", "java -cp classes:x.jar A", "plain/classes[class] plain/x.jar"),
        ("plain", "java Main.java", "plain[java]"),
        ("plain", "java", ""),
        ("maven", "./mvnw exec:java", "maven[java] maven/pom.xml"),
    ]);
}

#[test]
fn programs_and_their_wrappers() {
    check(
        &[
            ("plain", "./binary --stdio", "plain/binary"),
            ("outer/rs", "./target/debug/server", "outer/rs/target/debug/server"),
            ("plain", "./tool.sh", "plain/tool.sh"),
            ("plain", "./server.py", "plain[py] plain/server.py"),
            ("plain", "./tool", "plain/tool"),
            ("plain", "bash tool.sh", "plain/tool.sh"),
            ("plain", "ruby -w server.rb", "plain[rb]"),
            ("plain", "bundle exec ruby server.rb", "plain[rb]"),
            ("plain", "installed --stdio", "home/bin/installed"),
            ("plain", "ls", ""),
            ("plain", "no-such-program", ""),
            ("plain", "env -u A B=c python server.py", "plain[py]"),
            ("", "env -C plain python server.py", "plain[py]"),
            ("plain", "env -S 'python -u server.py'", "plain[py]"),
            ("plain", "nice -n 5 ionice -c2 time -p timeout -k 1 60 nohup python server.py", "plain[py]"),
            ("plain", "stdbuf -oL python server.py", "plain[py]"),
            ("plain", "sudo -u me python server.py", "plain[py]"),
            ("plain", "op run --env-file x -- python server.py", "plain[py]"),
            ("", "sh -c 'cd plain && exec python server.py 2>/dev/null'", "plain[py]"),
            ("plain", "bash -lc 'A=b python server.py; node server.js'", "plain[py] plain[js]"),
            ("", "bash -c 'if cd plain; then python server.py; fi'", "plain[py]"),
            ("plain", "sh -c 'exec python \"$(dirname \"$0\")/server.py\"'", ""),
            ("plain", "sh -c 'python $HERE/server.py; node server.js'", "plain[js]"),
            ("plain", "sh -c 'echo hello'", ""),
            ("plain", "sh -c 'not closed", ""),
        ]
        .map(|(folder, line, expected)| (folder, if line.ends_with("closed") { "sh" } else { line }, expected)),
    );
}

#[test]
fn a_home_folder_is_never_watched_as_a_whole() {
    check(&[
        ("home", "python server.py", "home/server.py"),
        ("home/mine", "python server.py", "home/mine[py]"),
        ("home", "uv run server.py", "home/server.py"),
        ("", "sh -c 'cd / && python x.py'", "/x.py"),
    ]);
}

#[test]
fn says_why_nothing_was_found_without_telling_secrets() {
    let words: Vec<String> = ["uvx", "some-server", "--token=hunter2"].map(Into::into).into();
    let nothing = look("plain", &words).nothing.expect("a reason");
    assert!(nothing.contains("MCPMON_WATCH") && nothing.contains("uvx fetches"), "{nothing}");
    for line in ["npx x hunter2", "python -c hunter2", "ls hunter2", "python -m x hunter2", "sh -c 'ls hunter2'"] {
        let words = shell_words::split(line).expect("words");
        let nothing = look("plain", &words).nothing.expect("a reason");
        assert!(!nothing.contains("hunter2"), "{nothing}");
    }
}

#[test]
fn says_what_is_watched_and_why() {
    let words: Vec<String> = ["python", "scripts/run.py"].map(Into::into).into();
    let said: Vec<String> = look("py", &words).found.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "/w/py/scripts (*.py, *.pyx, *.so): the folder of the script run.py",
            "/w/py (*.py, *.pyx, *.so): the project of pyproject.toml",
            "/w/py/pyproject.toml: the project's manifest",
        ]
    );
}

fn process(folder: &Path, name: &str, line: &str, auto: bool) -> Target {
    let mut target = samples::target(name, |watch, _| {
        watch.auto = auto;
        watch.paths = vec![folder.join("named")];
    });
    target.kind = TargetKind::Process(crate::model::testing::process(shell_words::split(line).expect("words")));
    target
}

#[test]
fn auto_adds_to_the_rules_and_the_rest_stays_as_it_was() {
    let folder = Path::new("/w/ts");
    let mut narrow = process(folder, "narrow", "tsx src/index.ts", true);
    narrow.watch.extensions = vec![".css".into()];
    let targets = [
        process(folder, "auto", "node build/index.js", true),
        process(folder, "named", "node build/index.js", false),
        process(folder, "nothing", "uvx server", true),
        narrow,
    ];
    let settings = samples::several(folder, targets);
    let mut rules = Rules::new(&settings, None);
    let files = tree();
    let surroundings = Surroundings { files: &files, folder: Path::new("/"), home: None, python_path: None };
    let detected = watch(&mut rules, &settings.project, surroundings);
    assert_eq!(detected.keys().collect::<Vec<_>>(), ["auto", "narrow", "nothing"]);
    assert!(detected["nothing"].found.is_empty() && detected["nothing"].nothing.is_some());

    let mut ignores = Ignores::default();
    assert!(ignores.put_git(folder, "build/\ngenerated.js").is_empty());
    for (path, targets) in [
        ("build/index.js", &["auto"][..]),
        ("build/deep/x.mjs", &["auto"]),
        ("build/data.json", &[]),
        ("lib/x.js", &["auto"]),
        ("generated.js", &[]),
        ("package.json", &["auto", "narrow"]),
        ("tsconfig.json", &["narrow"]),
        ("data.json", &[]),
        ("src/index.ts", &[]),
        ("src/x.css", &["narrow"]),
        ("build/node_modules/x/index.js", &[]),
        ("node_modules/x/index.js", &[]),
        ("target/x.js", &[]),
        (".git/x.js", &[]),
        ("named/node_modules/x", &["auto", "named", "nothing"]),
    ] {
        let path = folder.join(path);
        let hit: Vec<_> = rules.hits(&path, Entry::File, &ignores).collect();
        assert!(hit.iter().all(|(_, action)| *action == WatchAction::Restart));
        assert_eq!(hit.iter().map(|(target, _)| target.target.as_str()).collect::<Vec<_>>(), targets, "{path:?}");
    }
    for (path, wanted) in [("node_modules", false), ("build", true), (".git", false), ("lib", true), ("target", false)]
    {
        assert_eq!(rules.wants_folder(&folder.join(path), &ignores), wanted, "{path}");
    }
}

#[tokio::test]
async fn a_saved_module_of_a_script_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("mkdir");
        fs::write(path, text).expect("write");
    };
    for path in ["app/server.py", "app/tools/add.py", "app/.venv/lib/x.py", "app/data.json", "pyproject.toml"] {
        write(path, "1");
    }
    let settings = samples::several(folder.path(), [process(folder.path(), "api", "python app/server.py", true)]);
    let files = Disk::new("");
    let surroundings = Surroundings { files: &files, folder: Path::new("/"), home: None, python_path: None };
    let mut rules = Rules::new(&settings, None);
    watch(&mut rules, &settings.project, surroundings);
    let (watcher, mut changes) = Watcher::new().expect("a watcher");
    watcher.set(Arc::new(rules), []).await;
    for path in ["app/.venv/lib/x.py", "app/data.json", "app/tools/__pycache__/add.pyc"] {
        write(path, "2");
    }
    for path in ["app/tools/add.py", "pyproject.toml", "app/tools/new.py"] {
        write(path, "2");
        let changes = tokio::time::timeout(Duration::from_secs(20), changes.next()).await.expect("a change in time");
        assert_eq!(changes.paths.keys().collect::<Vec<_>>(), [&folder.path().join(path)]);
    }
}

#[test]
fn the_disk_tells_files_from_folders_and_reads_no_more_than_it_must() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("big");
    fs::write(&file, "é".repeat(100_000)).expect("write");
    let disk = Disk::new(folder.path());
    assert_eq!(disk.kind(&file), Some(FileKind::File));
    assert_eq!(disk.kind(folder.path()), Some(FileKind::Folder));
    assert_eq!(disk.kind(&folder.path().join("missing")), None);
    assert_eq!(disk.beginning(&file).map(|text| text.len()), Some(64 * 1024));
    assert_eq!(disk.beginning(folder.path()), None);
    assert_eq!(disk.beginning(Path::new("/dev/zero")), None);
    assert_eq!(disk.program("big"), Some(file));
    assert_eq!(disk.program("missing"), None);
}

proptest::proptest! {
    /// Whatever is typed, there is an answer: no panic, no end of stack, and nothing too wide.
    #[test]
    fn any_command_has_an_answer(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "python", "-m", "npx", "npm", "run", "start", "loop", "uv", "--directory", "ts", "..", "/", "env", "-S", "A=b",
            "sh", "-c", "cd .. && npm start", "cargo", "--manifest-path", "go", "java", "-cp", "::", "-jar", "timeout", "1",
            "", "-", "--", "--x=", "é", "-é", "-xé", "server.py", "@", "x@", "deno", "task", "bun", "./tool", "exec", "node",
            "tsx", "watch", "bundle", "tool", "--from", ".", "a:b", ":", "poetry", "-C", "'", "\"",
        ]),
        0..8,
    )) {
        let words: Vec<String> = words.into_iter().map(ToOwned::to_owned).collect();
        for folder in ["ts", "home", "plain", ".."] {
            let detected = look(folder, &words);
            for found in &detected.found {
                let too_wide = crate::trigger::rules::is_too_wide(&found.path, Some(Path::new("/w/home")));
                proptest::prop_assert!(found.suffixes.is_empty() || !too_wide, "{words:?}: {found:?}");
                proptest::prop_assert!(found.path.is_absolute(), "{words:?}: {found:?}");
            }
        }
    }
}
