//! `mcpmon config`: looking at the resolved configuration.

use std::io::{ErrorKind, Write};

use serde_json::json;

use crate::{
    cli::{ConfigCommand, Format},
    config::{
        Request,
        discover::{FILE_NAME, discover},
        file, load,
    },
    error::{Error, Result},
};

/// Runs one of them; `out` gets what was asked for.
pub fn run(command: &ConfigCommand, request: &Request, format: Format, out: &mut dyn Write) -> Result<()> {
    let json = format == Format::Json;
    let text = match command {
        ConfigCommand::Show { origin } => {
            let loaded = load(request)?;
            if json { pretty(&loaded.to_json(*origin)) } else { loaded.to_toml(*origin) }
        }
        ConfigCommand::Why { key } => {
            let why = load(request)?.why(key)?;
            if json { pretty(&why.to_json()) } else { why.to_string() }
        }
        ConfigCommand::Check => check(request, json)?,
        ConfigCommand::Schema => pretty(&file::schema()),
        ConfigCommand::Path => path(request, json),
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_else(|error| match error.kind() {
        // The reader has seen enough.
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Error::failed("the output can't be written").caused_by(error)),
    })
}

/// `ok: FILE, N targets`, and the warnings.
fn check(request: &Request, json: bool) -> Result<String> {
    let settings = load(request)?.settings;
    let file = settings.project.config_file.display().to_string();
    let count = settings.project.targets.len();
    if json {
        return Ok(pretty(&json!({ "file": file, "targets": count, "warnings": settings.warnings })));
    }
    let plural = if count == 1 { "" } else { "s" };
    let mut lines: Vec<String> = settings.warnings.iter().map(|warning| format!("warning: {warning}")).collect();
    lines.push(format!("ok: {file}, {count} target{plural}\n"));
    Ok(lines.join("\n"))
}

/// The files, lowest layer first, and whether they are there.
fn path(request: &Request, json: bool) -> String {
    let discovered = discover(request);
    if json {
        let files: Vec<_> = discovered
            .candidates
            .iter()
            .map(|file| json!({ "role": file.role.as_str(), "path": file.path, "exists": file.exists }))
            .collect();
        return pretty(&json!({ "files": files, "searched": discovered.searched, "named_by": discovered.named_by }));
    }
    let line = |exists: bool, role: &str, path: &std::path::Path| {
        format!("{}  {role:7}  {}\n", if exists { "read   " } else { "missing" }, path.display())
    };
    let mut text: String =
        discovered.candidates.iter().map(|file| line(file.exists, file.role.as_str(), &file.path)).collect();
    if discovered.project().is_none() {
        text.extend(discovered.searched.iter().map(|folder| line(false, "project", &folder.join(FILE_NAME))));
    }
    text
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_in(folder: &std::path::Path, command: &ConfigCommand, format: Format) -> Result<String> {
        let system = folder.join("etc.toml");
        let request = Request { folder: folder.to_owned(), system, ..Request::default() };
        let mut out = Vec::new();
        run(command, &request, format, &mut out)?;
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
}
