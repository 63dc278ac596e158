//! From a program's name to who knows its arguments.

use std::path::Path;

use super::{
    compiled, node,
    options::{Options, Style},
    program, python,
    scene::{Roots, Scene},
    shell, wrapper,
};
use crate::detect::language;

/// What a command's server is made of.
pub(super) fn command(scene: &Scene<'_>, words: &[String]) -> Roots {
    let Some((program, arguments)) = words.split_first() else { return Err("there is no command".to_owned()) };
    let Some(scene) = scene.deeper() else { return Err("its scripts call each other in a circle".to_owned()) };
    known(&scene, program, arguments).unwrap_or_else(|| program::run(&scene, program, arguments))
}

/// The same for programs that are known by name; none for others.
pub(super) fn known(scene: &Scene<'_>, program: &str, arguments: &[String]) -> Option<Roots> {
    let name = Path::new(program).file_name()?.to_str()?;
    let name = name.strip_suffix(".exe").unwrap_or(name);
    if let Some((scene, words)) = wrapper::inner(scene, name, arguments) {
        return Some(command(&scene, &words));
    }
    // `python3.12`, `ruby3.2`, `nodejs20`
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    Some(match name {
        "python" | "pythonw" | "pypy" | "py" => python::run(scene, arguments),
        "uv" => python::uv(scene, arguments),
        "uvx" => python::uvx(scene, arguments),
        "poetry" | "pdm" | "pipenv" | "hatch" | "rye" | "pixi" => python::project_runner(scene, arguments),
        "node" | "nodejs" => node::node(scene, arguments),
        "tsx" | "ts-node" | "ts-node-esm" | "vite-node" | "esno" | "jiti" | "babel-node" => {
            node::compiler(scene, arguments)
        }
        "deno" => node::deno(scene, arguments),
        "bun" => node::bun(scene, arguments),
        "npm" | "pnpm" | "yarn" => node::package_manager(scene, arguments),
        "npx" | "bunx" | "pnpx" => node::fetched(scene, arguments),
        "cargo" => compiled::cargo(scene, arguments),
        "go" => compiled::go(scene, arguments),
        "java" => compiled::java(scene, arguments),
        "mvn" | "mvnw" | "gradle" | "gradlew" | "sbt" => compiled::project(scene, name, &language::JAVA),
        "swift" => compiled::project(scene, name, &language::SWIFT),
        "zig" => compiled::project(scene, name, &language::ZIG),
        "mix" | "iex" => compiled::project(scene, name, &language::ELIXIR),
        "dart" => compiled::project(scene, name, &language::DART),
        "ruby" => script(scene, arguments, &["-C", "-E", "-F", "-I", "-r", "-e"], &language::RUBY),
        "php" => script(scene, arguments, &["-c", "-d", "-r", "-B", "-R", "-F", "-E", "-S", "-t"], &language::PHP),
        "perl" => script(scene, arguments, &["-e", "-E"], &language::PERL),
        "lua" | "luajit" => script(scene, arguments, &["-e", "-l"], &language::LUA),
        "sh" | "bash" | "dash" | "zsh" | "ksh" | "fish" => shell::run(scene, arguments),
        _ => return None,
    })
}

/// An interpreter that is given a script.
fn script(scene: &Scene<'_>, arguments: &[String], with_value: &[&str], language: &language::Language) -> Roots {
    let options = Options::read(arguments, Style::Letters, with_value, &[]);
    match options.rest.first().filter(|script| *script != "-") {
        Some(script) => Ok(scene.script(&scene.at(script), language)),
        None => Err("the interpreter is given no script".to_owned()),
    }
}
