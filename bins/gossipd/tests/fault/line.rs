//! A connection of a client that may end at any moment, on the plain WebSocket or in Socket.IO's namespace, there also
//! with Socket.IO's own recovery. Events keep the very bytes of their data.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use gossip_proto::id::RoomId;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    SocketIo,
    /// Socket.IO, asking to be recovered as the stock client does.
    Recovering,
    Plain,
}

/// What a client that asks for it comes back with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovery {
    pid: String,
    offset: Option<String>,
}

pub(crate) enum Heard {
    /// Its name, and its data as it came.
    Event(String, String),
    Ack(u64, Value),
}

/// Every method gives nothing once the connection has ended.
pub(crate) struct Line {
    socket: WebSocketStream<TcpStream>,
    dialect: Dialect,
    /// Of [`Dialect::Recovering`]: for the next connection.
    pub(crate) recovery: Option<Recovery>,
    /// Whether the connection before this one goes on here.
    pub(crate) is_recovered: bool,
}

#[derive(Deserialize)]
struct Frame<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Line {
    /// `resume` goes into the handshake where there is one, or `recovery` where the dialect has that.
    pub(crate) async fn open(
        address: SocketAddr,
        dialect: Dialect,
        token: &str,
        resume: &BTreeMap<RoomId, u64>,
        recovery: Option<&Recovery>,
    ) -> Option<Line> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let path = match dialect {
            Dialect::SocketIo | Dialect::Recovering => "/socket.io/?EIO=4&transport=websocket",
            Dialect::Plain => "/gossip/ws",
        };
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        if dialect == Dialect::Plain {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.ok()?;
        let mut line = Line { socket, dialect, recovery: None, is_recovered: false };
        let auth = match (dialect, recovery) {
            (Dialect::Plain, _) => return Some(line),
            (Dialect::SocketIo, _) => json!({ "token": token, "resume": resume }),
            (Dialect::Recovering, None) => json!({ "token": token, "recover": true }),
            (Dialect::Recovering, Some(Recovery { pid, offset: None })) => {
                json!({ "token": token, "recover": true, "pid": pid })
            }
            (Dialect::Recovering, Some(Recovery { pid, offset: Some(offset) })) => {
                json!({ "token": token, "recover": true, "pid": pid, "offset": offset })
            }
        };
        assert!(line.text().await?.starts_with("0{"));
        line.socket.send(format!("40/gossip,{auth}").into()).await.ok()?;
        let answer = line.text().await?;
        assert!(answer.starts_with(r#"40/gossip,{"sid":""#), "{answer}");
        if dialect == Dialect::Recovering {
            let answer: Value = serde_json::from_str(answer.split_once(',')?.1).unwrap();
            let pid = answer["pid"].as_str().unwrap().to_owned();
            // As the stock client does: the same name again is all that says so.
            line.is_recovered = recovery.is_some_and(|before| before.pid == pid);
            let offset = recovery.filter(|_| line.is_recovered).and_then(|before| before.offset.clone());
            line.recovery = Some(Recovery { pid, offset });
        }
        Some(line)
    }

    pub(crate) async fn say(&mut self, id: u64, event: &str, data: &Value) -> Option<()> {
        let frame = match self.dialect {
            Dialect::SocketIo | Dialect::Recovering => format!(r#"42/gossip,{id}["{event}",{data}]"#),
            Dialect::Plain => format!(r#"{{"id":{id},"event":"{event}","data":{data}}}"#),
        };
        self.socket.send(frame.into()).await.ok()
    }

    /// The next message, for [`read`](Line::read). May be dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        self.socket.next().await?.ok()
    }

    /// What a message means, if that is anything; pings are answered.
    pub(crate) async fn read(&mut self, message: Message) -> Option<Option<Heard>> {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(_) => return None,
            _ => return Some(None),
        };
        match (self.dialect, text.as_str()) {
            (Dialect::Plain, frame) => Some(Some(plain(frame))),
            (_, "2") => self.socket.send("3".into()).await.ok().map(|()| None),
            (_, packet) => {
                let (heard, offset) = socket_io(packet);
                if let (Some(recovery), Some(offset)) = (&mut self.recovery, offset) {
                    recovery.offset = Some(offset);
                }
                Some(Some(heard))
            }
        }
    }

    /// The next thing that means anything.
    pub(crate) async fn hear(&mut self) -> Option<Heard> {
        loop {
            let message = self.next().await?;
            if let Some(heard) = self.read(message).await? {
                return Some(heard);
            }
        }
    }

    async fn text(&mut self) -> Option<String> {
        match self.next().await? {
            Message::Text(text) => Some(text.to_string()),
            // It is to come again.
            Message::Close(_) => None,
            other => panic!("no handshake but {other:?}"),
        }
    }
}

fn plain(frame: &str) -> Heard {
    let Frame { id, event, data } = serde_json::from_str(frame).unwrap_or_else(|error| panic!("{error}: {frame}"));
    match (id, event) {
        (Some(id), None) => Heard::Ack(id, serde_json::from_str(data.get()).unwrap()),
        (None, Some(event)) => Heard::Event(event.into_owned(), data.get().to_owned()),
        _ => panic!("neither an ack nor an event: {frame}"),
    }
}

/// What a packet means, and the offset that came with it.
fn socket_io(packet: &str) -> (Heard, Option<String>) {
    let Some((kind, rest)) = packet.split_once("/gossip,") else { panic!("unexpected packet {packet}") };
    let (id, args) = rest.split_at(rest.find('[').unwrap());
    let args: Vec<&RawValue> = serde_json::from_str(args).unwrap_or_else(|error| panic!("{error}: {packet}"));
    match (kind, args.as_slice()) {
        ("42", [name, data, offset @ ..]) if offset.len() < 2 => {
            let event = Heard::Event(serde_json::from_str(name.get()).unwrap(), data.get().to_owned());
            (event, offset.first().map(|offset| serde_json::from_str(offset.get()).unwrap()))
        }
        ("43", [data]) => (Heard::Ack(id.parse().unwrap(), serde_json::from_str(data.get()).unwrap()), None),
        _ => panic!("unexpected packet {packet}"),
    }
}
