//! What stories ask of a guest: the drivers that its kernel bound, its log, and its files.

use std::collections::BTreeMap;

use serde_json::Value;

use super::machine::{Machine, Output};

/// Every PCI function with its driver; `-` where there is none.
pub type Drivers = BTreeMap<String, String>;

const DRIVERS: &str = "for d in /sys/bus/pci/devices/*; do
    driver=$(readlink $d/driver) || driver=-
    echo ${d##*/} ${driver##*/}
done";

/// One line a file of /etc and /boot: mode, owner, type, link, digest. Images and GRUB's menu are
/// made anew by undo, from more than what they are of before (hints for finding the disk).
const FILES: &str = "cd / && find etc boot -xdev ! -name 'initrd.img*' ! -name grub.cfg \
    ! -name random-seed -printf '%p %m %u:%g %y %l\\n' | sort
    find etc boot/efi/loader boot/grub/grubenv -xdev -type f ! -name random-seed -print0 \
    2>/dev/null | sort -z | xargs -0 sha256sum";

/// What each entry of the boot menu starts, in order.
const MENU: &str = "if [ -e /boot/grub/grub.cfg ]; then
    grep -E '^[[:space:]]*(menuentry|submenu|linux|initrd)' /boot/grub/grub.cfg
else
    tail -n +1 /boot/efi/loader/entries/*.conf
fi";

/// Files of an image that have to do with passthrough.
const IMAGES: &str = "for image in $(find /boot -name 'initrd.img*'); do
    if command -v lsinitramfs >/dev/null; then lsinitramfs $image; else lsinitrd $image; fi
done | grep -cE 'passthru|vfio'";

impl Machine {
    /// Applies, so that the normal entries have it.
    pub fn apply(&self, args: &[&str]) -> Output {
        self.apply_on_trial(&[&["--no-trial"], args].concat())
    }

    /// Applies as a user would who gives no other option.
    pub fn apply_on_trial(&self, args: &[&str]) -> Output {
        let output = self.does(&[&["apply", "--yes"], args].concat());
        assert!(output.stdout.contains("\nDone, as transaction "), "{}", output.stdout);
        output
    }

    /// Takes the last transaction back.
    pub fn undo(&self, args: &[&str]) -> Output {
        self.does(&[&["undo", "--yes"], args].concat())
    }

    /// passthru, which must do it.
    pub fn does(&self, args: &[&str]) -> Output {
        let output = self.passthru(args);
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        output
    }

    /// A document of passthru, and the exit code.
    pub fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.passthru(&[&["--json"], args].concat());
        let document = serde_json::from_str(&output.stdout);
        let document =
            document.unwrap_or_else(|e| panic!("{e}: {}{}", output.stdout, output.stderr));
        (output.code, document)
    }

    /// `verify` says that everything holds.
    pub fn is_met(&self) {
        let (code, document) = self.json(&["verify"]);
        assert_eq!((code, &document["verdict"]), (0, &Value::from("met")), "{document:#}");
    }

    /// Texts and causes of what `verify` says does not hold.
    pub fn unmet(&self) -> Vec<(String, String)> {
        let (code, document) = self.json(&["verify"]);
        assert_eq!((code, &document["verdict"]), (1, &Value::from("unmet")), "{document:#}");
        let all = document["expectations"].as_array().expect("expectations").iter();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        all.filter(|one| one["verdict"] == "unmet")
            .map(|one| (text(one, "text"), text(one, "cause")))
            .collect()
    }

    pub fn drivers(&self) -> Drivers {
        let text = self.read(DRIVERS);
        let pair = |line: &str| {
            let (address, driver) = line.split_once(' ').expect("address and driver");
            (address.to_owned(), driver.to_owned())
        };
        text.lines().map(pair).collect()
    }

    /// Lines of the kernel's log of this boot that have one of these words, without their times.
    pub fn log(&self, words: &[&str]) -> Vec<String> {
        let log = self.read("dmesg");
        let lines = log.lines().filter_map(|line| Some(line.split_once("] ")?.1.to_owned()));
        lines.filter(|line| words.iter().any(|word| line.contains(word))).collect()
    }

    pub fn cmdline(&self) -> String {
        self.read("cat /proc/cmdline")
    }

    pub fn files(&self) -> String {
        self.read(FILES)
    }

    pub fn menu(&self) -> String {
        self.read(MENU)
    }

    /// Nothing of passthrough is in any image.
    pub fn images_are_plain(&self) {
        let count = self.run(IMAGES);
        assert_eq!((count.stdout.trim(), count.code), ("0", 1), "{}", count.stderr);
    }
}

/// These drivers, with others for some functions.
pub fn with(drivers: &Drivers, other: &[(&str, &str)]) -> Drivers {
    let mut drivers = drivers.clone();
    for (address, driver) in other {
        let old = drivers.insert(format!("0000:{address}"), (*driver).to_owned());
        assert!(old.is_some(), "no {address}: {drivers:?}");
    }
    drivers
}

/// Compares line by line, and shows only what differs.
pub fn same(what: &str, before: &str, after: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(before), lines(after));
    let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(before == after, "{what} differ; gone: {gone:#?}, new: {new:#?}");
}
