//! Requests as bytes, for what no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for the end of an answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends bytes over a connection of its own and returns what comes back until
/// the peer closes. The request should ask for that: `connection: close`.
///
/// # Panics
///
/// When there is no connection, or it stays open.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    stream.write_all(bytes.as_ref()).await.expect("the peer reads");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer));
    // A reset is an answer too: what came before it counts.
    let _ = read.await.expect("the peer closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns a GET of HTTP/1.1 that asks for the end of the connection; `more`
/// are header lines, each with its `\r\n`.
pub fn head(host: &str, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n")
}
