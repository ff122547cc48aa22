//! `/metrics` (contract §1): the gateway's figures as text, and with them what only the network side can count.

use gossip_hub::{Gateway, Metrics};
use hyper::{Response, StatusCode};

use crate::http::{self, Body};

/// Answers while draining too; `panics` are connections that ended by one.
pub(super) async fn answer(gateway: &Gateway, panics: u64) -> Response<Body> {
    let mut metrics = gateway.metrics().await;
    metrics.counter("gossipd_panics_total", "Connections that ended by a fault of the server's own.", panics);
    http::content(StatusCode::OK, Metrics::CONTENT_TYPE, metrics.to_string())
}
