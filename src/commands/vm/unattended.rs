//! `vm unattended`: a volume with the answers to the questions of Windows Setup.

use std::path::{Path, PathBuf};

use super::{inactive, parsed};
use crate::commands::{Answer, Global};
use crate::error::Error;
use crate::libvirt::Libvirt;
use crate::sys::{create_private, fat_volume, read_at_most};
use crate::ui::Ui;
use crate::vm::answers::{Answers, FILE};
use crate::vm::note::Note;
use crate::vm::spec::{VmSpec, Windows};

/// Write a volume with an answer file: Windows Setup loads the virtio drivers from it and installs
/// without a click
///
/// It tells Setup to take the whole first disk of the guest. Put it in only for the installation,
/// and remove it afterwards: it holds the password.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the domain, which says which Windows
    name: String,
    /// Name of the user in Windows, an administrator
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Language and keyboard
    #[arg(long, value_name = "TAG", default_value = "en-US")]
    language: String,
    /// Product key; without one, Windows asks for it later
    #[arg(long, value_name = "KEY")]
    product_key: Option<String>,
    /// Take the user's password from the first line of this file; without one there is none
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The volume to write, which must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Writes the volume.
///
/// # Errors
/// The domain is not there, an answer is none that Windows takes, or the file is there.
pub fn run(args: &Args, libvirt: &Libvirt, _: &Global, ui: &Ui) -> Result<Answer, Error> {
    let xml = inactive(libvirt, &args.name)?;
    let note = Note::of(&parsed(&args.name, &xml)?);
    let spec = note.spec.as_deref().and_then(|text| VmSpec::parse(text).ok());
    let answers = Answers {
        os: spec.and_then(|spec| spec.os).unwrap_or(Windows::Win11),
        user: args.user.clone(),
        password: args.password_file.as_deref().map(password).transpose()?,
        language: args.language.clone(),
        product_key: args.product_key.clone(),
    };
    answers.check().map_err(|error| Error::new(error.to_string()))?;
    let text =
        answers.render().map_err(|error| Error::because("cannot write the answer file", &error))?;
    let out = &args.out;
    let cannot = |error: std::io::Error| {
        Error::because(format!("cannot write the volume {}", out.display()), &error)
            .hint("Name a file that does not exist yet, in a directory that you may write.")
    };
    let image = fat_volume(FILE, text.as_bytes()).map_err(cannot)?;
    create_private(out, &image).map_err(cannot)?;
    let path = super::create::absolute(out)?;
    ui.answer(&format!(
        "The answers are in {path}, for its owner only.\n\
         Put it in for the installation, and take it out and delete it afterwards:\n  \
         virsh attach-disk {name} {path} sdz --targetbus usb --config\n  \
         virsh detach-disk {name} sdz --config\n",
        name = args.name
    ))?;
    Ok(Answer::Yes)
}

fn password(path: &Path) -> Result<String, Error> {
    const MOST: usize = 512;
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Error::because(format!("cannot read the password from {}", path.display()), error)
    };
    let bytes = read_at_most(path, MOST).map_err(|error| cannot(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| cannot(&error.utf8_error()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
