//! Tells the linker where hz3 is: hz3-config knows.  HZ3_CONFIG names another one; HZ3_STATIC=1 links libhz3.a.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=HZ3_CONFIG");
    println!("cargo:rerun-if-env-changed=HZ3_STATIC");
    let config = env::var("HZ3_CONFIG").unwrap_or_else(|_| "hz3-config".to_string());
    let mut words = config.split_whitespace();
    let program = words.next().expect("HZ3_CONFIG is empty");
    let output = Command::new(program)
        .args(words)
        .arg("--libdir")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    assert!(output.status.success(), "{config} --libdir failed");
    let libdir = String::from_utf8(output.stdout).expect("a path in UTF-8");
    let kind = match env::var("HZ3_STATIC") {
        Ok(value) if value == "1" => "static",
        _ => "dylib",
    };
    println!("cargo:rustc-link-search=native={}", libdir.trim_end());
    println!("cargo:rustc-link-lib={kind}=hz3");
}
