//! What the fuzz targets share: a whole session of several clients, as operations, and what must be true of it whatever
//! they do. The targets that need no more than a codec stand alone.

mod check;
mod client;
mod script;
mod socket;
mod token;
mod world;

pub use script::Script;
pub use token::signed;
pub use world::run;
