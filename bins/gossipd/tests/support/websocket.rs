//! A client on a WebSocket, which speaks either Socket.IO by hand or the plain protocol. It does nothing by itself but
//! answer pings while something is waited for.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::within;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    SocketIo,
    Plain,
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Got {
    Event(String, Value),
    Ack(u64, Value),
    /// A Socket.IO DISCONNECT packet.
    Disconnected,
    /// The end, with the code of the close frame if there was one.
    Closed(Option<u16>),
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    dialect: Dialect,
    events: VecDeque<(String, Value)>,
    acks: HashMap<u64, Value>,
    next_ack: u64,
}

/// Opens a WebSocket. `bearer` goes into the `Authorization` header.
pub(crate) async fn open(address: SocketAddr, path: &str, bearer: Option<&str>) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    if let Some(token) = bearer {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (socket, _) = within("websocket", tokio_tungstenite::client_async(request, stream)).await.unwrap();
    socket
}

impl Client {
    /// In the namespace; without a token, not authenticated.
    pub(crate) async fn socket_io(address: SocketAddr, token: Option<&str>) -> Client {
        Client::with_auth(address, token.map_or_else(|| json!({}), |token| json!({ "token": token }))).await
    }

    /// In the namespace, going on in these rooms.
    pub(crate) async fn resuming(address: SocketAddr, token: &str, resume: &Value) -> Client {
        Client::with_auth(address, json!({ "token": token, "resume": resume })).await
    }

    async fn with_auth(address: SocketAddr, auth: Value) -> Client {
        let socket = open(address, "/socket.io/?EIO=4&transport=websocket", None).await;
        let mut client = Client::new(socket, Dialect::SocketIo);
        assert!(client.text().await.starts_with("0{"));
        client.write(format!("40/gossip,{auth}")).await;
        let answer = client.text().await;
        assert!(answer.starts_with(r#"40/gossip,{"sid":""#), "{answer}");
        client
    }

    pub(crate) async fn plain(address: SocketAddr, token: Option<&str>) -> Client {
        Client::new(open(address, "/gossip/ws", token).await, Dialect::Plain)
    }

    fn new(socket: WebSocketStream<TcpStream>, dialect: Dialect) -> Client {
        Client { socket, dialect, events: VecDeque::new(), acks: HashMap::new(), next_ack: 0 }
    }

    async fn text(&mut self) -> String {
        match within("handshake", self.socket.next()).await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("no handshake but {other:?}"),
        }
    }

    pub(crate) async fn write(&mut self, frame: impl Into<Message>) {
        self.socket.send(frame.into()).await.unwrap();
    }

    /// Emits without waiting, and says under which id the ack will come. `data` is JSON.
    pub(crate) async fn emit(&mut self, event: &str, data: &str) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        let frame = self.frame(event, data, Some(id));
        self.write(frame).await;
        id
    }

    /// Emits without an ack callback.
    pub(crate) async fn shout(&mut self, event: &str, data: &str) {
        let frame = self.frame(event, data, None);
        self.write(frame).await;
    }

    fn frame(&self, event: &str, data: &str, id: Option<u64>) -> String {
        let name = Value::from(event);
        match (self.dialect, id) {
            (Dialect::SocketIo, _) => {
                format!("42/gossip,{}[{name},{data}]", id.map_or(String::new(), |id| id.to_string()))
            }
            (Dialect::Plain, Some(id)) => format!(r#"{{"id":{id},"event":{name},"data":{data}}}"#),
            (Dialect::Plain, None) => format!(r#"{{"event":{name},"data":{data}}}"#),
        }
    }

    /// Emits and waits for the ack; events that come meanwhile are kept for [`event`](Client::event).
    pub(crate) async fn ask(&mut self, event: &str, data: &str) -> Value {
        let id = self.emit(event, data).await;
        self.ack(id).await
    }

    /// As [`ask`](Client::ask), for what must succeed.
    pub(crate) async fn call(&mut self, event: &str, data: Value) -> Value {
        let ack = self.ask(event, &data.to_string()).await;
        assert_ne!(ack["status"], "error", "{event}: {ack}");
        ack
    }

    /// The ack with this id, each once.
    pub(crate) async fn ack(&mut self, id: u64) -> Value {
        loop {
            if let Some(ack) = self.acks.remove(&id) {
                return ack;
            }
            match self.receive().await {
                Got::Event(name, data) => self.events.push_back((name, data)),
                Got::Ack(id, data) => assert_eq!(self.acks.insert(id, data), None, "ack {id} came twice"),
                end => panic!("the connection ended before ack {id}: {end:?}"),
            }
        }
    }

    /// The next event, or the end.
    pub(crate) async fn next(&mut self) -> Got {
        match self.events.pop_front() {
            Some((name, data)) => Got::Event(name, data),
            None => self.receive().await,
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        match self.next().await {
            Got::Event(name, data) => (name, data),
            other => panic!("no event but {other:?}"),
        }
    }

    /// The next event, which must be a `gossip_update`.
    pub(crate) async fn update(&mut self) -> Value {
        let (name, data) = self.event().await;
        assert_eq!(name, "gossip_update", "{data}");
        data
    }

    /// The events that came while something else was waited for.
    pub(crate) fn take_events(&mut self) -> Vec<(String, Value)> {
        self.events.drain(..).collect()
    }

    async fn receive(&mut self) -> Got {
        loop {
            let frame = match within("frame", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(close))) => return Got::Closed(close.map(|close| close.code.into())),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Got::Closed(None),
            };
            if self.dialect == Dialect::Plain {
                return plain(&frame);
            }
            match frame.as_str() {
                // A server that has closed no longer takes it.
                "2" => drop(self.socket.send("3".into()).await),
                "41/gossip," => return Got::Disconnected,
                packet => return socket_io(packet),
            }
        }
    }
}

fn plain(frame: &str) -> Got {
    let mut frame: Value = serde_json::from_str(frame).unwrap();
    let data = frame["data"].take();
    match frame["id"].as_u64() {
        Some(id) => Got::Ack(id, data),
        None => Got::Event(frame["event"].as_str().unwrap().to_owned(), data),
    }
}

fn socket_io(packet: &str) -> Got {
    let Some((kind, rest)) = packet.split_once("/gossip,") else { panic!("unexpected packet {packet}") };
    let (id, args) = rest.split_at(rest.find('[').unwrap());
    let mut args: Vec<Value> = serde_json::from_str(args).unwrap();
    let data = args.pop().unwrap();
    match (kind, args.pop()) {
        ("42", Some(Value::String(name))) => Got::Event(name, data),
        ("43", None) => Got::Ack(id.parse().unwrap(), data),
        _ => panic!("unexpected packet {packet}"),
    }
}
