//! `mcpmon config`: looking at the resolved configuration.

use std::io::{ErrorKind, Write};

use serde_json::json;

use crate::{
    cli::{ConfigCommand, Format},
    compose::{cli::ComposeCli, settings::Composer},
    config::{
        Loaded, Request,
        discover::{FILE_NAME, discover},
        file, load,
    },
    error::{Error, Located, Result},
    model::Settings,
};

/// Runs one of them; `out` gets what was asked for. Gives the exit code.
pub async fn run(command: &ConfigCommand, request: &Request, format: Format, out: &mut dyn Write) -> Result<u8> {
    let json = format == Format::Json;
    let mut code = 0;
    let text = match command {
        ConfigCommand::Show { origin } => {
            let loaded = load(request)?;
            if json { pretty(&loaded.to_json(*origin)) } else { loaded.to_toml(*origin) }
        }
        ConfigCommand::Why { key } => {
            let why = load(request)?.why(key)?;
            if json { pretty(&why.to_json()) } else { why.to_string() }
        }
        ConfigCommand::Check if json => {
            let (answer, exit_code) = check_for_programs(request).await;
            code = exit_code;
            pretty(&answer)
        }
        ConfigCommand::Check => check(request).await?,
        ConfigCommand::Schema => pretty(&file::schema()),
        ConfigCommand::Path => path(request, json),
    };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_else(|error| match error.kind() {
        // The reader has seen enough.
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Error::failed("the output can't be written").caused_by(error)),
    });
    written.map(|()| code)
}

/// The settings with what is worth saying of them, compose's own words too; and how many targets the file has.
async fn checked(request: &Request) -> Result<(Settings, usize)> {
    let Loaded { settings, .. } = load(request)?;
    let count = settings.project.targets.len();
    let compose = ComposeCli::new(&request.environment, &settings.project.folder);
    Ok((Composer::new(compose).expand(settings).await?, count))
}

/// `ok: FILE, N targets`, and the warnings.
async fn check(request: &Request) -> Result<String> {
    let (settings, count) = checked(request).await?;
    let file = settings.project.config_file.display().to_string();
    let plural = if count == 1 { "" } else { "s" };
    let mut lines: Vec<String> = settings.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    lines.push(format!("ok: {file}, {count} target{plural}\n"));
    Ok(lines.join("\n"))
}

/// The same for programs, faults included: `errors` is empty where there is none. With the exit code.
async fn check_for_programs(request: &Request) -> (serde_json::Value, u8) {
    match checked(request).await {
        Ok((settings, count)) => {
            let file = settings.project.config_file.display().to_string();
            let answer = json!({ "file": file, "targets": count, "errors": [], "warnings": settings.warnings });
            (answer, 0)
        }
        Err(Error { kind, message, hint, mut faults, warnings, .. }) => {
            if faults.is_empty() {
                faults.push(Located { message, help: hint, ..Located::default() });
            }
            (json!({ "errors": faults, "warnings": warnings }), kind.exit_code())
        }
    }
}

/// The files, lowest layer first, and whether they are there.
fn path(request: &Request, json: bool) -> String {
    let discovered = discover(request);
    if json {
        let files: Vec<_> = discovered
            .candidates
            .iter()
            .map(|file| json!({ "role": file.role.as_str(), "path": file.path, "exists": file.exists, "problem": file.obstacle }))
            .collect();
        return pretty(&json!({ "files": files, "searched": discovered.searched, "named_by": discovered.named_by }));
    }
    let line = |word: &str, role: &str, path: &std::path::Path| format!("{word:7}  {role:7}  {}\n", path.display());
    let mut text = String::new();
    for file in &discovered.candidates {
        let word = if file.exists { "read" } else { "missing" };
        text += &match &file.obstacle {
            Some(obstacle) => line("no file", file.role.as_str(), &file.path).replace('\n', &format!(" {obstacle}\n")),
            None => line(word, file.role.as_str(), &file.path),
        };
    }
    if discovered.project().is_none() {
        text.extend(discovered.searched.iter().map(|folder| line("missing", "project", &folder.join(FILE_NAME))));
    }
    text
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn run_in(folder: &std::path::Path, command: &ConfigCommand, format: Format) -> Result<String> {
        let system = folder.join("etc.toml");
        let request = Request { folder: folder.to_owned(), system, ..Request::default() };
        let mut out = Vec::new();
        run(command, &request, format, &mut out).now_or_never().expect("it waits for nothing")?;
        Ok(String::from_utf8(out).unwrap().replace(folder.to_str().unwrap(), "FOLDER"))
    }

    #[test]
    fn tells_what_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let text = |command, format| run_in(folder.path(), &command, format).unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        assert_eq!(
            text(ConfigCommand::Path, Format::Text),
            "missing  system   FOLDER/etc.toml\nmissing  project  FOLDER/mcpmon.toml\n"
        );
        let error = run_in(folder.path(), &ConfigCommand::Check, Format::Text).unwrap_err();
        assert_eq!(error.kind.exit_code(), 78);
        std::fs::create_dir(folder.path().join("etc.toml")).unwrap();
        assert_eq!(
            text(ConfigCommand::Path, Format::Text),
            "no file  system   FOLDER/etc.toml is a folder, not a file\nmissing  project  FOLDER/mcpmon.toml\n"
        );
        std::fs::remove_dir(folder.path().join("etc.toml")).unwrap();

        std::fs::write(folder.path().join("mcpmon.toml"), "targets.a.image = 'x'\ntargets.b.image = 'y'\n").unwrap();
        assert_eq!(text(ConfigCommand::Check, Format::Text), "ok: FOLDER/mcpmon.toml, 2 targets\n");
        assert_eq!(
            text(ConfigCommand::Path, Format::Text),
            "missing  system   FOLDER/etc.toml\nread     project  FOLDER/mcpmon.toml\nmissing  local    FOLDER/mcpmon.local.toml\n"
        );
        assert!(
            text(ConfigCommand::Show { origin: true }, Format::Text).contains("image = \"x\"  # mcpmon.toml:1:11\n")
        );
        let shown: serde_json::Value =
            serde_json::from_str(&text(ConfigCommand::Show { origin: false }, Format::Json)).unwrap();
        assert_eq!(shown["targets"]["b"]["image"], "y");
        let why: serde_json::Value =
            serde_json::from_str(&text(ConfigCommand::Why { key: "watch.delay".into() }, Format::Json)).unwrap();
        assert_eq!(why, json!([{ "key": "watch.delay", "value": "100ms", "origin": "default", "replaced": [] }]));
        assert!(text(ConfigCommand::Schema, Format::Text).contains("\"title\": \"mcpmon.toml\""));
    }

    #[test]
    fn faults_are_told_to_programs_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut request = Request { folder: folder.path().to_owned(), ..Request::default() };
        request.set = vec!["nonsense=1".to_owned()];
        let check = |request: &Request| {
            let mut out = Vec::new();
            let checked = run(&ConfigCommand::Check, request, Format::Json, &mut out);
            let code = checked.now_or_never().expect("it waits for nothing").unwrap();
            (code, serde_json::from_slice::<serde_json::Value>(&out).unwrap())
        };
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        let (code, answer) = check(&request);
        assert_eq!((code, answer["errors"].as_array().map(Vec::len)), (78, Some(1)));

        let text = "targets.a.image = 'x'\ntargets.a.ports = ['1:99999']\n";
        std::fs::write(folder.path().join("mcpmon.toml"), text).unwrap();
        let (code, answer) = check(&request);
        let place = json!({
            "file": "mcpmon.toml", "line": 2, "column": 20, "origin": "mcpmon.toml:2:20", "key": "targets.a.ports[0]",
            "message": "port 99999 is above 65535", "help": null
        });
        let flag = json!({
            "file": null, "line": null, "column": null, "origin": "--set nonsense=1", "key": null,
            "message": "unknown key `nonsense`", "help": null
        });
        assert_eq!((code, answer), (78, json!({ "errors": [place, flag], "warnings": [] })));

        request.set.clear();
        std::fs::write(folder.path().join("mcpmon.toml"), "targets.a.image = 'x'").unwrap();
        let (code, answer) = check(&request);
        assert_eq!((code, &answer["errors"], &answer["targets"]), (0, &json!([]), &json!(1)));

        // Compose files are looked into: where nobody can, that is said.
        std::fs::write(folder.path().join("mcpmon.toml"), "[targets.web.compose]").unwrap();
        std::fs::write(folder.path().join("compose.yaml"), "services: {a: {image: x}}").unwrap();
        let (code, answer) = check(&request);
        let message = answer["errors"][0]["message"].as_str().unwrap();
        assert_eq!((code, message), (1, "web: the docker command is not on PATH; compose projects need it"));
        assert!(answer["errors"][0]["help"].to_string().contains("docs.docker.com"), "{answer}");
    }
}
