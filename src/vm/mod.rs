//! The Windows machine as libvirt knows it: pure functions from a wish, the host and what libvirt
//! says it can do, to the XML of a domain and back.
//!
//! A domain that exists is never printed anew: text is cut and inserted, and all else stays.

pub mod answers;
pub mod attach;
pub mod build;
pub mod capabilities;
pub mod card;
pub mod check;
pub mod compare;
pub mod detach;
pub mod domain;
pub mod live;
pub mod looking_glass;
pub mod make;
pub mod note;
pub mod spec;
pub mod tune;
pub mod volume;

#[cfg(test)]
mod tests;
