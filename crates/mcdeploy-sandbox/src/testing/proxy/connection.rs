//! One client connection and its connection to the server.

use std::{
    io,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Exchange, Fault, Link, Shared, Way,
    framing::{Body, MAX_HEAD, RequestHead, answer_head, head_end, request_head},
    lock,
};

const BUFFER: usize = 64 * 1024;

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the listener's task.
    let connections = TaskTracker::new();
    let end = CancellationToken::new();
    let _end = end.clone().drop_guard();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let (shared, end) = (shared.clone(), end.clone());
        connections.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                outcome = serve(client, &shared) => {
                    if let Err(error) = outcome {
                        tracing::debug!("a connection ended: {error}");
                    }
                }
            }
        });
    }
}

/// A connection with what was read of it ahead.
struct Side {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    ahead: Vec<u8>,
}

impl Side {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (from, to) = stream.into_split();
        Ok(Self {
            from,
            to,
            ahead: vec![],
        })
    }
}

/// What a pump does to the bytes on their way.
#[derive(Clone, Copy, Debug)]
enum Harm {
    None,
    Reset { after: u64 },
    Stall { after: u64 },
    Flip { at: u64 },
}

async fn serve(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut link = shared.link.subscribe();
    let mut client = Side::new(client)?;
    let outcome = tokio::select! {
        biased;
        () = went_down(&mut link) => Err(io::ErrorKind::ConnectionReset.into()),
        outcome = exchange_all(&mut client, shared) => outcome,
    };
    if outcome.is_err() {
        // A reset instead of an orderly end: the other side must not take a short body
        // for a whole one.
        client.to.as_ref().set_zero_linger()?;
    }
    outcome
}

async fn went_down(link: &mut watch::Receiver<Link>) {
    // The sender lives as long as the proxy.
    let _ = link.wait_for(|link| *link == Link::Down).await;
}

async fn while_silent(shared: &Shared) {
    let mut link = shared.link.subscribe();
    let _ = link.wait_for(|link| *link != Link::Silent).await;
}

async fn exchange_all(client: &mut Side, shared: &Shared) -> io::Result<()> {
    let mut server = None;
    while let Some(head) = read_head(&mut client.from, &mut client.ahead).await? {
        while_silent(shared).await;
        let parsed = request_head(&head).ok_or(io::ErrorKind::InvalidData)?;
        let exchange = shared.begin(parsed.request.clone());
        let fault = shared.fault(&parsed.request);
        let latency = shared.latency_us.load(Ordering::Relaxed);
        let delay = match fault {
            Some(Fault::Delay(delay)) => delay,
            _ => Duration::ZERO,
        };
        tokio::time::sleep(Duration::from_micros(latency) + delay).await;
        let outcome = match fault {
            Some(Fault::Answer {
                status,
                retry_after,
            }) => refuse(client, parsed, status, retry_after, &exchange, shared).await?,
            other => {
                let server = connected(&mut server, shared).await?;
                pass(client, server, &head, parsed, other, &exchange, shared).await?
            }
        };
        if !outcome {
            return Ok(());
        }
    }
    Ok(())
}

async fn connected<'s>(server: &'s mut Option<Side>, shared: &Shared) -> io::Result<&'s mut Side> {
    if server.is_none() {
        *server = Some(Side::new(TcpStream::connect(shared.target).await?)?);
    }
    server
        .as_mut()
        .ok_or_else(|| io::ErrorKind::NotConnected.into())
}

/// The next head; none when the other side closed between two messages.
async fn read_head(from: &mut OwnedReadHalf, ahead: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = head_end(ahead) {
            let rest = ahead.split_off(end);
            return Ok(Some(std::mem::replace(ahead, rest)));
        }
        if ahead.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if from.read_buf(ahead).await? == 0 {
            return if ahead.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

/// Answers in the server's place. Whether the connection can go on.
async fn refuse(
    client: &mut Side,
    head: RequestHead,
    status: u16,
    retry_after: Option<u64>,
    exchange: &Mutex<Exchange>,
    shared: &Shared,
) -> io::Result<bool> {
    let RequestHead {
        mut body,
        expects_continue,
        ..
    } = head;
    while !expects_continue && !body.is_done() {
        if client.ahead.is_empty() && client.from.read_buf(&mut client.ahead).await? == 0 {
            return Ok(false);
        }
        let taken = body.take(&client.ahead);
        shared.count(Way::Up, taken);
        lock(exchange).sent_bytes += taken as u64;
        client.ahead.drain(..taken);
    }
    let retry = retry_after.map_or_else(String::new, |s| format!("retry-after: {s}\r\n"));
    let close = if expects_continue {
        "connection: close\r\n"
    } else {
        ""
    };
    let answer = format!("HTTP/1.1 {status} Injected\r\n{retry}{close}content-length: 0\r\n\r\n");
    lock(exchange).status = status;
    client.to.write_all(answer.as_bytes()).await?;
    Ok(!expects_continue)
}

/// Passes one exchange on. Whether the connection can go on.
async fn pass(
    client: &mut Side,
    server: &mut Side,
    head: &[u8],
    parsed: RequestHead,
    fault: Option<Fault>,
    exchange: &Mutex<Exchange>,
    shared: &Shared,
) -> io::Result<bool> {
    let (up, down) = harms(fault);
    let RequestHead {
        request, mut body, ..
    } = parsed;
    server.to.write_all(head).await?;
    let request_pump = async {
        let from = (&mut client.from, &mut client.ahead);
        let to = &mut server.to;
        pump(from, to, &mut body, (Way::Up, up), exchange, shared).await
    };
    let answer_pump = answers(
        (&mut server.from, &mut server.ahead),
        &mut client.to,
        &request.method,
        (down, fault == Some(Fault::LoseAnswer)),
        exchange,
        shared,
    );
    tokio::pin!(request_pump, answer_pump);
    // An answer may come before the request is over, and ends the exchange.
    tokio::select! {
        biased;
        sent = &mut request_pump => match sent {
            Ok(()) => answer_pump.await,
            // The server closed its side early: it may have said why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                answer_pump.await.map(|_| false)
            }
            Err(error) => Err(error),
        },
        answered = &mut answer_pump => answered.map(|_| false),
    }
}

fn harms(fault: Option<Fault>) -> (Harm, Harm) {
    match fault {
        Some(Fault::ResetRequest { after_bytes }) => {
            (Harm::Reset { after: after_bytes }, Harm::None)
        }
        Some(Fault::StallRequest { after_bytes }) => {
            (Harm::Stall { after: after_bytes }, Harm::None)
        }
        Some(Fault::FlipRequest { at_byte }) => (Harm::Flip { at: at_byte }, Harm::None),
        Some(Fault::ResetAnswer { after_bytes }) => {
            (Harm::None, Harm::Reset { after: after_bytes })
        }
        Some(Fault::StallAnswer { after_bytes }) => {
            (Harm::None, Harm::Stall { after: after_bytes })
        }
        Some(Fault::FlipAnswer { at_byte }) => (Harm::None, Harm::Flip { at: at_byte }),
        Some(Fault::LoseAnswer | Fault::Delay(_) | Fault::Answer { .. }) | None => {
            (Harm::None, Harm::None)
        }
    }
}

/// Passes answers on until the final one is over. Whether the connection can go on.
async fn answers(
    (from, ahead): (&mut OwnedReadHalf, &mut Vec<u8>),
    to: &mut OwnedWriteHalf,
    method: &str,
    (harm, is_lost): (Harm, bool),
    exchange: &Mutex<Exchange>,
    shared: &Shared,
) -> io::Result<bool> {
    loop {
        let head = read_head(from, ahead).await?;
        let head = head.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (code, mut body) = answer_head(&head, method).ok_or(io::ErrorKind::InvalidData)?;
        while_silent(shared).await;
        if is_lost && code >= 200 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if code < 200 {
            to.write_all(&head).await?;
            continue;
        }
        lock(exchange).status = code;
        to.write_all(&head).await?;
        let way = (Way::Down, harm);
        pump((from, ahead), to, &mut body, way, exchange, shared).await?;
        return Ok(body != Body::UntilClose);
    }
}

/// Passes a body on.
async fn pump(
    (from, ahead): (&mut OwnedReadHalf, &mut Vec<u8>),
    to: &mut OwnedWriteHalf,
    body: &mut Body,
    (way, harm): (Way, Harm),
    exchange: &Mutex<Exchange>,
    shared: &Shared,
) -> io::Result<()> {
    let mut passed = 0;
    ahead.reserve(BUFFER);
    while !body.is_done() {
        if ahead.is_empty() && from.read_buf(ahead).await? == 0 {
            return match body {
                Body::UntilClose => Ok(()),
                Body::Length(_) | Body::Chunked(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        while_silent(shared).await;
        let taken = body.take(ahead);
        let range = passed..passed + taken as u64;
        let mut whole = taken;
        match harm {
            Harm::Reset { after } | Harm::Stall { after } if range.end > after => {
                whole = usize::try_from(after - range.start).unwrap_or_default();
            }
            Harm::Flip { at } if range.contains(&at) => {
                ahead[usize::try_from(at - range.start).unwrap_or_default()] ^= 0x20;
            }
            Harm::None | Harm::Reset { .. } | Harm::Stall { .. } | Harm::Flip { .. } => {}
        }
        shared.pace(way, whole).await;
        // Counted first: who has got the last byte may look at the counts at once.
        passed += whole as u64;
        shared.count(way, whole);
        lock(exchange).add(way, whole);
        to.write_all(&ahead[..whole]).await?;
        if whole < taken {
            if matches!(harm, Harm::Stall { .. }) {
                until_closed(from).await;
            }
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        ahead.drain(..taken);
    }
    Ok(())
}

/// Takes what comes and passes nothing on, until the other side gives up.
async fn until_closed(from: &mut OwnedReadHalf) {
    let mut nowhere = vec![0; BUFFER];
    while from.read(&mut nowhere).await.is_ok_and(|read| read > 0) {}
}
