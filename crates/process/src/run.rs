//! The whole life of a process.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::{Context, Drain, HasArgs, chain, telemetry};

/// `EX_USAGE` of `sysexits.h`: the settings cannot be used.
const EXIT_SETTINGS: u8 = 64;

/// Settings that can be read, each by itself, and not be used: `start` returns
/// it to end the process as a wrong flag would. The text says what to set.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// Reads settings from the command line and the environment, starts a service
/// and runs it until SIGTERM or SIGINT. A second signal ends the drain at once.
///
/// `start` returns what must live as long as the process.
pub fn run<S, B, F>(name: &'static str, start: F) -> ExitCode
where
    S: Parser + HasArgs,
    F: AsyncFnOnce(S, Context) -> anyhow::Result<B>,
{
    match S::try_parse() {
        Ok(settings) => {
            let args = settings.args().clone();
            block_on(name, &args, async |context| start(settings, context).await)
        }
        Err(error) => {
            // Nothing is left to tell if standard error is closed.
            let _best_effort = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_SETTINGS),
            }
        }
    }
}

/// Runs a service whose settings are known already; see [`run`].
pub fn block_on<B, F>(name: &'static str, args: &crate::Args, start: F) -> ExitCode
where
    F: AsyncFnOnce(Context) -> anyhow::Result<B>,
{
    if let Err(error) = telemetry::init(args) {
        return tell(name, EXIT_SETTINGS, &chain(&error));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(name, 1, &format!("cannot start the runtime: {error}")),
    };
    let outcome = runtime.block_on(live(name, args, start));
    // Blocking work that is still running must not hold the exit.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = if error.is::<Unusable>() { EXIT_SETTINGS } else { 1 };
            tell(name, code, &chain(error.as_ref()))
        }
    }
}

async fn live<B, F>(name: &'static str, args: &crate::Args, start: F) -> anyhow::Result<()>
where
    F: AsyncFnOnce(Context) -> anyhow::Result<B>,
{
    let context = Context::new(name);
    watch_signals(context.drain.clone())?;
    let started = tokio::select! {
        started = start(context.clone()) => Some(started),
        () = context.drain.stopping() => None,
    };
    let outcome = match started {
        Some(Err(error)) => {
            context.drain.start();
            Err(error)
        }
        Some(Ok(bound)) => {
            context.drain.stopping().await;
            tracing::info!(service = name, "stopping");
            Ok(Some(bound))
        }
        None => Ok(None),
    };
    let stopped = context.tasks.until_stopped(args.grace).await;
    outcome?;
    stopped?;
    Ok(())
}

fn watch_signals(drain: Drain) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Owned by the runtime: it ends with the process and has nothing to lose.
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if drain.is_stopping() {
                drain.force();
            } else {
                drain.start();
            }
        }
    });
    Ok(())
}

#[allow(clippy::print_stderr, reason = "the last word of a process, when logs may not exist")]
fn tell(name: &str, code: u8, message: &str) -> ExitCode {
    eprintln!("{name}: {message}");
    ExitCode::from(code)
}
