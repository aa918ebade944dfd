//! `vm unattended`: a volume with the answers to the questions of Windows Setup, in and out.

use std::path::{Path, PathBuf};

use super::change::{Beside, Change, held_and_off};
use super::parsed;
use crate::commands::session::{RunArgs, Session};
use crate::commands::{Answer, Global};
use crate::error::Error;
use crate::libvirt::Libvirt;
use crate::sys::{fat_volume, first_line};
use crate::transaction::{ImageChange, Secret, VmVerb};
use crate::ui::Ui;
use crate::vm::answers::{Answers, FILE};
use crate::vm::domain::Domain;
use crate::vm::note::Note;
use crate::vm::spec::{VmSpec, Windows};
use crate::vm::volume::{Refused, put_in, take_out};

/// Put a volume with an answer file into a domain: Windows Setup loads the virtio drivers as it says
/// and installs without a click
///
/// It tells Setup to take the whole first disk of the guest. Take it out after the installation
/// with --remove: it holds the password.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the domain, which says which Windows
    name: String,
    /// Name of the user in Windows, an administrator
    #[arg(long, value_name = "NAME", required_unless_present = "remove")]
    user: Option<String>,
    /// Language and keyboard
    #[arg(long, value_name = "TAG", default_value = "en-US")]
    language: String,
    /// Product key; without one, Windows asks for it later
    #[arg(long, value_name = "KEY")]
    product_key: Option<String>,
    /// Take the user's password from the first line of this file; without one there is none
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The volume to write, which must not be there yet; left out, NAME-answers.img beside the disk
    /// image
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Take the volume out of the domain, and delete it
    #[arg(long, conflicts_with_all = ["user", "language", "product_key", "password_file", "out"])]
    remove: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// Puts the volume in, or takes it out; says no where the user declines.
///
/// # Errors
/// The domain is not there or runs, an answer is none that Windows takes, or libvirt refuses.
pub fn run(args: &Args, libvirt: &Libvirt, global: &Global, ui: &Ui) -> Result<Answer, Error> {
    let session = Session::open(global, ui, args.run.deadline)?;
    let (held, xml) = held_and_off(&session, libvirt, &args.name)?;
    let host = session.host();
    let domain = parsed(&args.name, &xml)?;
    let made = match &args.user {
        Some(user) if !args.remove => put(args, user, &domain)?,
        _ => take(args, &domain)?,
    };
    let change = Change {
        verb: VmVerb::Unattended,
        libvirt,
        domain: &args.name,
        gpu: None,
        name: format!("{} {}", made.what, args.name),
        before: Some(xml.clone()),
        after: made.after,
        beside: Beside { image: Some(made.image), secret: made.secret, ..Beside::default() },
        tuning: None,
        remarks: made.remarks,
        next: made.next,
    };
    change.make((&session, held, &host), &args.run, global, ui)
}

struct Made {
    what: &'static str,
    after: String,
    image: ImageChange,
    secret: Option<Secret>,
    remarks: Vec<String>,
    next: String,
}

fn put(args: &Args, user: &str, domain: &Domain<'_>) -> Result<Made, Error> {
    let name = &args.name;
    let spec = Note::of(domain).spec.and_then(|text| VmSpec::parse(&text).ok());
    let answers = Answers {
        os: spec.and_then(|spec| spec.os).unwrap_or(Windows::Win11),
        user: user.to_owned(),
        password: args.password_file.as_deref().map(password).transpose()?,
        language: args.language.clone(),
        product_key: args.product_key.clone(),
    };
    answers.check().map_err(|error| Error::new(error.to_string()))?;
    let text =
        answers.render().map_err(|error| Error::because("cannot write the answer file", &error))?;
    let path = match &args.out {
        Some(path) => super::create::absolute(path)?,
        None => beside_the_disk(domain, name),
    };
    let after = put_in(domain, &path).map_err(|refused| why(name, &refused))?;
    let volume = fat_volume(FILE, text.as_bytes())
        .map_err(|error| Error::because(format!("cannot make the volume {path}"), &error))?;
    Ok(Made {
        what: "answers into",
        after,
        image: ImageChange::WriteAnswers { path },
        secret: Some(Secret::new(volume)),
        remarks: vec!["Setup will wipe the first disk of this machine without asking.".to_owned()],
        next: format!(
            "`virsh start {name}` installs Windows. Afterwards `passthru vm unattended {name} --remove` takes the volume out and deletes it."
        ),
    })
}

fn take(args: &Args, domain: &Domain<'_>) -> Result<Made, Error> {
    let Some(out) = take_out(domain) else {
        return Err(Error::new(format!("passthru put no answers into the domain {}", args.name))
            .hint("`passthru vm show NAME` says what it put there."));
    };
    let gone = out.was_out.then(|| "The disk was taken out before.".to_owned());
    Ok(Made {
        what: "answers out of",
        after: out.text,
        image: ImageChange::RemoveAnswers { path: out.path },
        secret: None,
        remarks: gone.into_iter().collect(),
        next: "The answers are gone for good; delete the file with the password, too.".to_owned(),
    })
}

/// In the directory of the first disk that is a file.
fn beside_the_disk(domain: &Domain<'_>, name: &str) -> String {
    let disks = domain.devices().iter().filter(|device| {
        device.name == "disk" && device.attribute("device").unwrap_or("disk") == "disk"
    });
    let files = disks.filter_map(|disk| disk.attribute_at(&["source"], "file"));
    let dirs = files.filter_map(|file| file.rsplit_once('/').map(|(dir, _)| dir));
    let dir = dirs.into_iter().find(|dir| dir.starts_with('/')).unwrap_or(super::create::IMAGES);
    format!("{dir}/{name}-answers.img")
}

fn why(name: &str, refused: &Refused) -> Error {
    let error = Error::because(format!("the answers cannot be put into {name}"), refused);
    match refused {
        Refused::Present(_) => {
            error.hint(format!("`passthru vm unattended {name} --remove` takes them out."))
        }
        _ => error,
    }
}

fn password(path: &Path) -> Result<String, Error> {
    const MOST: usize = 512;
    // Editors of Windows write it before UTF-8, and end lines with two bytes.
    const BOM: &[u8] = "\u{feff}".as_bytes();
    let what = || format!("cannot read the password from {}", path.display());
    let cannot = |error: &(dyn std::error::Error + 'static)| Error::because(what(), error);
    let line = first_line(path, BOM.len() + MOST + 3).map_err(|error| cannot(&error))?;
    let line = line.strip_prefix(BOM).unwrap_or(&line);
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(Error::new(what())
            .cause("its first line is empty")
            .hint("Leave out --password-file for a user without a password."));
    }
    if line.len() > MOST {
        return Err(Error::new(what()).cause(format!("its first line is over {MOST} bytes long")));
    }
    let text = std::str::from_utf8(line).map_err(|error| cannot(&error))?;
    Ok(text.to_owned())
}
