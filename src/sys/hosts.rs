//! The recorded hosts that ship inside the program.

use super::tree::{Tree, TreeError};

macro_rules! hosts {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every host that `--host` knows, in name order.
        pub const HOSTS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../hosts/", $name, ".tree")))),*];
    };
}

include!("hosts.in");

/// The recorded host of that name; `None` where there is none.
pub fn host_tree(name: &str) -> Option<Result<Tree, TreeError>> {
    HOSTS.iter().find(|(known, _)| *known == name).map(|(_, text)| Tree::parse(text))
}
