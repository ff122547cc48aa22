//! What gossipd is measured against: a server that runs one transaction per vote, as careful gateways do, and as well as
//! that can be done. It has the same sockets as gossipd, so that what differs is how it writes. It knows posting and
//! voting, up and down, and neither rooms nor anyone to tell.

mod postgres;
mod sqlite;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use gossip_core::env::Env as _;
use gossip_hub::{Key, SystemEnv, Verifier, VerifierConfig};
use gossip_proto::id::{IntentId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Vote, VoteAction};
use gossip_proto::plain::{PlainRequest, decode, encode_reply};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::request::{Request, Token};
use gossip_ws::engine::{self, App, CloseReason, Frame, Handler, Message, Server, Session};
use gossip_ws::http::{Body, empty};
use gossip_ws::listener::{self, Service};
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::cli::BaselineArgs;
use crate::error::Error;
use crate::server::LISTENING;

/// How many requests of one connection may be under way; the next is read when one is done.
const UNDER_WAY: usize = 4096;

/// Serves until it is killed.
///
/// # Errors
/// Where the database or the port cannot be had.
pub(crate) async fn serve(args: &BaselineArgs) -> Result<(), Error> {
    let votes = if args.database_url.starts_with("postgres") {
        Votes::Postgres(postgres::Votes::open(&args.database_url, args.tuning).await?)
    } else {
        Votes::Sqlite(sqlite::Votes::open(&args.database_url).await?)
    };
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await.map_err(Error::io("listening"))?;
    let address = listener.local_addr().map_err(Error::io("listening"))?;
    let verifier = Verifier::new(Key::secret(&args.jwt_secret), VerifierConfig::default());
    // As gossipd has it.
    let config = engine::Config { max_payload: 65_536, max_queue_bytes: 4 << 20, ..engine::Config::default() };
    let service = Http(Server::new(config, Baseline { verifier, votes: Arc::new(votes) }));
    println!("baseline {LISTENING}{address}");
    listener::serve(listener, Arc::new(service), listener::Config::default(), pending()).await;
    Ok(())
}

/// The database, with a transaction for each call.
enum Votes {
    Postgres(postgres::Votes),
    Sqlite(sqlite::Votes),
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// For the client to mend.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The database's.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A row that no version of this wrote.
    #[error("a row cannot be read")]
    Row,
}

impl Votes {
    async fn post(&self, intent: &Intent) -> Result<(), Failure> {
        match self {
            Votes::Postgres(votes) => votes.post(intent).await,
            Votes::Sqlite(votes) => votes.post(intent).await,
        }
    }

    /// Votes; what the intent is then. It is the one that was before, where the same vote stood already.
    async fn vote(&self, intent: IntentId, user: UserId, vote: Vote) -> Result<Intent, Failure> {
        match self {
            Votes::Postgres(votes) => votes.vote(intent, user, vote).await,
            Votes::Sqlite(votes) => votes.vote(intent, user, vote).await,
        }
    }

    async fn answer(&self, user: UserId, request: &PlainRequest) -> Result<Reply, Failure> {
        let intent = match Request::parse(&request.event, request.data.as_deref())? {
            Request::NewGossip { room_id, content, expires_in_minutes, .. } => {
                let now = SystemEnv.now();
                let lives = std::time::Duration::from_secs(60 * expires_in_minutes.unwrap_or(1440));
                let intent = Intent {
                    id: IntentId(SystemEnv.new_id()),
                    room_id,
                    user_id: user,
                    content,
                    status: Status::Pending,
                    metadata: None,
                    upvotes: 0,
                    downvotes: 0,
                    expires_at: Some(now.plus(lives)),
                    created_at: now,
                    updated_at: now,
                };
                self.post(&intent).await?;
                intent
            }
            Request::VoteGossip { intent_id, action: VoteAction::Upvote } => {
                self.vote(intent_id, user, Vote::Up).await?
            }
            Request::VoteGossip { intent_id, action: VoteAction::Downvote } => {
                self.vote(intent_id, user, Vote::Down).await?
            }
            _ => return Err(Refusal::new(Code::UnknownEvent, "the baseline does not do this").into()),
        };
        Ok(Reply::Intent { intent: Arc::new(intent), seq: Seq(0) })
    }
}

fn closed() -> Failure {
    Refusal::new(Code::Closed, "the intent has expired").into()
}

struct Baseline {
    verifier: Verifier,
    votes: Arc<Votes>,
}

struct Socket {
    session: Arc<Session>,
    user: Option<UserId>,
    votes: Arc<Votes>,
    under_way: Arc<Semaphore>,
}

impl App for Baseline {
    type Handler = Socket;

    fn open(&self, session: Arc<Session>) -> Socket {
        let header = session.headers().authorization;
        session.forget_headers();
        let token = header.as_deref().and_then(|header| header.strip_prefix("Bearer "));
        let identity = token.map(|token| self.verifier.verify(&Token(token.to_owned()), None, SystemEnv.now()));
        let user = identity.and_then(Result::ok).map(|identity| identity.user);
        Socket { session, user, votes: Arc::clone(&self.votes), under_way: Arc::new(Semaphore::new(UNDER_WAY)) }
    }
}

impl Handler for Socket {
    /// Each request is a task of its own, so that those of one connection run beside each other.
    async fn message(&self, message: Message) -> Result<(), CloseReason> {
        let Message::Text(text) = message else { return Err(CloseReason::Protocol) };
        let Ok(request) = decode(&text) else { return Err(CloseReason::Protocol) };
        let user = self.user.ok_or(CloseReason::App { code: 4000, reason: "not authenticated" })?;
        let permit = Arc::clone(&self.under_way).acquire_owned().await.map_err(|_| CloseReason::Internal)?;
        let (session, votes) = (Arc::clone(&self.session), Arc::clone(&self.votes));
        tokio::spawn(async move {
            let body = match votes.answer(user, &request).await {
                Ok(reply) => serde_json::to_string(&reply),
                Err(Failure::Refused(refusal)) => serde_json::to_string(&refusal),
                Err(failure) => serde_json::to_string(&Refusal::new(Code::Unavailable, failure.to_string())),
            };
            match (body, request.id) {
                // False where the client is gone: then nobody waits.
                (Ok(body), Some(id)) => drop(session.send(&[Frame::text(&encode_reply(id, &body))])),
                (Ok(_), None) => {}
                (Err(_), _) => session.close(CloseReason::Internal),
            }
            drop(permit);
        });
        Ok(())
    }

    fn closed(&self, _reason: CloseReason) {}
}

struct Http(Arc<Server<Baseline>>);

impl Service for Http {
    type Body = Body;

    async fn call(&self, req: hyper::Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        match req.uri().path() {
            "/gossip/ws" => self.0.handle_plain(req, peer).await,
            "/healthz" => empty(StatusCode::OK),
            _ => empty(StatusCode::NOT_FOUND),
        }
    }
}
