//! HTTP/1.1 byte by byte: a client that sends any path as it is, and a backend
//! that tells what it received.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

mod tls;

pub use tls::Trust;

/// Longest wait for bytes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The head of a request or of an answer, and the body of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line, without its end.
    pub start: String,
    /// Names as they came, in order.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
}

impl Message {
    /// Returns the status of an answer.
    pub fn status(&self) -> Option<u16> {
        self.start.split(' ').nth(1)?.parse().ok()
    }

    /// Returns the values of a header, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    fn read(from: &mut impl BufRead) -> anyhow::Result<Self> {
        let mut message = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            ensure!(from.read_until(b'\n', &mut line)? > 0, "the connection is closed");
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                break;
            }
            match text.split_once(':').filter(|_| !message.start.is_empty()) {
                Some((name, value)) => {
                    message.headers.push((name.to_owned(), value.trim().to_owned()));
                }
                None => text.clone_into(&mut message.start),
            }
        }
        let length = message.values("content-length").first().map_or(Ok(0), |text| text.parse());
        let mut body = vec![0; length.context("a content-length that is no number")?];
        from.read_exact(&mut body)?;
        message.body = String::from_utf8_lossy(&body).into_owned();
        Ok(message)
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A client of one address, on one connection while that lasts.
pub struct Client {
    address: SocketAddr,
    /// Trust and server name, for TLS.
    tls: Option<(Arc<Trust>, String)>,
    connection: Option<BufReader<Box<dyn Stream>>>,
}

impl Client {
    /// Makes a client that speaks cleartext.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, tls: None, connection: None }
    }

    /// Makes a client that speaks TLS and asks for a server name.
    pub fn with_tls(address: SocketAddr, trust: Arc<Trust>, name: &str) -> Self {
        Self { address, tls: Some((trust, name.to_owned())), connection: None }
    }

    /// Sends the head of a request, which says of itself that it has no body,
    /// and reads the answer.
    ///
    /// # Errors
    /// When the connection cannot be made or is closed before the answer ends.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
    ) -> anyhow::Result<Message> {
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in headers {
            request.extend([name.as_str(), ": ", value, "\r\n"]);
        }
        request.push_str("\r\n");
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.get_mut().write_all(request.as_bytes())?;
        connection.get_mut().flush()?;
        let answer = Message::read(&mut connection)?;
        if !answer.values("connection").contains(&"close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    fn connect(&self) -> anyhow::Result<BufReader<Box<dyn Stream>>> {
        let stream = TcpStream::connect(self.address).context("no connection")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(match &self.tls {
            None => Box::new(stream),
            Some((trust, name)) => Box::new(trust.shake_hands(stream, name)?),
        }))
    }
}

/// A backend that answers every request 200, with what it received as body:
/// the head, line by line. Dropping it stops it.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepts: Option<JoinHandle<()>>,
}

impl Echo {
    /// Starts a backend whose answers have these headers.
    ///
    /// # Errors
    /// When no port on loopback can be bound.
    pub fn start(headers: &[(&str, &str)]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        let address = listener.local_addr()?;
        let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let head: Arc<str> = head.into();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let accepts = thread::spawn(move || {
            for stream in listener.incoming().take_while(|_| !stopped.load(Ordering::SeqCst)) {
                let (Ok(stream), head) = (stream, head.clone()) else { continue };
                // Ends when the other side closes.
                thread::spawn(move || answer_all(stream, &head));
            }
        });
        Ok(Self { address, stop, accepts: Some(accepts) })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the head that an answer of a backend tells.
    ///
    /// # Errors
    /// When the answer is not one of a backend.
    pub fn received(answer: &Message) -> anyhow::Result<Message> {
        if answer.status() != Some(200) || !answer.body.contains(" HTTP/1.1\n") {
            bail!("not an echo: {answer:?}");
        }
        Message::read(&mut format!("{}\n", answer.body).as_bytes())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(accepts) = self.accepts.take() {
            let _ = accepts.join();
        }
    }
}

fn answer_all(stream: TcpStream, head: &str) {
    let mut stream = BufReader::new(stream);
    while let Ok(request) = Message::read(&mut stream) {
        let mut body = format!("{}\n", request.start);
        for (name, value) in request.headers.iter().filter(|(name, _)| name != "content-length") {
            body.extend([name.as_str(), ": ", value, "\n"]);
        }
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            break;
        }
    }
}
