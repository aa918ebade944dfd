//! Writes the compiled-in list of PCI names as plain text in the form of pci.ids(5).
//!
//! As text it is searched by the same code as the host's own list, and it costs nothing at
//! start-up: a table of string slices would have to be relocated before `main`.
#![allow(clippy::disallowed_methods, reason = "the build has no `sys` layer")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use pci_ids::{Classes, Vendors};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let mut text = String::new();
    let mut vendors: Vec<_> = Vendors::iter().collect();
    vendors.sort_by_key(|vendor| vendor.id());
    for vendor in vendors {
        let _ = writeln!(text, "{:04x}  {}", vendor.id(), vendor.name());
        let mut devices: Vec<_> = vendor.devices().collect();
        devices.sort_by_key(|device| device.id());
        for device in devices {
            let _ = writeln!(text, "\t{:04x}  {}", device.id(), device.name());
        }
    }
    let mut classes: Vec<_> = Classes::iter().collect();
    classes.sort_by_key(|class| class.id());
    for class in classes {
        let _ = writeln!(text, "C {:02x}  {}", class.id(), class.name());
        let mut subclasses: Vec<_> = class.subclasses().collect();
        subclasses.sort_by_key(|subclass| subclass.id());
        for subclass in subclasses {
            let _ = writeln!(text, "\t{:02x}  {}", subclass.id(), subclass.name());
        }
    }
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR for build scripts");
    fs::write(Path::new(&out).join("pci.ids"), text).expect("OUT_DIR is writable");
}
