//! One file a story.

mod by_hand;
mod edits;
mod fallback;
mod guide;
mod kernel_update;
mod moved;
mod power;
mod refused;
mod trial;
mod twins;
mod vm;

/// What `apply` makes of the second card.
const BOUND: [(&str, &str); 2] = [("02:00.0", "vfio-pci"), ("02:00.1", "vfio-pci")];
