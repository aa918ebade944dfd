//! libvirt, by way of its own program virsh: XML in and out, and its complaints with their cause.
//!
//! A library binding would not even start where libvirt is missing, and to say that it is missing
//! is this program's work. Every step can be repeated by hand.

mod cause;

use std::time::Duration;

use crate::error::Error;
use crate::sys::StopRequest;
use crate::sys::process::{Captured, Ended, capture};

pub use cause::Cause;

/// The connection that is used where no other is named.
pub const SYSTEM: &str = "qemu:///system";
/// libvirt answers at once, but for the first question about an emulator, which it has to start.
const LIMIT: Duration = Duration::from_secs(120);

/// A question that libvirt did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What was asked: the arguments of virsh.
    pub asked: String,
    /// What it said, a line each.
    pub said: Vec<String>,
    /// Why, where that is known.
    pub cause: Cause,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        let error = Self::new(format!("libvirt refuses: {}", failed.asked));
        let error = failed.said.into_iter().fold(error, Self::cause);
        failed.cause.hints().into_iter().fold(error, Self::hint)
    }
}

/// What is known of a domain besides its XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// As `virsh domstate` prints it: `running`, `shut off`, ….
    pub state: String,
    /// libvirt starts it with the host.
    pub autostart: bool,
    /// It has a definition that stays.
    pub persistent: bool,
}

impl Status {
    /// It has no process.
    pub fn is_off(&self) -> bool {
        self.state == "shut off"
    }
}

/// What becomes of the state of firmware and TPM when a domain goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestState {
    /// It stays: a disk that may be encrypted with it stays, too.
    Keep,
    /// It goes with the domain.
    Remove,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Libvirt {
    connect: String,
    stop: StopRequest,
}

impl Libvirt {
    /// By its URI.
    ///
    /// # Errors
    /// It names another machine: what is checked here is this one.
    pub fn new(connect: &str) -> Result<Self, Error> {
        let local = connect.split_once(":///").is_some_and(|(driver, _)| {
            !driver.is_empty() && driver.bytes().all(|byte| byte.is_ascii_lowercase())
        });
        if !local {
            return Err(Error::new(format!("`{connect}` is no libvirt of this machine"))
                .hint("Name it as qemu:///system or qemu:///session: cards and files are looked at here, so the guest must run here."));
        }
        Ok(Self { connect: connect.to_owned(), stop: StopRequest::default() })
    }

    /// The same, stopped when the program is.
    #[must_use]
    pub fn until(self, stop: &StopRequest) -> Self {
        Self { stop: stop.clone(), ..self }
    }

    /// Its URI.
    pub fn uri(&self) -> &str {
        &self.connect
    }

    fn ask(&self, arguments: &[&str], input: &str) -> Result<String, Failed> {
        let argv = [&["virsh", "--quiet", "--connect", &self.connect], arguments].concat();
        let asked = arguments.join(" ");
        let failed = |said: Vec<String>, cause| Failed { asked: asked.clone(), said, cause };
        match capture(&argv, input.as_bytes(), LIMIT, &self.stop) {
            Ok(Captured { ended: Ended::Code(0), stdout, .. }) => Ok(stdout),
            Ok(Captured { ended: Ended::Code(_), stderr, .. }) => {
                let lines = stderr.lines().map(|line| line.trim().trim_start_matches("error: "));
                let said: Vec<String> =
                    lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
                let cause = Cause::of(&said);
                Err(failed(said, cause))
            }
            Ok(Captured { ended, .. }) => Err(failed(vec![ended.to_string()], Cause::Stopped)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(failed(vec!["the program virsh is not there".to_owned()], Cause::NotInstalled))
            }
            Err(error) => Err(failed(vec![format!("cannot start virsh: {error}")], Cause::Unknown)),
        }
    }

    /// Versions of libvirt and of the emulator, as virsh prints them.
    ///
    /// # Errors
    /// There is no libvirt, or it does not answer.
    pub fn version(&self) -> Result<String, Failed> {
        self.ask(&["version"], "")
    }

    /// What it can do for a Q35 machine, as XML (`virsh domcapabilities`).
    ///
    /// # Errors
    /// It knows no such machine, or does not answer.
    pub fn domain_capabilities(&self, virtualization: &str) -> Result<String, Failed> {
        let what = ["domcapabilities", "--arch", "x86_64", "--machine", "q35"];
        self.ask(&[&what[..], &["--virttype", virtualization]].concat(), "")
    }

    /// Names of all domains.
    ///
    /// # Errors
    /// It does not answer.
    pub fn names(&self) -> Result<Vec<String>, Failed> {
        let names = self.ask(&["list", "--all", "--name"], "")?;
        Ok(names
            .lines()
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// The XML that the next start uses, with passwords, which a define would lose otherwise.
    ///
    /// # Errors
    /// It does not answer.
    pub fn inactive(&self, name: &str) -> Result<Option<String>, Failed> {
        let what = ["dumpxml", "--inactive", "--security-info", "--domain", name];
        match self.ask(&what, "") {
            // virsh prints a line end of its own behind the XML.
            Ok(xml) => Ok(Some(xml.trim_end().to_owned() + "\n")),
            Err(failed) if failed.cause == Cause::NoDomain => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// The XML of a domain that is not off; `None` where none of that name is on.
    ///
    /// # Errors
    /// libvirt does not answer.
    pub fn active(&self, name: &str) -> Result<Option<String>, Failed> {
        match self.status(name) {
            Ok(status) if status.is_off() => Ok(None),
            Ok(_) => self.ask(&["dumpxml", "--domain", name], "").map(Some),
            Err(failed) if failed.cause == Cause::NoDomain => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// What state it is in.
    ///
    /// # Errors
    /// There is none of that name, or libvirt does not answer.
    pub fn status(&self, name: &str) -> Result<Status, Failed> {
        let text = self.ask(&["dominfo", "--domain", name], "")?;
        let of = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.map(str::trim).unwrap_or_default()
        };
        Ok(Status {
            state: of("State").to_owned(),
            autostart: of("Autostart") == "enable",
            persistent: of("Persistent") == "yes",
        })
    }

    /// Defines a domain, or defines it anew, against libvirt's schema.
    ///
    /// # Errors
    /// The XML is refused.
    pub fn define(&self, xml: &str) -> Result<(), Failed> {
        self.ask(&["define", "--validate", "--file", "/dev/stdin"], xml).map(|_| ())
    }

    /// Removes the definition of a domain. Disks stay.
    ///
    /// # Errors
    /// It refuses.
    pub fn undefine(&self, name: &str, state: GuestState) -> Result<(), Failed> {
        let with = |more: &[&str]| {
            self.ask(&[&["undefine", "--domain", name], more].concat(), "").map(|_| ())
        };
        match state {
            GuestState::Remove => with(&["--nvram"]),
            // Before 8.9.0 libvirt knows no choice for the TPM, and keeps nothing of it.
            GuestState::Keep => match with(&["--keep-nvram", "--keep-tpm"]) {
                Err(failed) if failed.cause == Cause::OldLibvirt => with(&["--keep-nvram"]),
                done => done,
            },
        }
    }

    /// Plugs a device into a running domain; its definition stays as it is.
    ///
    /// # Errors
    /// It does not run, or the device is refused.
    pub fn plug(&self, name: &str, device: &str) -> Result<(), Failed> {
        let what = ["attach-device", "--domain", name, "--file", "/dev/stdin", "--live"];
        self.ask(&what, device).map(|_| ())
    }

    /// Asks for a device of a running domain back, which the guest has to let go.
    ///
    /// # Errors
    /// It is not there, or not let go in time.
    pub fn unplug(&self, name: &str, device: &str) -> Result<(), Failed> {
        let what = ["detach-device", "--domain", name, "--file", "/dev/stdin", "--live"];
        self.ask(&what, device).map(|_| ())
    }

    /// Whether a network is active; `None` where there is none of that name.
    ///
    /// # Errors
    /// It does not answer.
    pub fn network_is_active(&self, name: &str) -> Result<Option<bool>, Failed> {
        match self.ask(&["net-info", "--network", name], "") {
            Ok(text) => Ok(Some(text.lines().any(|line| {
                line.split_once(':').is_some_and(|(k, v)| k == "Active" && v.trim() == "yes")
            }))),
            Err(failed) if failed.cause == Cause::NoNetwork => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// Path of a volume.
    ///
    /// # Errors
    /// There is no such pool or volume, or libvirt does not answer.
    pub fn volume_path(&self, pool: &str, volume: &str) -> Result<String, Failed> {
        let path = self.ask(&["vol-path", "--pool", pool, "--vol", volume], "")?;
        Ok(path.trim().to_owned())
    }

    /// XML of a storage pool; `None` where there is none of that name.
    ///
    /// # Errors
    /// It does not answer.
    pub fn pool(&self, name: &str) -> Result<Option<String>, Failed> {
        match self.ask(&["pool-dumpxml", "--pool", name], "") {
            Ok(xml) => Ok(Some(xml)),
            Err(failed) if failed.cause == Cause::NoPool => Ok(None),
            Err(failed) => Err(failed),
        }
    }
}
