//! The stdio session: what a client waits for while the server is replaced, and what it pays while nothing happens.
//!
//! "Direct" is `docker run -i` of the same image with the same settings, and for a plain command the command itself. All
//! of them are spoken to by the same few lines of code, in turns, within one run.
//!
//! | part | what it is for |
//! |---|---|
//! | [`calls`] | the lines that go out and come in (pure) |
//! | [`peer`] | a server behind two pipes |
//! | [`direct`] | a container by the engine's API alone |
//! | [`load`] | calls at a steady pace, and what became of them |
//! | [`reload`], [`trip`], [`others`] | the rows |

mod calls;
mod direct;
mod load;
pub(crate) mod others;
mod peer;
pub(crate) mod reload;
pub(crate) mod trip;

use std::{path::PathBuf, process::Command};

use crate::corner::{Corner, IMAGE};

/// Where the greeting lies that the containers read when they start.
const GREETING: &str = "content/greeting.txt";
/// What the containers of the reload rows run.
const GREET: [&str; 3] = ["stdio", "--greeting", "/content/greeting.txt"];

/// The targets of all rows: one that greets, and one that costs as little as can be.
fn config() -> String {
    // Results are to go through as they are, however large.
    format!(
        "[watch]\ndelay = \"0ms\"\n\
         [targets.greeter]\nimage = \"{IMAGE}\"\ncommand = {GREET:?}\nnetwork_mode = \"none\"\nvolumes = [\"./content:/content:ro\"]\n\
         [targets.lean]\nimage = \"{IMAGE}\"\ncommand = [\"lean\"]\nnetwork_mode = \"none\"\nmcp.max_output_tokens = 1000000000\n"
    )
}

impl Corner {
    /// `docker run -i` of the test server, with the settings that the targets have; `more` goes before the image.
    fn docker_run(&self, more: &[&str], command: &[&str]) -> Command {
        let (key, value) = self.label();
        let mut line = Command::new("docker");
        line.args(["run", "-i", "--rm", "--init", "--network", "none", "--log-driver", "none", "--label"]);
        line.arg(format!("{key}={value}")).args(more).arg(IMAGE).args(command);
        line
    }

    /// How the greeter's folder is mounted.
    fn content(&self) -> String {
        format!("{}:/content:ro", self.folder.join("content").display())
    }
}

/// The target folder, where `.ci/images` and `.ci/python` put what they make.
fn target(path: &str) -> Result<PathBuf, String> {
    // It holds cargo's own folder for tests and benches.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.parent().map(|target| target.join(path)).ok_or("no target folder")?;
    if path.exists() { Ok(path) } else { Err(format!("{} is missing: `make bench` makes it", path.display())) }
}
