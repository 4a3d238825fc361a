//! A child process whose lines can be waited for.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::wait::{PATIENCE, eventually};

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Process {
    /// Starts a program.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(program: &Path, configure: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        configure(&mut command);
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stdout = collect(child.stdout.take().expect("it is piped"));
        let stderr = collect(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr }
    }

    /// Waits for a line of standard output that begins with `prefix`; returns
    /// the rest of it.
    ///
    /// # Panics
    ///
    /// When the program ends first or the line does not come.
    pub async fn line(&mut self, prefix: &str) -> String {
        let what = format!("the line `{prefix}…` was printed");
        eventually(&what, async || {
            let found = lock(&self.stdout)
                .iter()
                .find_map(|line| Some(line.strip_prefix(prefix)?.trim().to_owned()));
            if found.is_none()
                && self.is_read()
                && let Ok(Some(status)) = self.child.try_wait()
            {
                panic!("ended with {status} before `{prefix}…`\n{}", self.said());
            }
            found
        })
        .await
    }

    /// Whether nothing more can come: the readers end when the pipes close, at
    /// the latest with the process.
    fn is_read(&self) -> bool {
        Arc::strong_count(&self.stdout) + Arc::strong_count(&self.stderr) == 2
    }

    /// Returns everything said so far.
    pub fn said(&self) -> String {
        let (out, err) = (lock(&self.stdout).join("\n"), lock(&self.stderr).join("\n"));
        format!("--- standard output\n{out}\n--- standard error\n{err}\n")
    }

    /// Returns the lines of standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        lock(&self.stdout).clone()
    }

    /// Returns the lines of standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        lock(&self.stderr).clone()
    }

    /// Returns the process id.
    ///
    /// # Panics
    ///
    /// When the program has ended and that was seen.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Says whether the program still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by its name, such as `TERM`.
    ///
    /// # Panics
    ///
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} was not sent to {id}");
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub async fn ended(mut self) -> Ended {
        let wait = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let Ok(Ok(status)) = wait else { panic!("did not end\n{}", self.said()) };
        let text = |lines: &Lines| lock(lines).join("\n");
        eventually("both pipes were read", async || self.is_read().then_some(())).await;
        Ended { status, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

fn collect(pipe: impl AsyncRead + Unpin + Send + 'static) -> Lines {
    let lines = Lines::default();
    let sink = Arc::clone(&lines);
    tokio::spawn(async move {
        let mut reader = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            lock(&sink).push(line);
        }
    });
    lines
}

fn lock(lines: &Lines) -> std::sync::MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
