//! Builds anew when a migration comes or changes: the macro that embeds them cannot ask for that.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
