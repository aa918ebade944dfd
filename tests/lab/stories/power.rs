//! The power is cut while a plan is carried out: the machine always boots, and the next `apply` or
//! `undo` ends clean.

use std::time::Instant;

use crate::guest::same;
use crate::image::Variant;
use crate::machine::Machine;
use crate::progress::say;
use crate::topology::Topology;

const CUTS: u32 = 20;
/// For the same instants in each run, spread over all of `apply` (a generator of Lehmer).
const SEED: u64 = 20_261_125;

/// Instants within one, one in each part of it.
fn instants() -> impl Iterator<Item = f64> {
    let mut state = SEED;
    (0..CUTS).map(move |cut| {
        state = state * 48_271 % 0x7fff_ffff;
        (f64::from(cut) + state as f64 / f64::from(0x7fff_ffff)) / f64::from(CUTS)
    })
}

#[test]
#[ignore = "takes an hour: cargo xtask lab --all"]
fn is_cut_twenty_times() {
    let Some(mut host) = Machine::start(Variant::Grub, Topology::TwoCards) else { return };
    let files = host.files();
    // The images are built anew by each undo, so they differ from those of the installation.
    let start = Instant::now();
    let _ = host.apply_on_trial(&["02:00.0"]);
    let whole = start.elapsed();
    let _ = host.undo(&[]);
    same("files", &files, &host.files());
    let drivers = host.drivers();
    for (number, at) in instants().enumerate() {
        let after = whole.mul_f64(at);
        let mut apply = host.start_passthru(&["apply", "--yes", "02:00.0"]);
        std::thread::sleep(after);
        host.power_cut();
        let _ = apply.wait();
        let log = host.read("passthru log | tail -n 1");
        say(&format!("  cut {} after {:.1} s: {}", number + 1, after.as_secs_f64(), log.trim()));
        let tried = host.cmdline().contains("passthru.bind=");
        // Where the cut came too late, the entry on trial was selected and this is its boot.
        assert!(tried || host.drivers() == drivers, "{:?}", host.drivers());
        if number % 2 == 0 {
            let output = host.passthru(&["apply", "--yes", "02:00.0"]);
            assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        }
        let undone = host.passthru(&["undo", "--yes"]);
        assert!(undone.code < 2, "{}{}", undone.stdout, undone.stderr);
        same("files", &files, &host.files());
        if tried {
            host.reboot();
        }
        assert_eq!(host.drivers(), drivers);
    }
}
