//! The least HTTP client that a server can be measured with: what it takes of the processor is
//! missing to the server.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept open.
pub(super) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
        })
    }

    /// The body of the answer, which must be a success.
    pub(super) async fn get(&mut self, path: &str, bearer: Option<&str>) -> anyhow::Result<&[u8]> {
        self.request.clear();
        write!(self.request, "GET {path} HTTP/1.1\r\nHost: bench\r\n")?;
        if let Some(bearer) = bearer {
            write!(self.request, "Authorization: Bearer {bearer}\r\n")?;
        }
        self.request.extend_from_slice(b"\r\n");
        self.exchange(path).await
    }

    /// The body of the answer, which must be a success.
    pub(super) async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<&[u8]> {
        let body = body.to_string();
        self.request.clear();
        write!(
            self.request,
            "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        self.exchange(path).await
    }

    async fn exchange(&mut self, path: &str) -> anyhow::Result<&[u8]> {
        let (status, head) = tokio::time::timeout(PATIENCE, self.send_and_receive())
            .await
            .with_context(|| format!("{path} was not answered"))?
            .with_context(|| format!("{path} was not answered with HTTP"))?;
        let body = &self.answer[head..];
        if !(200..300).contains(&status) {
            bail!("{path}: {status} {}", String::from_utf8_lossy(body));
        }
        Ok(body)
    }

    /// The answer's status, and how long its head is.
    async fn send_and_receive(&mut self) -> anyhow::Result<(u16, usize)> {
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if let Some((status, head, length)) = parse(&self.answer)?
                && self.answer.len() >= head + length
            {
                return Ok((status, head));
            }
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
    }
}

/// Status, length of the head and length of the body, once the head is there.
fn parse(answer: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer)? else {
        return Ok(None);
    };
    let status = response.code.context("an answer without a status")?;
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .context("an answer without a length")?;
    Ok(Some((status, head, length)))
}

const PATIENCE: Duration = Duration::from_secs(30);
const MAX_HEADERS: usize = 32;
