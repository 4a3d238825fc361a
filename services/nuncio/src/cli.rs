//! The command line: which subcommands there are.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nuncio_process::{Args, HasArgs};

use crate::{
    bootstrap, certgen, check, convert, echo_command, envoy, explain, output, render, run,
};

/// A Kubernetes-native API gateway on Envoy, on one machine.
#[derive(Debug, Parser)]
#[command(name = "nuncio", version, propagate_version = true, args_override_self = true)]
struct Cli {
    #[command(flatten)]
    args: Args,

    #[command(subcommand)]
    command: Command,
}

impl HasArgs for Cli {
    fn args(&self) -> &Args {
        &self.args
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Settings>),
    Check(check::Settings),
    Render(render::Settings),
    Explain(explain::Settings),
    Convert(convert::Settings),
    Bootstrap(bootstrap::Settings),
    Echo(echo_command::Settings),
    Certgen(certgen::Settings),
    /// Become another program that ends with its parent.
    #[command(hide = true)]
    Become {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
}

/// `EX_USAGE` of `sysexits.h`.
const EXIT_USAGE: u8 = 64;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to tell if standard error is closed.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let args = cli.args().clone();
    match cli.command {
        Command::Run(settings) => run::run(&args, *settings),
        Command::Check(settings) => finish(check::run(&settings)),
        Command::Render(settings) => finish(render::run(&settings)),
        Command::Explain(settings) => finish(explain::run(&settings)),
        Command::Convert(settings) => finish(convert::run(&settings)),
        Command::Bootstrap(settings) => finish(bootstrap::run(&settings)),
        Command::Echo(settings) => echo_command::run(&args, settings),
        Command::Certgen(settings) => finish(certgen::run(&settings)),
        Command::Become { program, arguments } => {
            let error = envoy::become_program(&program, &arguments);
            finish(Err(anyhow::Error::new(error).context(program.display().to_string())))
        }
    }
}

/// Ends an offline subcommand.
fn finish(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        output::complaint(format_args!("nuncio: {}", nuncio_process::chain(error.as_ref())));
        ExitCode::FAILURE
    })
}
