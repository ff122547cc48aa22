//! Against a server of a few lines, which sends what it is told to, in the pieces it is told to.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, LocalSet};

use super::*;

/// A text frame as a server sends it.
fn frame(text: &str) -> Vec<u8> {
    let mut out = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(len @ 0..=125) => out.push(len),
        _ => {
            out.push(126);
            out.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
    out
}

/// Lets one client in, then sends the pieces, each after the client said something more. All that the client said.
async fn serve(pieces: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut open = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
        // With the head, as it may well come.
        open.extend(frame(r#"0{"sid":"x"}"#));
        let mut said = Vec::with_capacity(64 * 1024);
        for piece in [open, frame(r#"40/gossip,{"sid":"y"}"#)].into_iter().chain(pieces) {
            assert!(stream.read_buf(&mut said).await.unwrap() > 0);
            stream.write_all(&piece).await.unwrap();
        }
        let _ = stream.read_buf(&mut said).await;
        said
    });
    (address, serving)
}

async fn next(socket: &Socket) -> Result<Vec<String>, Error> {
    let mut events = Vec::new();
    socket
        .read(|packet, _| {
            events.push(format!("{packet:?}"));
            Ok(())
        })
        .await
        .map(|()| events)
}

fn event(text: &str) -> String {
    format!("{:?}", Packet::Event(text.as_bytes()))
}

#[tokio::test]
async fn an_ack_leaves_what_comes_after_it() {
    let test = async {
        let (one, two) = ("42/gossip,[\"x\",1]".to_owned(), format!("42/gossip,[\"x\",\"{}\"]", "y".repeat(300)));
        let mut first = frame("42/gossip,[\"before\"]");
        first.extend(frame(r#"43/gossip,0[{"status":"joined"}]"#));
        first.extend(frame(&one));
        // The rest of this one comes later.
        first.extend(&frame(&two)[..50]);
        let mut second = frame(&two)[50..].to_vec();
        second.extend(frame("2"));
        let (address, serving) = serve(vec![first, second]).await;
        let socket = Rc::new(Socket::connect(address, "t", None).await.unwrap());
        let ack = socket.call("join_room", format_args!(r#"{{"roomId":"r"}}"#)).await.unwrap();
        assert_eq!(ack, br#"[{"status":"joined"}]"#);
        assert_eq!(next(&socket).await.unwrap(), [event(&one)]);
        assert_eq!(socket.emit("x", format_args!("{{}}")), 1);
        socket.flush().unwrap();
        assert_eq!(next(&socket).await.unwrap(), [event(&two)]);
        assert!(socket.kept.borrow().capacity() == 0);
        // The pong.
        let said = serving.await.unwrap();
        assert!(said.ends_with(b"\x81\x81\0\0\0\x003"), "{:?}", String::from_utf8_lossy(&said));
        assert!(matches!(next(&socket).await, Err(Error::Broken(_))));
        assert!(socket.ended().await);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn who_is_refused_is_told_why() {
    let test = async {
        let (address, _serving) = serve(Vec::new()).await;
        let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refuses = refusing.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = refusing.accept().await.unwrap();
            let _ = stream.read_buf(&mut Vec::new()).await;
            let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        });
        assert!(Socket::connect(address, "t", None).await.is_ok());
        let refused = Socket::connect(refuses, "t", None).await.unwrap_err();
        assert!(matches!(&refused, Error::Refused(why) if why.contains("503")), "{refused:?}");
    };
    LocalSet::new().run_until(test).await;
}
