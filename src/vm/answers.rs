//! The answers to the questions of Windows Setup: an answer file that loads the virtio drivers and
//! installs without a click.
//!
//! Setup looks for `Autounattend.xml` in the root of every removable volume (Microsoft, "Windows
//! Setup automation overview"); the label of the volume does not matter to it.

use super::spec::Windows;
use crate::config::xml::{Element, Written, XmlError};

/// Name of the file that Setup looks for.
pub const FILE: &str = "Autounattend.xml";
/// Drivers that Setup needs for the disk and the network, as folders of virtio-win.iso:
/// `DRIVER\OS\amd64` (virtio-win/virtio-win-pkg-scripts, util/filemap.py).
pub const DRIVERS: [&str; 2] = ["viostor", "NetKVM"];
/// Letters that Setup may give to the volume with the drivers.
const LETTERS: [char; 4] = ['D', 'E', 'F', 'G'];

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Which Windows.
    pub os: Windows,
    /// Name of the first user, an administrator.
    pub user: String,
    /// Their password; nothing for none.
    pub password: Option<String>,
    /// Language of Windows and of the keyboard, as `en-US`.
    pub language: String,
    /// Product key; nothing to be asked later.
    pub product_key: Option<String>,
}

/// An answer that Windows does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Windows has rules for names.
    #[error(
        "`{0}` is no user name for Windows: at most 20 characters, none of \" / \\ [ ] : ; | = , + * ? < > @"
    )]
    User(String),
    /// A language tag.
    #[error("`{0}` is no language: write it as en-US or de-DE")]
    Language(String),
    /// Five groups of five.
    #[error("the product key is not of the form XXXXX-XXXXX-XXXXX-XXXXX-XXXXX")]
    ProductKey,
}

impl Answers {
    /// Looks whether Windows takes them.
    ///
    /// # Errors
    /// The first that it does not.
    pub fn check(&self) -> Result<(), BadAnswer> {
        let user = &self.user;
        let odd = |c: char| c.is_control() || "\"/\\[]:;|=,+*?<>@".contains(c);
        if user.trim().is_empty() || user.chars().count() > 20 || user.chars().any(odd) {
            return Err(BadAnswer::User(user.chars().take(40).collect()));
        }
        let parts: Vec<&str> = self.language.split('-').collect();
        let letters = |text: &&str| {
            (2..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
        };
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(letters) {
            return Err(BadAnswer::Language(self.language.chars().take(40).collect()));
        }
        let group =
            |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match &self.product_key {
            Some(key) if key.split('-').count() != 5 || !key.split('-').all(group) => {
                Err(BadAnswer::ProductKey)
            }
            _ => Ok(()),
        }
    }

    /// Folders of the drivers, one for each letter that their volume may have.
    pub fn driver_paths(&self) -> Vec<String> {
        let os = match self.os {
            Windows::Win10 => "w10",
            Windows::Win11 => "w11",
        };
        let each = LETTERS
            .into_iter()
            .flat_map(|letter| DRIVERS.map(|driver| format!("{letter}:\\{driver}\\{os}\\amd64")));
        each.collect()
    }

    /// The answer file.
    ///
    /// # Errors
    /// What was written does not read back.
    pub fn render(&self) -> Result<String, XmlError> {
        let settings = |pass: &str| Written::new("settings").with("pass", pass);
        let root = Written::new("unattend")
            .with("xmlns", "urn:schemas-microsoft-com:unattend")
            .with("xmlns:wcm", "http://schemas.microsoft.com/WMIConfig/2002/State")
            .and(
                settings("windowsPE")
                    .and(self.international("Microsoft-Windows-International-Core-WinPE"))
                    .and(self.drivers())
                    .and(self.setup()),
            )
            .and(
                settings("oobeSystem")
                    .and(self.international("Microsoft-Windows-International-Core"))
                    .and(self.first_start()),
            );
        let text = format!("<?xml version='1.0' encoding='utf-8'?>\n{}\n", root.render());
        Element::parse(&text).map(|_| text)
    }

    fn international(&self, name: &str) -> Written {
        let text = |name: &str| Written::text(name, &self.language);
        let setup = name
            .ends_with("WinPE")
            .then(|| Written::new("SetupUILanguage").and(text("UILanguage")));
        component(name)
            .and_all(setup)
            .and_all(["InputLocale", "SystemLocale", "UILanguage", "UserLocale"].map(text))
    }

    fn drivers(&self) -> Written {
        let paths = self.driver_paths().into_iter().enumerate().map(|(at, path)| {
            added("PathAndCredentials")
                .with("wcm:keyValue", at + 1)
                .and(Written::text("Path", path))
        });
        component("Microsoft-Windows-PnpCustomizationsWinPE")
            .and(Written::new("DriverPaths").and_all(paths))
    }

    /// The whole first disk, as Microsoft lays it out for UEFI: EFI system, reserved, Windows.
    fn setup(&self) -> Written {
        let text = |name: &str, value: &str| Written::text(name, value);
        let create = [("EFI", Some("260")), ("MSR", Some("16")), ("Primary", None)];
        let create = create.into_iter().enumerate().map(|(at, (kind, size))| {
            let size = size.map(|size| text("Size", size));
            let extend = size.is_none().then(|| text("Extend", "true"));
            added("CreatePartition")
                .and(Written::text("Order", at + 1))
                .and(text("Type", kind))
                .and_all(size)
                .and_all(extend)
        });
        let modify = [(1, "1", "FAT32"), (2, "3", "NTFS")].map(|(order, partition, format)| {
            added("ModifyPartition")
                .and(Written::text("Order", order))
                .and(text("PartitionID", partition))
                .and(text("Format", format))
        });
        let disk = added("Disk")
            .and(text("DiskID", "0"))
            .and(text("WillWipeDisk", "true"))
            .and(Written::new("CreatePartitions").and_all(create))
            .and(Written::new("ModifyPartitions").and_all(modify));
        let to = Written::new("InstallTo").and(text("DiskID", "0")).and(text("PartitionID", "3"));
        let key = self.product_key.as_ref().map(|key| text("Key", key));
        let key = Written::new("ProductKey").and_all(key).and(text("WillShowUI", "OnError"));
        let user = Written::new("UserData")
            .and(text("AcceptEula", "true"))
            .and(text("FullName", &self.user))
            .and(key);
        component("Microsoft-Windows-Setup")
            .and(Written::new("DiskConfiguration").and(disk).and(text("WillShowUI", "OnError")))
            .and(Written::new("ImageInstall").and(Written::new("OSImage").and(to)))
            .and(user)
    }

    fn first_start(&self) -> Written {
        let text = |name: &str, value: &str| Written::text(name, value);
        let oobe = Written::new("OOBE")
            .and(text("HideEULAPage", "true"))
            .and(text("HideOnlineAccountScreens", "true"))
            .and(text("HideWirelessSetupInOOBE", "true"))
            .and(text("ProtectYourPC", "3"));
        let password = Written::new("Password")
            .and(text("Value", self.password.as_deref().unwrap_or_default()))
            .and(text("PlainText", "true"));
        let account = added("LocalAccount")
            .and(text("Name", &self.user))
            .and(text("Group", "Administrators"))
            .and(password);
        let accounts = Written::new("LocalAccounts").and(account);
        component("Microsoft-Windows-Shell-Setup")
            .and(oobe)
            .and(Written::new("UserAccounts").and(accounts))
    }
}

fn added(name: &str) -> Written {
    Written::new(name).with("wcm:action", "add")
}

fn component(name: &str) -> Written {
    Written::new("component")
        .with("name", name)
        .with("processorArchitecture", "amd64")
        .with("publicKeyToken", "31bf3856ad364e35")
        .with("language", "neutral")
        .with("versionScope", "nonSxS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> Answers {
        Answers {
            os: Windows::Win11,
            user: "Zoë".to_owned(),
            password: Some("a&b<c".to_owned()),
            language: "de-DE".to_owned(),
            product_key: Some("VK7JG-NPHTM-C97JM-9MPGT-3V66T".to_owned()),
        }
    }

    #[test]
    fn the_answer_file() {
        let text = answers().render().expect("XML");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_folder_of_drivers_is_on_the_volume_with_its_driver() {
        let layout = include_str!("../../tests/virtio-win/layout.txt");
        for (os, folder) in [(Windows::Win10, "w10"), (Windows::Win11, "w11")] {
            let paths = Answers { os, ..answers() }.driver_paths();
            let mut wanted = Vec::new();
            for letter in "DEFG".chars() {
                for driver in ["viostor", "NetKVM"] {
                    wanted.push(format!("{letter}:\\{driver}\\{folder}\\amd64"));
                    for end in ["cat", "inf", "sys"] {
                        let file = driver.to_lowercase();
                        let file = format!("{driver}/{folder}/amd64/{file}.{end}");
                        assert!(layout.lines().any(|line| line == file), "{file}");
                    }
                }
            }
            assert_eq!(paths, wanted);
        }
    }

    #[test]
    fn answers_that_windows_refuses_are_refused() {
        assert_eq!(answers().check(), Ok(()));
        for user in ["", " ", "a/b", "a@b", "123456789012345678901", "a\n"] {
            let bad = Answers { user: user.to_owned(), ..answers() };
            assert!(matches!(bad.check(), Err(BadAnswer::User(_))), "{user}");
        }
        for language in ["", "de", "de_DE", "german-GERMANY", "d1-DE"] {
            let bad = Answers { language: language.to_owned(), ..answers() };
            assert!(matches!(bad.check(), Err(BadAnswer::Language(_))), "{language}");
        }
        for key in ["", "VK7JG", "VK7JG-NPHTM-C97JM-9MPGT-3V66", "VK7JG-NPHTM-C97JM-9MPGT-3V66!"] {
            let bad = Answers { product_key: Some(key.to_owned()), ..answers() };
            assert_eq!(bad.check(), Err(BadAnswer::ProductKey), "{key}");
        }
    }
}
