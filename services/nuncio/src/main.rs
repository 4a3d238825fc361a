//! The `nuncio` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    nuncio::main()
}
