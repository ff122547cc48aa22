//! What a socket's events do: change the feed, tell the room, answer. As in socketioxide's own examples every event is a
//! task of its own, so two commands sent at once by one client may change places.

use std::sync::Arc;

use socketioxide::extract::{AckSender, Extension, SocketRef, State, TryData};
use uuid::Uuid;

use crate::{
    auth::User,
    feed::{Feed, Item},
    model::{self, GossipUpdate, Intent, Reply, Timestamp, Update},
};

/// To be called before the client is told that it is connected: what it sends while there is no handler is lost, and
/// socketioxide runs the namespace's own handler after telling it, as a task.
pub(crate) fn register(socket: &SocketRef) {
    socket.on("join_room", join);
    socket.on("leave_room", leave);
    socket.on("new_gossip", post);
    socket.on("vote_gossip", vote);
    socket.on("comment_gossip", comment);
}

/// An ack is lost only with its connection.
fn answer(ack: AckSender, reply: &Reply<'_>) {
    let _ = ack.send(reply);
}

/// An event is lost only where a connection is, or where its queue is full; the load test sees that.
async fn tell(socket: &SocketRef, event: &GossipUpdate<'_>) {
    let _ = socket.within(event.room_id.to_string()).emit("gossip_update", event).await;
}

const BAD_DATA: Reply<'_> = Reply::Error { code: "invalid_input", message: "the data is not what the event takes" };
const NO_INTENT: Reply<'_> = Reply::Error { code: "not_found", message: "there is no such intent" };

async fn join(socket: SocketRef, TryData(data): TryData<model::Room>, feed: State<Arc<Feed>>, ack: AckSender) {
    let Ok(model::Room { room_id }) = data else { return answer(ack, &BAD_DATA) };
    let room = feed.room(room_id);
    let room = room.lock().await;
    socket.join(room_id.to_string());
    answer(ack, &Reply::Joined { room_id, seq: room.seq });
}

async fn leave(socket: SocketRef, TryData(data): TryData<model::Room>, ack: AckSender) {
    let Ok(model::Room { room_id }) = data else { return answer(ack, &BAD_DATA) };
    socket.leave(room_id.to_string());
    answer(ack, &Reply::Left { room_id });
}

async fn post(
    socket: SocketRef,
    TryData(data): TryData<model::NewGossip>,
    Extension(User(user_id)): Extension<User>,
    feed: State<Arc<Feed>>,
    ack: AckSender,
) {
    let Ok(model::NewGossip { room_id, content }) = data else { return answer(ack, &BAD_DATA) };
    let home = feed.room(room_id);
    let mut room = home.lock().await;
    let now = Timestamp::now();
    let intent = Intent {
        id: Uuid::now_v7(),
        room_id,
        user_id,
        content,
        status: "pending",
        metadata: (),
        upvotes: 0,
        downvotes: 0,
        expires_at: now.a_day_later(),
        created_at: now,
        updated_at: now,
    };
    room.seq += 1;
    let seq = room.seq;
    feed.settle(intent.id, &home);
    tell(&socket, &GossipUpdate { kind: "new_intent", intent: &intent, update: None, timestamp: now, room_id, seq })
        .await;
    answer(ack, &Reply::Success { intent: Some(&intent), update: None, seq });
    room.intents.insert(intent.id, Item::new(intent));
}

async fn vote(
    socket: SocketRef,
    TryData(data): TryData<model::VoteGossip>,
    Extension(User(user_id)): Extension<User>,
    feed: State<Arc<Feed>>,
    ack: AckSender,
) {
    let Ok(model::VoteGossip { intent_id, action }) = data else { return answer(ack, &BAD_DATA) };
    let Some(home) = feed.home(intent_id) else { return answer(ack, &NO_INTENT) };
    let mut room = home.lock().await;
    let room = &mut *room;
    let Some(item) = room.intents.get_mut(&intent_id) else { return answer(ack, &NO_INTENT) };
    let now = Timestamp::now();
    let changed = item.vote(user_id, action, now);
    let intent = &item.intent;
    if changed {
        room.seq += 1;
        let (room_id, seq) = (intent.room_id, room.seq);
        tell(&socket, &GossipUpdate { kind: "vote", intent, update: None, timestamp: now, room_id, seq }).await;
    }
    answer(ack, &Reply::Success { intent: Some(intent), update: None, seq: room.seq });
}

async fn comment(
    socket: SocketRef,
    TryData(data): TryData<model::CommentGossip>,
    Extension(User(user_id)): Extension<User>,
    feed: State<Arc<Feed>>,
    ack: AckSender,
) {
    let Ok(model::CommentGossip { intent_id, content }) = data else { return answer(ack, &BAD_DATA) };
    let Some(home) = feed.home(intent_id) else { return answer(ack, &NO_INTENT) };
    let mut room = home.lock().await;
    let room = &mut *room;
    let Some(Item { intent, .. }) = room.intents.get(&intent_id) else { return answer(ack, &NO_INTENT) };
    room.seq += 1;
    let seq = room.seq;
    let now = Timestamp::now();
    let id = Uuid::now_v7();
    let update = Update { id, intent_id, user_id, kind: "comment", content, metadata: (), created_at: now };
    let room_id = intent.room_id;
    tell(&socket, &GossipUpdate { kind: "comment", intent, update: Some(&update), timestamp: now, room_id, seq }).await;
    answer(ack, &Reply::Success { intent: None, update: Some(&update), seq });
}
