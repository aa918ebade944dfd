//! A guest of libvirt gets the card, bound at boot or taken at its start, and its kernel sees it;
//! then all of it is taken back.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::BOUND;
use crate::guest::{same, with};
use crate::image::Variant;
use crate::machine::Machine;
use crate::progress::{say, timed};
use crate::topology::Topology;

/// How often the guest is started again.
const RESTARTS: u32 = 2;
/// Under a minute on two cores that have nothing else to do.
const GUEST: Duration = Duration::from_secs(900);

const NAME: &str = "small";
const SAID: &str = "/var/log/libvirt/qemu/small.said";
/// A machine that somebody has already. Interrupts come from QEMU and not from KVM, and KVM does not
/// show itself to the guest, whose kernel would count on such interrupts: UEFI's handlers write CR8,
/// and where KVM does not intercept that, QEMU 10.0 ends while it emulates SVM (helper_write_crN of
/// its target/i386/tcg does not hold the lock that cpu_interrupt wants).
const DOMAIN: &str = "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>small</name>
  <memory unit='MiB'>384</memory>
  <vcpu>1</vcpu>
  <os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type>
    <firmware>
      <feature enabled='no' name='secure-boot'/>
    </firmware>
    <kernel>/var/lib/libvirt/images/guest.kernel</kernel>
    <initrd>/var/lib/libvirt/images/guest.initramfs</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 mitigations=off no_timer_check</cmdline>
  </os>
  <features>
    <acpi/>
    <apic/>
    <kvm>
      <hidden state='on'/>
    </kvm>
  </features>
  <cpu mode='host-passthrough'/>
  <devices>
    <controller type='usb' model='none'/>
    <serial type='file'>
      <source path='/var/log/libvirt/qemu/small.said'/>
    </serial>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-machine'/>
    <qemu:arg value='kernel-irqchip=off'/>
  </qemu:commandline>
</domain>
";

/// Functions in the guest that are the card's: address without its function, function, class, id.
fn card(said: &str) -> Vec<(&str, &str, &str, &str)> {
    let functions = said.lines().filter_map(|line| {
        let mut words = line.trim().strip_prefix("function ")?.split(' ');
        let (slot, function) = words.next()?.split_once('.')?;
        Some((slot, function, words.next()?, words.next()?))
    });
    functions.filter(|(_, _, _, id)| ["1234:1111", "8086:2668"].contains(id)).collect()
}

fn xml(host: &Machine) -> String {
    host.read(&format!("virsh dumpxml --inactive --security-info {NAME}"))
}

/// Defines the domain; its XML as libvirt completed it.
fn define(host: &Machine) -> String {
    // A host that only just answers may be without KVM yet, and then libvirt knows no machine for it.
    let knows = "virsh domcapabilities --virttype kvm --machine q35 >/dev/null && echo known";
    host.wait_until(knows, "known");
    let file = format!("/root/{NAME}.xml");
    timed("virsh define", || {
        host.read(&format!("cat >{file} <<'END'\n{DOMAIN}END\nvirsh define {file}"))
    });
    xml(host)
}

/// Starts the guest, and waits until it said everything. Now and then the emulated SVM delivers an
/// interrupt wrongly, and the guest's firmware stops with an exception: then it is started again.
fn said(host: &Machine) -> String {
    let start_it = || timed("virsh start", || host.read(&format!("virsh start {NAME}")));
    let mut start = Instant::now();
    let mut again = 0..RESTARTS;
    start_it();
    timed("until the guest says its functions", || {
        loop {
            let said = host.run(&format!("cat {SAID}")).stdout;
            if said.contains("every function was said") {
                return said;
            }
            if said.contains(" Exception Type - ") && again.next().is_some() {
                say("  RETRIED: the firmware of the guest stopped with an exception");
                host.read(&format!("virsh destroy {NAME}"));
                start_it();
                start = Instant::now();
                continue;
            }
            let state = host.run(&format!("virsh domstate {NAME}")).stdout;
            let log = || host.run(&format!("tail -n 40 /var/log/libvirt/qemu/{NAME}.log")).stdout;
            let end = state.trim() != "running" || start.elapsed() > GUEST;
            assert!(!end, "the guest is {state}{said}\n{}", log());
            std::thread::sleep(Duration::from_secs(5));
        }
    })
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn a_guest_gets_the_card_and_gives_it_back() {
    let Some(mut host) = Machine::start(Variant::Libvirt, Topology::TwoCards) else { return };
    let bare = define(&host);
    let (drivers, files) = (host.drivers(), host.files());
    let _ = host.apply(&["02:00.0"]);
    host.reboot();
    let bound = with(&drivers, &BOUND);
    assert_eq!(host.drivers(), bound);
    host.is_met();

    let _ = host.does(&["vm", "attach", NAME, "02:00.0", "--yes"]);
    let attached = xml(&host);
    let (code, check) = host.json(&["vm", "check", NAME]);
    assert_eq!((code, &check["findings"]), (0, &Value::Array(Vec::new())), "{check:#}");
    let said = said(&host);
    let functions = card(&said);
    let slot = functions.first().expect(&said).0;
    let expected = [(slot, "0", "038000", "1234:1111"), (slot, "1", "040300", "8086:2668")];
    assert_eq!(functions, expected, "{said}");
    let (code, verify) = host.json(&["verify"]);
    assert_eq!((code, verify["verdict"].as_str()), (0, Some("met")), "{verify:#}");
    let in_use = "in use: another process has it open";
    assert!(verify.to_string().contains(in_use), "{verify:#}");
    let refused = host.passthru(&["vm", "detach", NAME, "--yes"]);
    let says = format!("Error: the domain {NAME} is running, and nothing was changed\n");
    assert!(refused.code == 2 && refused.stderr.starts_with(&says), "{refused:#?}");

    timed("virsh shutdown", || host.read(&format!("virsh shutdown {NAME}")));
    host.wait_until(&format!("virsh domstate {NAME}"), "shut off");
    assert_eq!(host.drivers(), bound);
    same("domains that only ran", &attached, &xml(&host));

    let _ = host.does(&["vm", "detach", NAME, "--yes"]);
    same("domains", &bare, &xml(&host));
    let _ = host.undo(&[]);
    same("domains with the card", &attached, &xml(&host));
    let _ = host.undo(&[]);
    same("domains", &bare, &xml(&host));
    let _ = host.undo(&[]);
    host.reboot();
    assert_eq!(host.drivers(), drivers);
    same("files", &files, &host.files());
    same("domains", &bare, &xml(&host));
    host.images_are_plain();
}

#[test]
#[ignore = "takes minutes: cargo xtask lab"]
fn libvirt_takes_a_card_that_the_host_does_not_bind() {
    let Some(host) = Machine::start(Variant::Libvirt, Topology::TwoCards) else { return };
    let (bare, drivers) = (define(&host), host.drivers());
    let attach = ["vm", "attach", NAME, "02:00.0", "--yes"];
    let refused = host.passthru(&attach);
    let says = "Error: the card 0000:02:00.0 shows the host's picture\n";
    assert!(refused.code == 2 && refused.stderr.starts_with(says), "{refused:#?}");
    host.read("echo 0000:02:00.0 >/sys/bus/pci/drivers/bochs-drm/unbind");

    let _ = host.does(&attach);
    let (code, check) = host.json(&["vm", "check", NAME]);
    let findings = check["findings"].as_array().expect("findings").iter();
    let codes: Vec<_> = findings.filter_map(|finding| finding["code"].as_str()).collect();
    assert_eq!((code, &codes[..]), (0, &["vm-card-not-bound"][..]), "{check:#}");
    timed("virsh start", || host.read(&format!("virsh start {NAME}")));
    assert_eq!(host.drivers(), with(&drivers, &BOUND));
    timed("virsh destroy", || host.read(&format!("virsh destroy {NAME}")));
    assert_eq!(host.drivers(), drivers);
    let _ = host.does(&["vm", "detach", NAME, "--yes"]);
    same("domains", &bare, &xml(&host));
}
