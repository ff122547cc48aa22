//! Much was missed (contract §4, Resume): all of it comes, in order, each event once, however long; and who does not
//! read it holds nothing up and does not stay.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use gossip_hub::SystemEnv;
use gossip_proto::id::RoomId;
use serde_json::{Value, json};
use support::server::{Home, Server, new_room};
use support::websocket::Client;
use support::within;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;

/// Posts so many in each room in turn, 8 KiB each: more in all than may wait for a connection.
async fn post(server: &Server, rooms: &[RoomId], count: usize) {
    let mut author = server.plain("user").await;
    let content = "🦀".repeat(2000);
    for n in (0..count).collect::<Vec<_>>().chunks(250) {
        let mut ids = Vec::new();
        for n in n {
            let data = json!({ "roomId": rooms[n % rooms.len()], "content": content });
            ids.push(author.emit("new_gossip", &data.to_string()).await);
        }
        for id in ids {
            assert_eq!(author.ack(id).await["status"], "success");
        }
    }
}

/// Reads until every room is at `last`; fails at a gap or a repetition.
async fn read(client: &mut Client, seen: &mut HashMap<String, u64>, last: u64) {
    while seen.values().any(|seq| *seq < last) {
        let update = client.update().await;
        let room = update["roomId"].as_str().unwrap();
        let seq = seen.get_mut(room).unwrap();
        *seq += 1;
        assert_eq!(update["seq"], *seq);
    }
}

#[tokio::test]
async fn all_that_was_missed_comes_once_and_in_order() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let rooms = [new_room(), new_room(), new_room()];
    post(&server, &rooms, 2_400).await;

    let mut joining = server.plain("user").await;
    let ack = joining.call("join_room", json!({ "roomId": rooms[0], "since": 3 })).await;
    assert_eq!((&ack["seq"], &ack["recovered"]), (&json!(800), &json!(true)));
    let mut seen = HashMap::from([(rooms[0].to_string(), 3)]);

    let resume: Value = rooms.iter().map(|room| (room.to_string(), json!(0))).collect::<serde_json::Map<_, _>>().into();
    let mut resuming = Client::resuming(server.address(), &server.token("user"), &resume).await;
    let (name, told) = resuming.event().await;
    assert_eq!((&*name, &told["rooms"][rooms[2].to_string()]), ("resumed", &json!({ "seq": 800, "recovered": true })));
    let mut all: HashMap<String, u64> = rooms.iter().map(|room| (room.to_string(), 0)).collect();

    // More comes while they read.
    let posting = post(&server, &rooms, 300);
    tokio::join!(posting, read(&mut joining, &mut seen, 900), read(&mut resuming, &mut all, 900));
    assert!(server.daemon.stop().await);
}

#[tokio::test]
async fn who_does_not_read_what_it_missed_is_let_go() {
    let home = Home::new(Arc::new(SystemEnv));
    let rooms = [new_room()];
    let server = home.start(&[]).await;
    post(&server, &rooms, 2_400).await;
    assert!(server.daemon.stop().await);
    let server = home.start(&["--ping-interval", "300ms", "--ping-timeout", "300ms"]).await;

    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address()).await.unwrap();
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", server.address());
    let (mut lazy, _) = within("websocket", tokio_tungstenite::client_async(url, stream)).await.unwrap();
    let auth = json!({ "token": server.token("user"), "resume": { rooms[0].to_string(): 0 } });
    lazy.send(Message::from(format!("40/gossip,{auth}"))).await.unwrap();

    // It is there, and then it is not: the figures are all that is asked of the server meanwhile.
    let gone = async {
        let mut was_there = false;
        loop {
            let active = server.daemon.gateway().connection_stats().active_connections;
            was_there |= active > 0;
            if was_there && active == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    within("the end of a client that does not read", gone).await;
    // What was queued for it before is all it can still get.
    let mut frames = 0;
    while let Some(Ok(_)) = within("frame", lazy.next()).await {
        frames += 1;
    }
    assert!(frames < 2_400, "{frames}");
    assert!(server.daemon.stop().await);
}
