//! Tells the program which compiler built it.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = std::env::var_os("RUSTC").expect("cargo names the compiler");
    let version = Command::new(compiler).arg("--version").output().expect("the compiler tells its version");
    let version = String::from_utf8(version.stdout).expect("a version is text");
    println!("cargo::rustc-env=VERSUS_RUSTC={}", version.trim());
}
