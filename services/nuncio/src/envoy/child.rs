//! One child process that never outlives us.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

/// A running program, in a process group of its own so that a Ctrl-C meant for
/// us leaves it time to drain.
///
/// Dropping it kills it. Its standard output is copied to ours line by line.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// Starts a program.
    ///
    /// A thread of its own starts it and waits for it: on Linux the kernel
    /// ends a child that asked for it (see [`become_program`]) with the thread
    /// that started it, and a thread of the runtime may end at any time.
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub async fn spawn(mut command: Command) -> io::Result<Self> {
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
        let (started, start) = oneshot::channel();
        let (exited, exit) = watch::channel(None);
        thread::Builder::new().name("child".into()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            // Nobody listens any more: the child is killed right below.
            let orphan = started.send(Ok(child.id())).is_err();
            if orphan {
                let _ = child.kill();
            }
            if let Some(output) = child.stdout.take() {
                copy_lines(output);
            }
            let status = child.wait().unwrap_or_default();
            exited.send_replace(Some(status));
        })?;
        let id = start.await.map_err(|_| io::Error::other("the starting thread died"))??;
        let id = i32::try_from(id).map_err(io::Error::other)?;
        Ok(Self { pid: Pid::from_raw(id), exit })
    }

    /// Returns the process id.
    pub const fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits for the end; may be called again after it.
    pub async fn wait(&mut self) -> ExitStatus {
        let status = self.exit.wait_for(Option::is_some).await;
        // The waiting thread sends before it ends, whatever happens.
        status.ok().and_then(|status| *status).unwrap_or_default()
    }

    /// Asks the program to end.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    fn signal(&self, signal: Signal) {
        if self.exit.borrow().is_none() {
            // It may have ended this moment; then there is nothing to signal.
            let _ = kill(self.pid, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Copies whole lines to standard output, several with one write when they
/// come fast, until the other end closes.
fn copy_lines(output: impl Read) {
    let mut reader = BufReader::with_capacity(64 << 10, output);
    let mut partial = Vec::new();
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) if !chunk.is_empty() => chunk,
            _ => break,
        };
        let (whole, rest) = match chunk.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => chunk.split_at(end + 1),
            None => (&[][..], chunk),
        };
        if !whole.is_empty() {
            let mut stdout = io::stdout().lock();
            // A closed standard output must not stop the program by a full pipe.
            let _ = stdout.write_all(&partial).and_then(|()| stdout.write_all(whole));
            partial.clear();
        }
        partial.extend_from_slice(rest);
        let taken = chunk.len();
        reader.consume(taken);
    }
    let _ = io::stdout().lock().write_all(&partial);
}

/// Replaces this process by a program that the kernel ends when its parent
/// dies, however the parent dies. Returns only on failure.
///
/// On systems other than Linux the program outlives a parent that was killed
/// without warning.
pub fn become_program(program: &Path, arguments: &[std::ffi::OsString]) -> io::Error {
    #[cfg(target_os = "linux")]
    {
        let parent = nix::unistd::getppid();
        if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM) {
            return error.into();
        }
        // The parent may have died before the kernel knew of our wish.
        if nix::unistd::getppid() != parent {
            return io::Error::other("the parent is gone");
        }
    }
    Command::new(program).args(arguments).exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_program_is_told_with_its_status() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 3"]);
        let mut child = Child::spawn(command).await.unwrap();
        assert_eq!(child.wait().await.code(), Some(3));
        assert_eq!(child.wait().await.code(), Some(3));
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_is_an_error() {
        let error = Child::spawn(Command::new("/nowhere/at-all")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_dropped_child_is_killed() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let child = Child::spawn(command).await.unwrap();
        let mut exit = child.exit.clone();
        drop(child);
        let status = exit.wait_for(Option::is_some).await.unwrap().unwrap();
        assert!(!status.success());
    }
}
