//! Puts the commit into `mcpmon --version`. Outside a git checkout it says `unknown`.

use std::process::Command;

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    let commit = git(&["rev-parse", "--short=9", "HEAD"]).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=MCPMON_COMMIT={commit}");
    println!("cargo::rerun-if-changed=src/build.rs");
    // The file that a commit on the current branch rewrites.
    for path in [git(&["rev-parse", "--git-path", "HEAD"]), git(&["rev-parse", "--git-path", "logs/HEAD"])]
        .into_iter()
        .flatten()
    {
        println!("cargo::rerun-if-changed={path}");
    }
}
