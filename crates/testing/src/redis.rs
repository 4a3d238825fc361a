//! A private Redis: the real server on a free port, ended with its owner.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a server may take to answer its first PING.
const START: Duration = Duration::from_secs(10);

/// A private `redis-server` without persistence, on loopback and on a unix
/// socket. Dropping it ends the server.
#[derive(Debug)]
pub struct Redis {
    folder: tempfile::TempDir,
    port: u16,
    server: Option<Child>,
}

impl Redis {
    /// Starts a server and waits until it answers. The program is
    /// `redis-server` on the path, or what `NUNCIO_REDIS_SERVER` names.
    ///
    /// # Errors
    /// When the program is missing or does not answer in time.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no folder for redis-server")?;
        let mut redis = Self { folder, port: 0, server: None };
        // Another process may take the port between choice and start.
        let mut last = None;
        for _attempt in 0..5 {
            redis.port = free_port()?;
            match redis.restart() {
                Ok(()) => return Ok(redis),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("at least one attempt was made"))
    }

    /// Returns `redis://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Returns `redis+unix:///<path>`, the same server on its unix socket.
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Returns the TCP address.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Returns the server's process id, `None` while it is stopped.
    pub fn id(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Starts the server again on the same port, empty.
    ///
    /// # Errors
    /// When it does not answer in time, for example because its port was taken.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop();
        let program = std::env::var("NUNCIO_REDIS_SERVER").unwrap_or("redis-server".into());
        let child = Command::new(&program)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--unixsocket".into(), self.socket().display().to_string()])
            .args(["--dir".into(), self.folder.path().display().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{program}`: is it installed?"))?;
        self.server = Some(child);
        self.wait()
    }

    /// Ends the server; its port stays reserved for [`Redis::restart`] only by
    /// luck, as everywhere.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Both fail only when the server has ended already.
            let _ended = server.kill();
            let _reaped = server.wait();
        }
    }

    /// Freezes the server: connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen server continue.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Sends one command as words and returns the first line of the answer,
    /// with its RESP type character: `+PONG`, `:3`, `$-1`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn command(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address(), Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream.take(1 << 16)).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn signal(&self, signal: Signal) {
        if let Some(server) = &self.server {
            let id = i32::try_from(server.id()).expect("process ids fit in pid_t");
            // Fails only when the server has ended already.
            let _ended = kill(Pid::from_raw(id), signal);
        }
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if self.command(&["PING"]).is_ok_and(|answer| answer == "+PONG") {
                // A stranger's server on our port must not count as ours.
                if self.server.as_mut().is_some_and(|s| matches!(s.try_wait(), Ok(None))) {
                    return Ok(());
                }
            }
            if let Some(status) = self.server.as_mut().and_then(|s| s.try_wait().ok().flatten()) {
                bail!("redis-server ended at once with {status}");
            }
            if Instant::now() > deadline {
                bail!("redis-server did not answer within {START:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.resume();
        self.stop();
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_counts_forgets_on_restart_and_ends_with_its_owner() {
        let mut redis = Redis::start().unwrap();
        assert_eq!(redis.command(&["INCR", "a"]).unwrap(), ":1");
        redis.restart().unwrap();
        assert_eq!(redis.command(&["INCR", "a"]).unwrap(), ":1");
        let address = redis.address();
        drop(redis);
        assert!(TcpStream::connect(address).is_err());
    }
}
