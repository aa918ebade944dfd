//! Devices of emulated machines, and where they are on the bus.

const IOMMU: &str = "-device intel-iommu,intremap=on,caching-mode=on";
const AMD_IOMMU: &str = "-device amd-iommu,intremap=on";
const SOUND: &str = "-audiodev none,id=snd0";
const INTEGRATED: &str = "-device virtio-vga,bus=pcie.0,addr=2.0";

/// Devices of a machine.
#[derive(Clone, Copy, Debug)]
pub enum Topology {
    /// Integrated display, card, and a network adapter behind another port.
    Intel,
    /// The card is the only display.
    Single,
    /// Integrated display and two identical cards.
    TwinIgpu,
    /// Two identical cards and no other display.
    Twin,
    /// As `Intel`, with processor and IOMMU of AMD.
    Amd,
    /// As `Twin`, with processor and IOMMU of AMD.
    AmdTwin,
    /// The card has a network adapter beside its display, and the host has one of the same id with
    /// another subsystem id. Nothing else that QEMU has takes a subsystem id.
    SharedId,
    /// The card is behind a switch, whose ports cannot keep it apart (no ACS).
    Switch,
    /// Two functions of one switch port: the card behind one, a USB controller behind the other.
    DirtySwitch,
    /// Two root ports in one slot, without ACS: card and NVMe drive.
    DirtyNvme,
    /// Three root ports in one slot, without ACS: card, network adapter, and USB controller.
    DirtyXhci,
    /// As `Intel`, without an IOMMU.
    NoIommu,
    /// The host's card at 01:00 and another at 02:00; their sound functions share an id.
    TwoCards,
    /// As `TwoCards`, with a drive in front that moves both cards one bus on.
    Shifted,
    /// As `TwoCards`, with a network adapter in place of the second card.
    NicInstead,
    /// As `TwoCards`, with nothing behind the second port.
    CardGone,
}

impl Topology {
    /// The processor, whose vendor decides which IOMMU the kernel looks for.
    pub fn processor(self) -> &'static str {
        if self.is_amd() { "max,vendor=AuthenticAMD" } else { "max,vendor=GenuineIntel,svm=off" }
    }

    /// Processor and IOMMU are AMD's.
    pub fn is_amd(self) -> bool {
        matches!(self, Self::Amd | Self::AmdTwin)
    }

    /// The words for QEMU that give a machine these devices.
    pub fn options(self) -> String {
        let port = |id: &str, addr: &str, number: u32, more: &str| {
            format!(
                "-device pcie-root-port,id={id},bus=pcie.0,addr={addr},chassis={number},slot={number}{more}"
            )
        };
        let plain =
            |number: u32| port(&format!("rp{number}"), &format!("{}.0", number + 2), number, "");
        let switch = |id: &str, addr: &str, chassis: u32, more: &str| {
            format!(
                "-device xio3130-downstream,id={id},bus=up,addr={addr},chassis={chassis},slot={chassis}{more}"
            )
        };
        let upstream = "-device x3130-upstream,id=up,bus=rp1".to_owned();
        let nic = "-device e1000e,bus=rp2".to_owned();
        let host_card = || display("virtio-vga", "rp1");
        let igpu = INTEGRATED.to_owned();
        let iommu = if self.is_amd() { AMD_IOMMU } else { IOMMU }.to_owned();
        let no_acs = |number: u32, more: &str| {
            let (id, addr) = (format!("rp{number}"), format!("3.{}", number - 1));
            port(&id, &addr, number, &format!("{more},disable-acs=on"))
        };
        let devices = match self {
            Self::Intel | Self::Amd => vec![iommu, igpu, plain(1), plain(2), card("rp1"), nic],
            Self::NoIommu => vec![igpu, plain(1), plain(2), card("rp1"), nic],
            Self::Single => vec![iommu, plain(1), card("rp1")],
            Self::TwinIgpu => vec![iommu, igpu, plain(1), plain(2), card("rp1"), card("rp2")],
            Self::Twin | Self::AmdTwin => {
                vec![iommu, plain(1), plain(2), card("rp1"), card("rp2")]
            }
            Self::SharedId => vec![
                iommu,
                igpu,
                plain(1),
                plain(2),
                "-device bochs-display,bus=rp1,addr=0.0,multifunction=on".to_owned(),
                "-device e1000e,bus=rp1,addr=0.1,subsys_ven=0x1af4,subsys=0x1234".to_owned(),
                "-device e1000e,bus=rp2,subsys_ven=0x1af4,subsys=0x4321".to_owned(),
            ],
            Self::Switch => {
                vec![iommu, igpu, plain(1), upstream, switch("dn1", "0.0", 11, ""), card("dn1")]
            }
            Self::DirtySwitch => vec![
                iommu,
                igpu,
                plain(1),
                upstream,
                switch("dn1", "0.0", 11, ",multifunction=on"),
                switch("dn2", "0.1", 12, ""),
                card("dn1"),
                "-device qemu-xhci,bus=dn2".to_owned(),
            ],
            Self::DirtyNvme => vec![
                iommu,
                igpu,
                no_acs(1, ",multifunction=on"),
                no_acs(2, ""),
                card("rp1"),
                "-device nvme,serial=1,bus=rp2".to_owned(),
            ],
            Self::TwoCards => vec![iommu, plain(1), plain(2), host_card(), card("rp2")],
            Self::Shifted => vec![
                iommu,
                port("rp0", "2.0", 9, ""),
                "-device nvme,serial=1,bus=rp0".to_owned(),
                plain(1),
                plain(2),
                host_card(),
                card("rp2"),
            ],
            Self::NicInstead => vec![iommu, plain(1), plain(2), host_card(), nic],
            Self::CardGone => vec![iommu, plain(1), plain(2), host_card()],
            Self::DirtyXhci => vec![
                iommu,
                igpu,
                no_acs(1, ",multifunction=on"),
                no_acs(2, ""),
                no_acs(3, ""),
                card("rp1"),
                nic,
                "-device qemu-xhci,bus=rp3".to_owned(),
            ],
        };
        format!("{SOUND} {}", devices.join(" "))
    }
}

/// The card that a guest is to have.
fn card(bus: &str) -> String {
    display("bochs-display", bus)
}

/// Display and sound function in one slot.
fn display(model: &str, bus: &str) -> String {
    format!(
        "-device {model},bus={bus},addr=0.0,multifunction=on \
         -device intel-hda,bus={bus},addr=0.1,id={bus}a -device hda-output,bus={bus}a.0,audiodev=snd0"
    )
}
