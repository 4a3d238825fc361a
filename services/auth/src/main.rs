//! The auth service on its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    nuncio_auth::main(nuncio_auth::Extensions::default())
}
