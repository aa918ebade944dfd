//! What libvirt's complaints come from. Its messages do not change with the language, since virsh
//! is run in English.

/// Why libvirt did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// virsh is not there.
    NotInstalled,
    /// Nobody listens on its socket.
    NoDaemon,
    /// This user may not.
    NoPermission,
    /// There is no such domain.
    NoDomain,
    /// The running domain has no such device.
    NoDevice,
    /// There is no such network.
    NoNetwork,
    /// There is no such storage pool.
    NoPool,
    /// The name belongs to another domain.
    Exists,
    /// An element or value that this libvirt does not know.
    Schema,
    /// No firmware has the features that were asked for.
    Firmware,
    /// No KVM.
    NoKvm,
    /// No emulator for x86_64.
    NoEmulator,
    /// A device of the card's group is on a driver of the host.
    GroupNotViable,
    /// VFIO, or the IOMMU, is not there.
    NoVfio,
    /// Another running domain has the device.
    InUse,
    /// The process may not lock so much memory.
    MemoryLock,
    /// No memory for the guest.
    NoMemory,
    /// QEMU may not open a file.
    File,
    /// The network does not run.
    NetworkInactive,
    /// swtpm is not there.
    NoTpm,
    /// The domain runs.
    Running,
    /// An option that this version of virsh does not know.
    OldLibvirt,
    /// It took too long, or was stopped.
    Stopped,
    /// Something else.
    Unknown,
}

/// Words of messages, in lower case, the more special first. All words of a row must be there.
const WORDS: &[(&[&str], Cause)] = &[
    (&["unsupported option"], Cause::OldLibvirt),
    (&["doesn't support option"], Cause::OldLibvirt),
    (&["failed to get domain"], Cause::NoDomain),
    (&["domain not found"], Cause::NoDomain),
    (&["host pci device", "not found"], Cause::NoDevice),
    (&["failed to get network"], Cause::NoNetwork),
    (&["network not found"], Cause::NoNetwork),
    (&["failed to get pool"], Cause::NoPool),
    (&["storage pool not found"], Cause::NoPool),
    (&["already exists with uuid"], Cause::Exists),
    (&["already defined with uuid"], Cause::Exists),
    (&["failed to validate against schema"], Cause::Schema),
    (&["unable to find any firmware"], Cause::Firmware),
    (&["unable to find 'efi' firmware"], Cause::Firmware),
    (&["is not viable"], Cause::GroupNotViable),
    (&["group", "not viable"], Cause::GroupNotViable),
    (&["host doesn't support passthrough of host pci devices"], Cause::NoVfio),
    (&["host does not support", "vfio"], Cause::NoVfio),
    (&["'default' is not supported"], Cause::NoVfio),
    (&["no such device", "/dev/vfio"], Cause::NoVfio),
    (&["is in use by"], Cause::InUse),
    (&["vfio", "cannot allocate memory"], Cause::MemoryLock),
    (&["memlock"], Cause::MemoryLock),
    (&["rlimit"], Cause::MemoryLock),
    (&["unable to map backing store for guest ram"], Cause::NoMemory),
    (&["cannot set up guest memory"], Cause::NoMemory),
    (&["network", "is not active"], Cause::NetworkInactive),
    (&["swtpm"], Cause::NoTpm),
    (&["tpm", "emulator", "not supported"], Cause::NoTpm),
    (&["domain is already active"], Cause::Running),
    (&["domain is running"], Cause::Running),
    (&["could not open", "permission denied"], Cause::File),
    (&["cannot access storage file"], Cause::File),
    (&["type=kvm", "invalid argument"], Cause::NoKvm),
    (&["accel 'kvm' is not supported"], Cause::NoKvm),
    (&["does not support virt type 'kvm'"], Cause::NoKvm),
    (&["failed to get emulator"], Cause::NoEmulator),
    (&["unable to find any emulator"], Cause::NoEmulator),
    (&["no emulator"], Cause::NoEmulator),
    (&["authentication unavailable"], Cause::NoPermission),
    (&["authentication failed"], Cause::NoPermission),
    (&["access denied"], Cause::NoPermission),
    (&["failed to connect socket", "permission denied"], Cause::NoPermission),
    (&["failed to connect socket"], Cause::NoDaemon),
    (&["end of file while reading"], Cause::NoDaemon),
    (&["cannot recv data"], Cause::NoDaemon),
    (&["client socket is closed"], Cause::NoDaemon),
    (&["no connection driver available"], Cause::NoDaemon),
];

impl Cause {
    /// From what it said.
    pub fn of(said: &[String]) -> Self {
        let text = said.join("\n").to_lowercase();
        let fits = |words: &&[&str]| words.iter().all(|word| text.contains(word));
        WORDS.iter().find(|(words, _)| fits(words)).map_or(Self::Unknown, |(_, cause)| *cause)
    }

    /// What to do about it.
    pub fn hints(self) -> Vec<&'static str> {
        match self {
            Self::NotInstalled => vec![
                "Install libvirt: on Debian and Ubuntu `libvirt-daemon-system libvirt-clients`, on Fedora `libvirt`, on Arch `libvirt`, on openSUSE `libvirt`.",
            ],
            Self::NoDaemon => vec![
                "The daemon does not run: `systemctl enable --now libvirtd.socket`, or virtqemud.socket, virtnetworkd.socket and virtstoraged.socket where libvirt is in parts.",
            ],
            Self::NoPermission => vec![
                "Run it as root, or join the group that may: `usermod -aG libvirt USER`, then log in again.",
            ],
            Self::NoDomain => vec!["`virsh list --all` names the domains."],
            Self::NoNetwork | Self::NetworkInactive => vec![
                "`virsh net-start default` starts it now, `virsh net-autostart default` with the host.",
            ],
            Self::NoPool => vec!["`virsh pool-list --all` names the pools."],
            Self::Exists => vec!["Take another name, or remove that domain yourself."],
            Self::Schema => vec![
                "This libvirt is older than an element in the XML. Nothing of the domain was changed.",
            ],
            Self::Firmware => vec![
                "Install the UEFI firmware: on Debian and Ubuntu `ovmf`, on Fedora and Arch `edk2-ovmf`, on openSUSE `qemu-ovmf-x86_64`.",
                "`--no-secure-boot` asks for a firmware without Secure Boot.",
            ],
            Self::NoKvm => vec![
                "KVM is not there: `passthru check` says whether it is off in the firmware or its module is not loaded.",
            ],
            Self::NoEmulator => vec![
                "Install QEMU: on Debian and Ubuntu `qemu-system-x86`, on Fedora `qemu-system-x86-core`, on Arch `qemu-desktop`, on openSUSE `qemu-x86`.",
            ],
            Self::GroupNotViable => vec![
                "A device of the card's IOMMU group is on a driver of the host: `passthru inspect` shows the group, `passthru check` says what to do.",
            ],
            Self::NoVfio => {
                vec!["The IOMMU is off, or vfio-pci is not loaded: `passthru check` tells which."]
            }
            Self::InUse => vec!["Shut that domain down first: a card has one guest at a time."],
            Self::MemoryLock => vec![
                "VFIO locks all memory of the guest. With qemu:///system libvirt raises the limit itself; with qemu:///session raise `memlock` in /etc/security/limits.d.",
            ],
            Self::NoMemory => vec![
                "There is not so much free memory, or there are not so many huge pages. `passthru vm check` compares.",
            ],
            Self::File => vec![
                "QEMU runs as another user than you: every directory on the way must let it pass. /var/lib/libvirt/images always does.",
            ],
            Self::NoTpm => vec![
                "Install swtpm: on Debian and Ubuntu `swtpm swtpm-tools`, on Fedora, Arch and openSUSE `swtpm`.",
            ],
            Self::Running => vec!["Shut the domain down first: `virsh shutdown NAME`."],
            Self::NoDevice | Self::OldLibvirt | Self::Unknown => Vec::new(),
            Self::Stopped => vec!["Nothing more was asked of libvirt."],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cause;

    #[test]
    fn messages_of_libvirt_have_their_cause() {
        // As libvirt 9.0.0 and 11.3.0 and QEMU 7.2 and 10.0 print them.
        for (said, cause) in [
            ("failed to get domain 'x'", Cause::NoDomain),
            (
                "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
                Cause::NoDaemon,
            ),
            (
                "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied",
                Cause::NoPermission,
            ),
            (
                "authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.manage'",
                Cause::NoPermission,
            ),
            (
                "operation failed: domain 'a' already exists with uuid 0e4c2f5d-8f62-4c4b-9b43-6c51a7d0a001",
                Cause::Exists,
            ),
            (
                "XML error: XML document failed to validate against schema: Unable to validate doc against /usr/share/libvirt/schemas/domain.rng",
                Cause::Schema,
            ),
            ("operation failed: Unable to find any firmware to satisfy 'efi'", Cause::Firmware),
            ("internal error: vfio 0000:07:00.0: group 18 is not viable", Cause::GroupNotViable),
            (
                "unsupported configuration: host doesn't support passthrough of host PCI devices",
                Cause::NoVfio,
            ),
            (
                "Requested operation is not valid: PCI device 0000:07:00.0 is in use by driver QEMU, domain win11",
                Cause::InUse,
            ),
            (
                "Requested operation is not valid: network 'default' is not active",
                Cause::NetworkInactive,
            ),
            (
                "error: Disconnected from qemu:///system due to end of file\nEnd of file while reading data: Input/output error",
                Cause::NoDaemon,
            ),
            (
                "Cannot access storage file '/home/u/win.iso' (as uid:64055, gid:64055): Permission denied",
                Cause::File,
            ),
            (
                "invalid argument: the accel 'kvm' is not supported by '/usr/bin/qemu-system-x86_64' on this host",
                Cause::NoKvm,
            ),
            ("device not found: host pci device 0000:07:00.0 not found", Cause::NoDevice),
            ("operation failed: host pci device 0000:07:00.0 not found", Cause::NoDevice),
            (
                "Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainAttachDevice)",
                Cause::Unknown,
            ),
            ("error: command 'undefine' doesn't support option --keep-tpm", Cause::OldLibvirt),
            ("something new", Cause::Unknown),
        ] {
            assert_eq!(Cause::of(&[said.to_owned()]), cause, "{said}");
        }
    }
}
