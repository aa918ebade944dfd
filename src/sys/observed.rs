//! The three outcomes of looking: there, not there, could not look.

use serde::{Deserialize, Serialize};

/// What looking at one place of the host gave.
///
/// "Not there" and "could not look" never mix: a missing ACPI table means something,
/// an unreadable one means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observed<T> {
    /// It is there, and this is it.
    Present(T),
    /// It is not there.
    Absent,
    /// It could not be looked at, for this reason.
    Unreadable(String),
}

impl<T> Observed<T> {
    /// The value, if it was there.
    pub fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// The value by move, if it was there.
    pub fn into_present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }

    /// True only when it was looked at and is there.
    pub fn is_present(&self) -> bool {
        matches!(self, Self::Present(_))
    }

    /// True only when it was looked at and is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// True when it could not be looked at.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }

    /// Changes the value, keeps the other two outcomes.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Observed<U> {
        match self {
            Self::Present(value) => Observed::Present(f(value)),
            Self::Absent => Observed::Absent,
            Self::Unreadable(reason) => Observed::Unreadable(reason),
        }
    }

    /// Turns the value into another observation, keeps the other two outcomes.
    pub fn and_then<U>(self, f: impl FnOnce(T) -> Observed<U>) -> Observed<U> {
        match self {
            Self::Present(value) => f(value),
            Self::Absent => Observed::Absent,
            Self::Unreadable(reason) => Observed::Unreadable(reason),
        }
    }

    /// Borrows the value.
    pub fn as_ref(&self) -> Observed<&T> {
        match self {
            Self::Present(value) => Observed::Present(value),
            Self::Absent => Observed::Absent,
            Self::Unreadable(reason) => Observed::Unreadable(reason.clone()),
        }
    }
}
