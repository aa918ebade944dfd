//! `vm create`: the machine for Windows, without the card.

use std::path::{Path, PathBuf};

use super::change::{Beside, Change};
use crate::commands::session::{RunArgs, Session};
use crate::commands::{Answer, Global};
use crate::config::xml::Element;
use crate::error::Error;
use crate::host::cpu::CpuVendor;
use crate::host::resources::Resources;
use crate::libvirt::Libvirt;
use crate::sys::{FileKind, Observed, read_at_most};
use crate::transaction::{ImageChange, VmVerb};
use crate::ui::Ui;
use crate::vm::build::{Format, Image, domain};
use crate::vm::capabilities::Capabilities;
use crate::vm::make::{Impossible, Room, whole};
use crate::vm::spec::{Accelerator, Disk, Network, Size, VERSION, VmSpec, Windows};

/// Where libvirt keeps images unless its pool `default` says otherwise.
pub const IMAGES: &str = "/var/lib/libvirt/images";
/// A wish is a few lines.
const MAX_SPEC: usize = 64 << 10;

/// Make a machine for Windows: Q35, UEFI, TPM, virtio, Hyper-V enlightenments, no card yet
///
/// What is left out is taken from this host: half of its processors and memory, a sparse disk of
/// 50 GiB. Everything that libvirt can decide is left to it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the new domain
    name: String,
    /// Windows' installation volume
    #[arg(long, value_name = "FILE")]
    iso: Option<PathBuf>,
    /// Volume with the virtio drivers (virtio-win.iso)
    #[arg(long, value_name = "FILE")]
    virtio_iso: Option<PathBuf>,
    /// Which Windows: win10 or win11
    #[arg(long, value_name = "OS", value_parser = windows)]
    os: Option<Windows>,
    /// Virtual processors
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
    /// Memory, as 16G or 8192M
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// A size (50G) for a new image, the path of an image or block device, or POOL/VOLUME
    #[arg(long, value_name = "DISK")]
    disk: Option<Disk>,
    /// A network of libvirt, bridge:NAME, or macvtap:NAME
    #[arg(long, value_name = "NETWORK")]
    network: Option<Network>,
    /// With a TPM 2.0
    #[arg(long, overrides_with = "no_tpm")]
    tpm: bool,
    /// Without a TPM
    #[arg(long)]
    no_tpm: bool,
    /// With Secure Boot
    #[arg(long, overrides_with = "no_secure_boot")]
    secure_boot: bool,
    /// Without Secure Boot
    #[arg(long)]
    no_secure_boot: bool,
    /// Let Windows see that it runs under KVM; drivers of NVIDIA before 465 refuse that
    #[arg(long)]
    no_hide: bool,
    /// Let QEMU run the guest by itself where there is no KVM: a hundred times slower
    #[arg(long)]
    emulate: bool,
    /// Take what is not given here from this file, as `vm show --spec` prints it
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

fn windows(text: &str) -> Result<Windows, String> {
    [Windows::Win10, Windows::Win11]
        .into_iter()
        .find(|os| os.word() == text)
        .ok_or_else(|| "it is win10 or win11".to_owned())
}

/// Creates; says no where the user declines.
///
/// # Errors
/// The name is taken, a file is not there, the host has not enough, or libvirt refuses; then
/// nothing is left of it.
pub fn run(args: &Args, libvirt: &Libvirt, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    plain_name(&args.name)?;
    let spec = args.spec()?;
    let session = Session::open(global, ui, args.run.deadline)?;
    if libvirt.names()?.contains(&args.name) {
        return Err(Error::new(format!("{} has a domain `{}` already", libvirt.uri(), args.name))
            .hint("Take another name; `passthru vm show NAME` shows what that one is."));
    }
    let held = session.resume()?;
    let host = session.host();
    for (what, path) in [("ISO", &spec.iso), ("virtio ISO", &spec.virtio_iso)] {
        if let Some(path) = path {
            readable(&session, what, path)?;
        }
    }
    let accelerator = spec.accelerator.unwrap_or_default();
    let answer = libvirt.domain_capabilities(accelerator.domain_type())?;
    let can = Capabilities::parse(&answer, &libvirt.version()?)
        .map_err(|error| Error::because("cannot read the capabilities of libvirt", &error))?;
    let cpu = host.cpu.present();
    let room = Room::of(cpu, &Resources::read(&session.root));
    let (whole, lacks) = whole(&spec, &room, &can).map_err(|error| impossible(&error))?;
    let (image, made) = image(&session, libvirt, &args.name, &whole.disk)?;
    let vendor = cpu.map_or(CpuVendor::Other, |cpu| cpu.vendor);
    let change = Change {
        verb: VmVerb::Create,
        libvirt,
        domain: &args.name,
        gpu: None,
        name: format!("{} ({})", args.name, whole.os.word()),
        before: None,
        after: domain(&args.name, &whole, &image, &can, vendor),
        beside: Beside { image: made, ..Beside::default() },
        tuning: None,
        remarks: lacks.into_iter().map(|lack| lack.text().to_owned()).collect(),
        next: format!(
            "Install Windows: `virsh start {name}`, and look at it with virt-viewer or virt-manager. Shut it down, then `passthru vm attach {name}` gives it the card.",
            name = args.name
        ),
    };
    change.make((&session, held, &host), &args.run, global, ui)
}

impl Args {
    fn spec(&self) -> Result<VmSpec, Error> {
        let flag = |yes: bool, no: bool| if yes { Some(true) } else { no.then_some(false) };
        let asked = VmSpec {
            version: VERSION,
            os: self.os,
            cpus: self.cpus,
            memory: self.memory,
            disk: self.disk.clone(),
            network: self.network.clone(),
            iso: self.iso.as_deref().map(absolute).transpose()?,
            virtio_iso: self.virtio_iso.as_deref().map(absolute).transpose()?,
            tpm: flag(self.tpm, self.no_tpm),
            secure_boot: flag(self.secure_boot, self.no_secure_boot),
            hide_hypervisor: self.no_hide.then_some(false),
            accelerator: self.emulate.then_some(Accelerator::Tcg),
        };
        let Some(path) = &self.spec else { return Ok(asked) };
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            Error::because(format!("cannot take the wish from {}", path.display()), error)
                .hint("`passthru vm show --spec NAME` prints one.")
        };
        let bytes = read_at_most(path, MAX_SPEC).map_err(|error| cannot(&error))?;
        let text = String::from_utf8(bytes).map_err(|error| cannot(&error))?;
        Ok(VmSpec::parse(&text).map_err(|error| cannot(&error))?.overridden_by(asked))
    }
}

/// libvirt takes almost any name; one that is also a number, an option or a path is none for its
/// tools.
fn plain_name(name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let number = name.bytes().all(|byte| byte.is_ascii_digit());
    if !number && name.len() <= 50 && name.chars().all(fits) && !name.starts_with(['-', '.', '+']) {
        return Ok(());
    }
    Err(Error::new(format!("`{name}` is no name for a domain"))
        .hint("Letters, digits, `-`, `_`, `.` and `+`, at most 50, and not a number alone."))
}

pub fn absolute(path: &Path) -> Result<String, Error> {
    let whole = std::path::absolute(path)
        .map_err(|error| Error::because(format!("cannot find {}", path.display()), &error))?;
    whole.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(format!("{} is not UTF-8, and libvirt's XML is", path.display()))
            .hint("Give the file another name.")
    })
}

pub fn readable(session: &Session<'_>, what: &str, path: &str) -> Result<(), Error> {
    let cannot = |reason: &str| {
        Err(Error::new(format!("cannot read the {what} {path}")).cause(reason)
            .hint("QEMU runs as a user of its own: a file in /var/lib/libvirt/images, mode 0644, can always be read."))
    };
    match session.root.meta(path.trim_start_matches('/')) {
        Observed::Present(meta) if meta.kind == FileKind::File && meta.size > 0 => Ok(()),
        Observed::Present(meta) if meta.kind == FileKind::File => cannot("it is empty"),
        Observed::Present(_) => cannot("it is no file"),
        Observed::Absent => cannot("it is not there"),
        Observed::Unreadable(reason) => cannot(&reason),
    }
}

fn impossible(error: &Impossible) -> Error {
    let hint = match error {
        Impossible::NoFirmware | Impossible::NoSecureBoot => {
            "Install it: on Debian and Ubuntu `ovmf`, on Fedora and Arch `edk2-ovmf`, on openSUSE `qemu-ovmf-x86_64`."
        }
        Impossible::NoTpm => {
            "Install swtpm: on Debian and Ubuntu `swtpm swtpm-tools`, elsewhere `swtpm`; then restart libvirt."
        }
        _ => "Leave the option out: the default fits this host.",
    };
    Error::new(error.to_string()).hint(hint)
}

/// Where the disk is, and the image that is made for it.
fn image(
    session: &Session<'_>,
    libvirt: &Libvirt,
    name: &str,
    disk: &Disk,
) -> Result<(Image, Option<ImageChange>), Error> {
    let path = match disk {
        Disk::New(size) => {
            let pool = libvirt.pool("default")?;
            let pool = pool.and_then(|xml| Element::parse(&xml).ok());
            let dir = pool.as_ref().filter(|pool| pool.attribute("type") == Some("dir"));
            let dir = dir.and_then(|pool| pool.text_at(&["target", "path"])).unwrap_or(IMAGES);
            let path = format!("{}/{name}.qcow2", dir.trim_end_matches('/'));
            if session.disk.meta(path.trim_start_matches('/'))?.is_some() {
                return Err(Error::new(format!("the disk image {path} exists already")).hint(
                    format!(
                        "`--disk {path}` takes it as it is; or take another name, or move it away."
                    ),
                ));
            }
            let image = Image { path: path.clone(), format: Format::Qcow2, block: false };
            return Ok((image, Some(ImageChange::Make { path, size: size.0 })));
        }
        Disk::Path(path) => path.clone(),
        Disk::Volume { pool, volume } => libvirt.volume_path(pool, volume)?,
    };
    let missing = |reason: &str| {
        Err(Error::new(format!("cannot take {path} as the disk"))
            .cause(reason)
            .hint("`--disk SIZE` makes a new image."))
    };
    let block = match session.root.meta(path.trim_start_matches('/')) {
        Observed::Present(meta) => match meta.kind {
            FileKind::File => false,
            FileKind::Other if path.starts_with("/dev/") => true,
            _ => return missing("it is neither a file nor a block device"),
        },
        Observed::Absent => return missing("it is not there"),
        Observed::Unreadable(reason) => return missing(&reason),
    };
    let start = read_at_most(Path::new(&path), 4)
        .map_err(|error| Error::because(format!("cannot read the disk {path}"), &error))?;
    // QEMU, docs/interop/qcow2.txt.
    let format = if !block && start == b"QFI\xfb" { Format::Qcow2 } else { Format::Raw };
    Ok((Image { path, format, block }, None))
}
