//! A whole session of several clients on a real gateway over SQLite: what each is sent must fit together, whatever they ask
//! and in whatever order, however slowly they read, and whenever they go and come back.
#![no_main]

use gossip_fuzz::Script;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: Script| gossip_fuzz::run(script));
