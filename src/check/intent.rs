//! The card that /etc/passthru.toml names, and where it is.

use super::case::Case;
use super::finding::{Evidence, Found};
use super::gpu::list;
use super::select::Selection;
use crate::host::intent::INTENT;
use crate::host::pci::DEVICES;

/// `card-moved`: The card is not where /etc/passthru.toml says.
pub fn card_moved(case: &Case<'_>) -> Vec<Found> {
    let (Selection::Moved(cards), Some(address)) = (&case.selection, &case.desired.gpu) else {
        return Vec::new();
    };
    let identity = case.desired.identity.first().cloned().unwrap_or_default();
    let there = address.parse().ok().and_then(|address| case.host.device(address));
    let now = match there {
        Some(device) => format!("{} with {}", case.host.named(device), device.identity()),
        None => "no function of that address".to_owned(),
    };
    let names = list(case, cards);
    let (place, remedy) = match names.first() {
        Some(_) => (
            format!("That card is now {}.", names.join("; ")),
            format!(
                "If that is the card you mean, name it where it is: `passthru plan {}`.",
                cards.first().map(|gpu| gpu.address.to_string()).unwrap_or_default()
            ),
        ),
        None => (
            "No card of this machine is that one.".to_owned(),
            "Put the card back, or name another one: `passthru plan GPU`.".to_owned(),
        ),
    };
    let detail =
        format!("The card for the guest is {identity} at {address}, and there is {now}. {place}");
    vec![
        Found::blocker(detail, Evidence::new(INTENT, format!("{address} {identity}")))
            .and(Evidence::new(format!("{DEVICES}/{address}"), now))
            .manual(remedy),
    ]
}
