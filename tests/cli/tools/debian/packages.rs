//! Packages of Debian's kernel, as apt downloads them, in a directory that later runs use again.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Downloads the kernel that `linux-image-ARCHITECTURE` stands for, and further packages, or says
/// why that cannot be done. The release of the kernel is in the file `release`.
pub fn download(more: &[&str]) -> Result<PathBuf, String> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("debian");
    std::fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let architecture = words(Command::new("dpkg").arg("--print-architecture"))?;
    let meta = format!("linux-image-{}", architecture.trim());
    let depends = words(Command::new("apt-cache").args(["depends", &meta]))?;
    let kernel = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let kernel = kernel.ok_or(format!("apt knows no {meta}: run apt-get update"))?;
    let image = format!("linux-image-{kernel}");
    let packages = [&[image.as_str()], more].concat();
    let mut command = Command::new("apt-get");
    command.args(["download", "--quiet"]).args(&packages).current_dir(&dir);
    let result = command.output().map_err(|error| error.to_string())?;
    let by_hand =
        || format!("run: cd {} && apt-get download {}", dir.display(), packages.join(" "));
    let there = |package: &&str| package_file(&dir, package).is_some();
    if result.status.success() {
        remove_older(&dir, &packages)?;
    } else if !packages.iter().all(there) {
        // Without a network, what an earlier run left does.
        return Err(by_hand());
    }
    std::fs::write(dir.join("release"), kernel).map_err(|error| error.to_string())?;
    Ok(dir)
}

/// Removes versions that an earlier run left and that are not the newest now.
fn remove_older(dir: &Path, packages: &[&str]) -> Result<(), String> {
    let uris = words(Command::new("apt-get").args(["download", "--print-uris"]).args(packages))?;
    let newest: Vec<&str> =
        uris.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let asked =
        |name: &str| packages.iter().any(|package| name.starts_with(&format!("{package}_")));
    for entry in std::fs::read_dir(dir).expect("it is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let other_kernel = name.starts_with("linux-image-");
        if name.ends_with(".deb") && (asked(name) || other_kernel) && !newest.contains(&name) {
            std::fs::remove_file(&path).expect("removed");
        }
    }
    Ok(())
}

/// The downloaded file of a package.
pub fn package_file(dir: &Path, package: &str) -> Option<PathBuf> {
    let prefix = format!("{package}_");
    let entries = std::fs::read_dir(dir).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(&prefix) && name.ends_with(".deb")
    })
}

/// Standard output of a command that has to succeed.
fn words(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
