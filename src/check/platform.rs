//! Processor, kernel, firmware and hypervisor programs.

use super::case::Case;
use super::finding::{Evidence, Found};
use crate::host::Observed;
use crate::host::cpu::{CPUINFO, CpuVendor};
use crate::host::firmware::BootMode;
use crate::host::kernel::ModuleState;

/// `inside-vm`: This system itself runs in a virtual machine.
pub fn inside_vm(case: &Case<'_>) -> Vec<Found> {
    let Some(name) = case.host.hypervisor() else {
        return Vec::new();
    };
    let flag = case.host.cpu.present().is_some_and(|cpu| cpu.hypervisor);
    let evidence = if flag {
        Evidence::new(CPUINFO, "flag `hypervisor`")
    } else if case.host.firmware.system_vendor.as_ref() == Some(&name) {
        Evidence::new("sys/class/dmi/id/sys_vendor", name)
    } else {
        Evidence::new("sys/class/dmi/id/product_name", name)
    };
    if case.host.iommu.enabled() == Some(true) {
        let text = "This system is itself a virtual machine, with an IOMMU given to it by the outer hypervisor. \
                    A card that was passed to it can be passed on, with all limits of nesting.";
        return vec![Found::warning(text, evidence)];
    }
    let text = "This system is itself a virtual machine. A card can be passed on from here only \
                where the outer hypervisor gives it a virtual IOMMU and nested virtualization.";
    vec![Found::blocker(text, evidence).manual("Run passthru on the physical host.")]
}

/// `cpu-virtualization-off`: CPU virtualisation is switched off.
pub fn cpu_virtualization_off(case: &Case<'_>) -> Vec<Found> {
    let Some(cpu) = case.host.cpu.present() else {
        return Vec::new();
    };
    if cpu.virtualization.is_some() {
        return Vec::new();
    }
    let (flag, menu) = match cpu.vendor {
        CpuVendor::Intel => ("vmx", "Intel Virtualization Technology (VT-x)"),
        CpuVendor::Amd => ("svm", "SVM Mode"),
        CpuVendor::Other => ("vmx` or `svm", "virtualization"),
    };
    let detail = format!(
        "The processor's flags do not have `{flag}`: no virtual machine can use hardware virtualization."
    );
    vec![Found::blocker(detail, Evidence::new(CPUINFO, format!("no flag `{flag}`"))).manual(
        match case.host.hypervisor() {
            Some(_) => {
                "Have the outer hypervisor offer nested virtualization to this machine.".to_owned()
            }
            None => format!("Switch on {menu} in the firmware setup, then look again."),
        },
    )]
}

/// `kvm-missing`: /dev/kvm is missing although the CPU can virtualise.
pub fn kvm_missing(case: &Case<'_>) -> Vec<Found> {
    let offered = case.host.cpu.present().is_some_and(|cpu| cpu.virtualization.is_some());
    if !offered || !case.host.kernel.kvm.is_absent() {
        return Vec::new();
    }
    let module = case.host.cpu.present().map_or("kvm", |cpu| match cpu.vendor {
        CpuVendor::Amd => "kvm_amd",
        _ => "kvm_intel",
    });
    vec![Found::blocker("The processor offers virtualization, but there is no /dev/kvm.", Evidence::new("dev/kvm", "not there"))
        .manual(format!(
            "Load the module (`sudo modprobe {module}`). Where the kernel log then says `disabled by bios`, \
             switch virtualization on in the firmware setup."
        ))]
}

/// `vfio-missing`: This kernel has no vfio-pci driver.
pub fn vfio_missing(case: &Case<'_>) -> Vec<Found> {
    if case.host.kernel.vfio_pci.present() != Some(&ModuleState::Missing) {
        return Vec::new();
    }
    let evidence = match (case.host.kernel.modules_dir.present(), case.host.kernel.config.present())
    {
        (Some(dir), _) => Evidence::new(format!("{dir}/modules.dep"), "no vfio-pci"),
        (None, Some(config)) => Evidence::new(config.path.clone(), "CONFIG_VFIO_PCI is not set"),
        (None, None) => Evidence::new("usr/lib/modules", "no vfio-pci"),
    };
    vec![
        Found::blocker(
            "This kernel has vfio-pci neither as a module nor built in.",
            evidence,
        )
        .manual(
            "Install a kernel with VFIO, or the package with the rest of this kernel's modules.",
        ),
    ]
}

/// `kernel-modules-missing`: The running kernel's modules are gone.
pub fn kernel_modules_missing(case: &Case<'_>) -> Vec<Found> {
    let kernel = &case.host.kernel;
    let (Some(release), true) = (&kernel.release, kernel.modules_dir.is_absent()) else {
        return Vec::new();
    };
    if kernel.installed.is_empty() {
        return Vec::new(); // a kernel without loadable modules
    }
    let detail = format!(
        "The running kernel {release} has no modules directory any more; installed: {}.",
        kernel.installed.join(", ")
    );
    vec![
        Found::blocker(detail, Evidence::new(format!("usr/lib/modules/{release}"), "not there"))
            .manual("Reboot into the updated kernel first, then look again."),
    ]
}

/// `vfio-built-in`: vfio-pci is built into this kernel.
pub fn vfio_built_in(case: &Case<'_>) -> Vec<Found> {
    let kernel = &case.host.kernel;
    if kernel.vfio_pci.present() != Some(&ModuleState::BuiltIn) {
        return Vec::new();
    }
    let evidence = match kernel.modules_dir.present() {
        Some(dir) => Evidence::new(format!("{dir}/modules.builtin"), "vfio-pci.ko"),
        None => Evidence::new("proc/config.gz", "CONFIG_VFIO_PCI=y"),
    };
    vec![Found::note("vfio-pci is part of the kernel image: it reads its ids from the kernel command line only.", evidence)
        .planned("The plan puts the selection on the kernel command line.")]
}

/// `old-kernel`: This kernel is old for passthrough.
pub fn old_kernel(case: &Case<'_>) -> Vec<Found> {
    let (Some(version), Some(release)) = (case.host.kernel.version(), &case.host.kernel.release)
    else {
        return Vec::new();
    };
    if version >= (5, 4) {
        return Vec::new();
    }
    let detail = format!(
        "Linux {release} is older than the kernels that passthrough is used with today; several fixes for groups, resets and console hand-over are missing."
    );
    vec![
        Found::warning(detail, Evidence::new("proc/sys/kernel/osrelease", release.clone()))
            .manual("Prefer a kernel from 5.15 on."),
    ]
}

/// `legacy-bios-host`: The host boots in legacy BIOS mode.
pub fn legacy_bios_host(case: &Case<'_>) -> Vec<Found> {
    if case.host.firmware.boot.present() != Some(&BootMode::Bios)
        || case.host.hypervisor().is_some()
    {
        return Vec::new();
    }
    let evidence = Evidence::new("sys/firmware/efi", "not there");
    vec![Found::note(
        "The host was started in legacy BIOS mode. The guest's UEFI does not depend on that, but the card's legacy ROM was run at boot.",
        evidence,
    )]
}

/// `secure-boot-on`: Secure Boot is on.
pub fn secure_boot_on(case: &Case<'_>) -> Vec<Found> {
    if case.host.firmware.secure_boot.present() != Some(&true) {
        return Vec::new();
    }
    let evidence = Evidence::new(
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        "on",
    );
    vec![Found::note(
        "Secure Boot is on. vfio-pci of the distribution is signed and works; modules built by hand are refused.",
        evidence,
    )]
}

/// `hypervisor-missing`: No QEMU or libvirt found.
pub fn hypervisor_missing(case: &Case<'_>) -> Vec<Found> {
    let os = &case.host.os;
    let qemu = ["qemu-system-x86_64", "qemu-kvm", "kvm"].iter().any(|program| os.has(program));
    if case.gpu().is_none() || (qemu && (os.has("virsh") || os.proxmox)) {
        return Vec::new();
    }
    let missing = if qemu { "libvirt's virsh" } else { "QEMU" };
    let detail = format!("{missing} was not found. The host side can be set up all the same.");
    vec![
        Found::warning(
            detail,
            Evidence::new("usr/bin", if qemu { "no virsh" } else { "no qemu-system-x86_64" }),
        )
        .manual("Install QEMU, libvirt and a UEFI firmware for guests from the distribution."),
    ]
}

/// `interrupt-remapping-off`: Interrupt remapping is off.
pub fn interrupt_remapping_off(case: &Case<'_>) -> Vec<Found> {
    let host = case.host;
    if host.iommu.enabled() != Some(true) {
        return Vec::new();
    }
    let off = case.active.list_value("intremap").contains(&"off");
    let word = || Evidence::new("proc/cmdline", "intremap=off");
    let evidence = match &host.iommu.interrupt_remapping {
        Observed::Present(false) => {
            vec![Evidence::new("proc/interrupts", "no chip name begins with IR-")]
        }
        Observed::Absent | Observed::Unreadable(_) if off => Vec::new(),
        _ => return Vec::new(),
    };
    let mut evidence = evidence.into_iter().chain(off.then(word));
    let Some(first) = evidence.next() else { return Vec::new() };
    let options = &host.kernel.unsafe_options;
    let trusted = options.iter().find(|path| path.ends_with("/allow_unsafe_interrupts"));
    let found = match trusted {
        Some(path) => Found::warning("Interrupts are not remapped, and VFIO is told to trust guests with the host's interrupts all the same.", first)
            .and_all(evidence)
            .and(Evidence::new(path.clone(), "Y")),
        None => Found::blocker("Interrupts are not remapped. VFIO refuses such a host unless it is told to trust the guest with the host's interrupts.", first)
            .and_all(evidence)
            .liftable(),
    };
    vec![found.manual("Take intremap=off away, update the firmware, and switch x2APIC on in its setup. passthru does not set allow_unsafe_interrupts.")]
}

/// `unsafe-vfio-option`: An option makes VFIO unsafe.
pub fn unsafe_vfio_option(case: &Case<'_>) -> Vec<Found> {
    let found = |path: &String| {
        Found::warning(
            "A module option takes away a protection of VFIO.",
            Evidence::new(path.clone(), "Y"),
        )
        .manual("Remove the option where it is set, unless you know that you need it.")
    };
    case.host.kernel.unsafe_options.iter().map(found).collect()
}
