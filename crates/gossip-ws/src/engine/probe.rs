//! The upgrade of a polling session: a WebSocket that proves itself (`2probe`, `3probe`, `5`) before the session moves
//! over. One that does not leaves the polling session as it was; heartbeats go on meanwhile.

use std::sync::Arc;

use gossip_proto::frame::{Opcode, encode_close, encode_frame};
use tokio::time::{Instant, timeout};

use super::driver::{CLOSE_WAIT, Inbound, Pace, under_way};
use super::{CloseReason, Frame, Session};
use crate::transport::{Flush, Incoming, Upgrading, WsReader, WsWriter};

/// Takes a WebSocket that came for a polling session from its 101 to its end, or to the session's driver.
pub(super) async fn probe(session: Arc<Session>, upgrading: Upgrading) {
    let wanted = session.begin_upgrade();
    let Ok((mut reader, mut writer)) = upgrading.connected().await else {
        if wanted.is_some() {
            session.abandon_upgrade();
        }
        return;
    };
    // One upgrade at a time, and one in a session's life: the reference server closes the others without a word.
    let Some(unwanted) = wanted else {
        return end(writer, &session, session.close_reason().unwrap_or(CloseReason::Overlap)).await;
    };
    let upgrade = async {
        tokio::select! {
            proven = prove(&session, &mut reader, &mut writer) => proven,
            _ = unwanted => Err(session.close_reason().unwrap_or(CloseReason::ClientPacket)),
        }
    };
    let reason = match timeout(session.config().upgrade_timeout, upgrade).await {
        Ok(Ok(())) => match session.complete_upgrade(writer) {
            // If the driver is gone, so is the session, and the writer with it.
            Ok(inbox) => return drop(inbox.send(Inbound::Upgraded(Box::new(reader))).await),
            Err(back) => {
                drop(reader);
                let reason = session.close_reason().unwrap_or(CloseReason::Protocol);
                return end(back, &session, reason).await;
            }
        },
        Ok(Err(reason)) => reason,
        Err(_) => CloseReason::ConnectTimeout,
    };
    session.abandon_upgrade();
    drop(reader);
    end(writer, &session, reason).await;
}

/// Waits for `5`.
async fn prove(session: &Session, reader: &mut WsReader, writer: &mut WsWriter) -> Result<(), CloseReason> {
    let mut probed = false;
    let pace = Pace::new(session.config().packet_rate);
    loop {
        let incoming = reader.next().await.map_err(|error| CloseReason::from(&error))?;
        if pace.is_exceeded() {
            return Err(CloseReason::Flooding);
        }
        match incoming {
            Incoming::Text(text) if text == "2probe" => {
                send(writer, Frame::PROBE.wire().clone())?;
                session.probed();
                probed = true;
            }
            Incoming::Text(text) if probed && text == "5" => return Ok(()),
            Incoming::Ping(payload) => send(writer, encode_frame(Opcode::Pong, &payload).0)?,
            Incoming::Pong => {}
            Incoming::Close(_) => return Err(CloseReason::ClientClose),
            Incoming::Text(_) | Incoming::Binary(_) | Incoming::Oversized(_) => {
                return Err(CloseReason::Protocol);
            }
        }
    }
}

/// A client that does not even read its probe is not worth waiting for.
fn send(writer: &mut WsWriter, frame: bytes::Bytes) -> Result<(), CloseReason> {
    writer.push(frame);
    match writer.try_flush() {
        Flush::Flushed => Ok(()),
        Flush::Blocked => Err(CloseReason::SlowReader),
        Flush::Failed => Err(CloseReason::TransportError),
    }
}

async fn end(mut writer: WsWriter, session: &Session, reason: CloseReason) {
    if reason.is_transport_gone() {
        return;
    }
    writer.push(encode_close(reason.code(), reason.as_str()));
    writer.finish(Instant::now() + CLOSE_WAIT, under_way(session.config(), reason)).await;
}
