//! What is Postgres' own: a server that goes away, commits in doubt, tables that held gossip before, plans.

mod adoption;
mod doubt;
mod outage;
mod plans;
mod proxy;
