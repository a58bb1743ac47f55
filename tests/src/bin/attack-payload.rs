//! What an attack wants to run: the first thing it does is to leave a file with
//! its arguments behind, so that nobody can say it did not happen.
//!
//! `attack-payload WITNESS [ARGUMENT...]`
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program that is only ever run by tests"
)]

use std::{env, fs::File, io::Write as _, os::unix::ffi::OsStrExt as _, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let witness = arguments.next().expect("name the witness");
    let mut file = File::create(witness).expect("the witness can be written");
    for argument in arguments {
        for part in [argument.as_bytes(), b"\n"] {
            file.write_all(part).expect("the witness can be written");
        }
    }
    println!("payload ran");
    ExitCode::from(42)
}
