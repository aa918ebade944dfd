//! passthru gives a spare GPU of a Linux PC to a Windows virtual machine, and can take it back.
#![allow(missing_docs, dead_code)]

pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod host;
pub(crate) mod sys;
