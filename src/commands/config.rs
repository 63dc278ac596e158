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
