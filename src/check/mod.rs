//! What is true about a host and a card, as findings; pure functions over `Host`.

mod binding;
mod boot;
mod case;
mod config;
mod display;
mod finding;
mod gpu;
mod group;
mod initramfs;
mod intent;
mod iommu;
pub mod pages;
mod parameters;
mod platform;
mod report;
mod select;

pub use boot::by_hand as bootloader_by_hand;
pub use case::{Case, Desired, IdsIn, Rollout};
pub use finding::{Evidence, Finding, Found, RemedyKind, Severity};
pub use initramfs::preset_naming_a_config;
pub use report::{Report, Verdict, run};
pub use select::Selection;

/// One check: it looks at the case and says what it found.
pub struct Check {
    /// The code of everything that it finds.
    pub code: &'static str,
    /// The look.
    pub run: fn(&Case<'_>) -> Vec<Found>,
}

macro_rules! checks {
    ($($code:literal => $run:path),* $(,)?) => {
        /// Every check, in the order in which findings of one severity are shown.
        pub const CHECKS: &[Check] = &[$(Check { code: $code, run: $run }),*];
    };
}

checks! {
    // What nothing can go without.
    "inside-vm" => platform::inside_vm,
    "cpu-virtualization-off" => platform::cpu_virtualization_off,
    "kvm-missing" => platform::kvm_missing,
    "iommu-off-firmware" => iommu::off_firmware,
    "iommu-off-argument" => iommu::off_argument,
    "iommu-off-kernel" => iommu::off_kernel,
    "iommu-driver-failed" => iommu::driver_failed,
    "vfio-missing" => platform::vfio_missing,
    "kernel-modules-missing" => platform::kernel_modules_missing,
    // The card.
    "no-gpu" => gpu::no_gpu,
    "gpu-ambiguous" => gpu::gpu_ambiguous,
    "card-moved" => intent::card_moved,
    "only-gpu" => display::only_gpu,
    "gpu-drives-display" => display::gpu_drives_display,
    "device-dead" => gpu::device_dead,
    "gpu-not-translated" => iommu::gpu_not_translated,
    "reserved-region-direct" => group::reserved_region_direct,
    "group-two-gpus" => group::group_two_gpus,
    "group-shared" => group::group_shared,
    "group-bridge-driver" => group::group_bridge_driver,
    "host-disk-in-group" => group::host_disk_in_group,
    "host-network-in-group" => group::host_network_in_group,
    "host-input-in-group" => group::host_input_in_group,
    // What is bound and configured now.
    "foreign-device-on-vfio" => binding::foreign_device_on_vfio,
    "ids-name-host-device" => binding::ids_name_host_device,
    "function-wrong-driver" => binding::function_wrong_driver,
    "card-partly-bound" => binding::card_partly_bound,
    "id-shared" => binding::id_shared,
    "claimant-built-in" => binding::claimant_built_in,
    "driver-override-left" => binding::driver_override_left,
    "vm-autostart-host-gpu" => binding::vm_autostart_host_gpu,
    "card-on-host-driver" => binding::card_on_host_driver,
    "already-configured" => binding::already_configured,
    // Boot chain.
    "bootloader-conflict" => boot::bootloader_conflict,
    "bootloader-manual" => boot::bootloader_manual,
    "config-unreadable" => boot::config_unreadable,
    "config-not-understood" => boot::config_not_understood,
    "esp-not-mounted" => boot::esp_not_mounted,
    "boot-space-low" => boot::boot_space_low,
    "bls-ignores-default-grub" => parameters::bls_ignores_default_grub,
    "grub-no-recovery" => boot::grub_no_recovery,
    "on-trial" => parameters::on_trial_now,
    "parameter-not-active" => parameters::parameter_not_active,
    "parameter-not-configured" => parameters::parameter_not_configured,
    "parameter-misspelt" => parameters::parameter_misspelt,
    "initramfs-manual" => initramfs::initramfs_manual,
    "vfio-not-in-initramfs" => initramfs::vfio_not_in_initramfs,
    "initramfs-stale" => initramfs::initramfs_stale,
    "mkinitcpio-drop-in-ignored" => initramfs::mkinitcpio_drop_in_ignored,
    "stale-module-name" => initramfs::stale_module_name,
    "gpu-driver-in-initramfs" => initramfs::gpu_driver_in_initramfs,
    // modprobe.d.
    "vfio-options-repeated" => config::vfio_options_repeated,
    "vfio-options-built-in" => config::vfio_options_built_in,
    "vfio-parameter-unknown" => config::vfio_parameter_unknown,
    "modprobe-file-ignored" => config::modprobe_file_ignored,
    "softdep-cancels-install" => config::softdep_cancels_install,
    // Risks and circumstances.
    "interrupt-remapping-off" => platform::interrupt_remapping_off,
    "unsafe-vfio-option" => platform::unsafe_vfio_option,
    "acs-override-active" => iommu::acs_override_active,
    "acs-override-ineffective" => iommu::acs_override_ineffective,
    "host-gpu-no-monitor" => display::host_gpu_no_monitor,
    "headless-host" => display::headless_host,
    "gpu-boot-display" => display::gpu_boot_display,
    "framebuffer-on-gpu" => display::framebuffer_on_gpu,
    "gpu-no-outputs" => display::gpu_no_outputs,
    "hybrid-laptop" => gpu::hybrid_laptop,
    "apu-assigned" => gpu::apu_assigned,
    "reset-missing" => gpu::reset_missing,
    "rom-no-efi" => gpu::rom_no_efi,
    "rom-absent" => gpu::rom_absent,
    "proprietary-driver" => gpu::proprietary_driver,
    "old-kernel" => platform::old_kernel,
    "hypervisor-missing" => platform::hypervisor_missing,
    // Good to know.
    "companion-functions" => gpu::companion_functions,
    "functions-in-several-groups" => group::functions_in_several_groups,
    "bridges-stay" => group::bridges_stay,
    "same-driver" => gpu::same_driver,
    "identical-gpus" => gpu::identical_gpus,
    "gpu-behind-chipset" => group::gpu_behind_chipset,
    "numa-locality" => gpu::numa_locality,
    "nvswitch-fabric" => gpu::nvswitch_fabric,
    "many-gpus" => gpu::many_gpus,
    "bmc-boot-display" => display::bmc_boot_display,
    "igpu-not-translated" => iommu::igpu_not_translated,
    "iommu-passthrough" => iommu::iommu_passthrough,
    "amd-iommu-on" => iommu::amd_iommu_on,
    "vfio-built-in" => platform::vfio_built_in,
    "legacy-bios-host" => platform::legacy_bios_host,
    "secure-boot-on" => platform::secure_boot_on,
}
