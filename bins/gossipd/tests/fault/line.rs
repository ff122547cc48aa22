//! A connection of a client that may end at any moment, on the plain WebSocket or in Socket.IO's namespace. Events keep
//! the very bytes of their data.

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
    Plain,
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
    /// `resume` goes into the handshake where there is one.
    pub(crate) async fn open(
        address: SocketAddr,
        dialect: Dialect,
        token: &str,
        resume: &BTreeMap<RoomId, u64>,
    ) -> Option<Line> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let path = match dialect {
            Dialect::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            Dialect::Plain => "/gossip/ws",
        };
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        if dialect == Dialect::Plain {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.ok()?;
        let mut line = Line { socket, dialect };
        if dialect == Dialect::SocketIo {
            assert!(line.text().await?.starts_with("0{"));
            let auth = json!({ "token": token, "resume": resume });
            line.socket.send(format!("40/gossip,{auth}").into()).await.ok()?;
            let answer = line.text().await?;
            assert!(answer.starts_with(r#"40/gossip,{"sid":""#), "{answer}");
        }
        Some(line)
    }

    pub(crate) async fn say(&mut self, id: u64, event: &str, data: &Value) -> Option<()> {
        let frame = match self.dialect {
            Dialect::SocketIo => format!(r#"42/gossip,{id}["{event}",{data}]"#),
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
            (Dialect::SocketIo, "2") => self.socket.send("3".into()).await.ok().map(|()| None),
            (Dialect::SocketIo, packet) => Some(Some(socket_io(packet))),
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

fn socket_io(packet: &str) -> Heard {
    let Some((kind, rest)) = packet.split_once("/gossip,") else { panic!("unexpected packet {packet}") };
    let (id, args) = rest.split_at(rest.find('[').unwrap());
    let args: Vec<&RawValue> = serde_json::from_str(args).unwrap_or_else(|error| panic!("{error}: {packet}"));
    match (kind, args.as_slice()) {
        ("42", [name, data]) => Heard::Event(serde_json::from_str(name.get()).unwrap(), data.get().to_owned()),
        ("43", [data]) => Heard::Ack(id.parse().unwrap(), serde_json::from_str(data.get()).unwrap()),
        _ => panic!("unexpected packet {packet}"),
    }
}
