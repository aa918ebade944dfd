//! The manual page of every finding, compiled in.

macro_rules! pages {
    ($($code:literal),* $(,)?) => {
        /// Code and page of every finding, in code order.
        pub const PAGES: &[(&str, &str)] =
            &[$(($code, include_str!(concat!("../../docs/findings/", $code, ".md")))),*];
    };
}

pages![
    "acs-override-active",
    "acs-override-ineffective",
    "already-configured",
    "amd-iommu-on",
    "apu-assigned",
    "bls-ignores-default-grub",
    "bmc-boot-display",
    "boot-space-low",
    "bootloader-conflict",
    "bootloader-manual",
    "bridges-stay",
    "card-moved",
    "card-on-host-driver",
    "card-partly-bound",
    "claimant-built-in",
    "companion-functions",
    "config-not-understood",
    "config-unreadable",
    "cpu-virtualization-off",
    "device-dead",
    "driver-override-left",
    "esp-not-mounted",
    "foreign-device-on-vfio",
    "framebuffer-on-gpu",
    "function-wrong-driver",
    "functions-in-several-groups",
    "gpu-ambiguous",
    "gpu-behind-chipset",
    "gpu-boot-display",
    "gpu-driver-in-initramfs",
    "gpu-drives-display",
    "gpu-no-outputs",
    "gpu-not-translated",
    "group-bridge-driver",
    "group-shared",
    "group-two-gpus",
    "grub-no-recovery",
    "headless-host",
    "host-disk-in-group",
    "host-gpu-no-monitor",
    "host-input-in-group",
    "host-network-in-group",
    "hybrid-laptop",
    "hypervisor-missing",
    "id-shared",
    "identical-gpus",
    "ids-name-host-device",
    "igpu-not-translated",
    "initramfs-manual",
    "initramfs-stale",
    "inside-vm",
    "interrupt-remapping-off",
    "iommu-driver-failed",
    "iommu-off-argument",
    "iommu-off-firmware",
    "iommu-off-kernel",
    "iommu-passthrough",
    "kernel-modules-missing",
    "kvm-missing",
    "legacy-bios-host",
    "many-gpus",
    "mkinitcpio-drop-in-ignored",
    "modprobe-file-ignored",
    "no-gpu",
    "numa-locality",
    "nvswitch-fabric",
    "old-kernel",
    "on-trial",
    "only-gpu",
    "parameter-misspelt",
    "parameter-not-active",
    "parameter-not-configured",
    "proprietary-driver",
    "reserved-region-direct",
    "reset-missing",
    "rom-absent",
    "rom-no-efi",
    "same-driver",
    "secure-boot-on",
    "softdep-cancels-install",
    "stale-module-name",
    "unsafe-vfio-option",
    "vfio-built-in",
    "vfio-missing",
    "vfio-not-in-initramfs",
    "vfio-options-built-in",
    "vfio-options-repeated",
    "vfio-parameter-unknown",
    "vm-autostart-host-gpu",
];

/// The page of a code.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.binary_search_by_key(&code, |(known, _)| known).ok().map(|index| PAGES[index].1)
}

/// The title of a code: the first line of its page.
pub fn title(code: &str) -> &'static str {
    let heading = page(code).and_then(|page| page.lines().next()).unwrap_or_default();
    heading.trim_start_matches('#').trim()
}
