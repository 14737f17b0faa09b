//! Handing a PCI function to the kernel's VFIO driver, and back.
//!
//! All of it is files of sysfs (`Documentation/ABI/testing/sysfs-bus-pci`): `driver_override` says which driver may have a
//! device, `unbind` takes it from the present one, `drivers_probe` gives it to the one that may.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Name of the driver that hands functions to processes.
pub const VFIO_DRIVER: &str = "vfio-pci";

/// Address of a PCI function: domain, bus, device, function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf {
    /// PCI domain (segment).
    pub domain: u16,
    /// Bus.
    pub bus: u8,
    /// Device, 0 to 31.
    pub device: u8,
    /// Function, 0 to 7.
    pub function: u8,
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04x}:{:02x}:{:02x}.{:x}",
            self.domain, self.bus, self.device, self.function
        )
    }
}

impl FromStr for Bdf {
    type Err = BindError;

    /// `0000:65:00.0`, or `65:00.0` for domain 0.
    fn from_str(text: &str) -> Result<Self, BindError> {
        let parse = || {
            let (rest, function) = text.rsplit_once('.')?;
            let (rest, device) = rest.rsplit_once(':')?;
            let (domain, bus) = rest.split_once(':').unwrap_or(("0", rest));
            let number = |digits: &str, max: u16| {
                let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                u16::from_str_radix(digits, 16).ok().filter(|n| plain && *n <= max)
            };
            Some(Self {
                domain: number(domain, u16::MAX)?,
                bus: u8::try_from(number(bus, 255)?).ok()?,
                device: u8::try_from(number(device, 31)?).ok()?,
                function: u8::try_from(number(function, 7)?).ok()?,
            })
        };
        parse().ok_or_else(|| BindError::Address { text: text.into() })
    }
}

/// A member of an IOMMU group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Its address.
    pub bdf: Bdf,
    /// Its driver.
    pub driver: String,
}

impl fmt::Display for GroupMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (driver {})", self.bdf, self.driver)
    }
}

/// Why a function can't be handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No address.
    #[error("\"{text}\" is no PCI address; give domain:bus:device.function, as in 0000:65:00.0")]
    Address {
        /// What was given.
        text: String,
    },
    /// No such function.
    #[error("there is no PCI function {bdf}; {}", candidates_text(.candidates))]
    NoDevice {
        /// What was looked for.
        bdf: Bdf,
        /// SealNICs that are there.
        candidates: Vec<Bdf>,
    },
    /// The function is in no IOMMU group.
    #[error(
        "{bdf} is in no IOMMU group: turn the IOMMU on in the machine's firmware (VT-d, AMD-Vi) and boot with intel_iommu=on or amd_iommu=on"
    )]
    NoGroup {
        /// The function.
        bdf: Bdf,
    },
    /// Others in the group belong to other drivers.
    #[error(
        "{bdf} shares IOMMU group {group} with {}: they reach the same memory, so the kernel hands over all or none; bind those to vfio-pci first, or put the card into another slot",
        members_text(.others)
    )]
    GroupShared {
        /// The function.
        bdf: Bdf,
        /// Number of the group.
        group: u32,
        /// Who else is in it, with a driver of its own.
        others: Vec<GroupMember>,
    },
    /// The kernel has no VFIO driver loaded.
    #[error("the kernel has no driver {VFIO_DRIVER} loaded; load it (modprobe {VFIO_DRIVER})")]
    NoModule,
    /// Not allowed.
    #[error("no right to write {}; do this as root", .path.display())]
    Permission {
        /// What was to be written.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("the kernel refused {text:?} in {}: {source}; its log says why", .path.display())]
    Refused {
        /// What was to be written.
        text: String,
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Everything was written and the function has another driver all the same.
    #[error("{bdf} is not bound to {VFIO_DRIVER} in spite of it all ({}); the kernel's log says why", driver_text(.driver))]
    NotBound {
        /// The function.
        bdf: Bdf,
        /// Its driver now.
        driver: Option<String>,
    },
    /// The function doesn't belong to the VFIO driver.
    #[error("{bdf} is not bound to {VFIO_DRIVER} ({}), so there is nothing to undo", driver_text(.driver))]
    NotOurs {
        /// The function.
        bdf: Bdf,
        /// Its driver.
        driver: Option<String>,
    },
    /// Sysfs could not be read.
    #[error("{} can't be read: {source}", .path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// How a function stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its driver.
    pub driver: Option<String>,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// Vendor and device id.
    pub id: (u16, u16),
}

/// What binding or unbinding did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether anything changed.
    pub is_changed: bool,
    /// Driver of the function now.
    pub driver: Option<String>,
    /// Its IOMMU group: who may open `/dev/vfio/GROUP` owns it while it is bound.
    pub group: Option<u32>,
}

type Write = fn(&Path, &str) -> io::Result<()>;

/// The PCI bus as sysfs shows it.
#[derive(Debug, Clone)]
pub struct PciBus {
    root: PathBuf,
    write: Write,
}

impl PciBus {
    /// That of the running system.
    #[must_use]
    pub fn system() -> Self {
        Self::at(Path::new("/sys"))
    }

    /// One whose sysfs is mounted elsewhere.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self {
            root: root.into(),
            write: |path, text| fs::OpenOptions::new().write(true).open(path)?.write_text(text),
        }
    }

    /// Where sysfs shows the function.
    #[must_use]
    pub fn device_path(&self, bdf: Bdf) -> PathBuf {
        self.devices().join(bdf.to_string())
    }

    /// How a function stands.
    ///
    /// # Errors
    /// No such function, or sysfs can't be read.
    pub fn status(&self, bdf: Bdf) -> Result<Status, BindError> {
        let path = self.device_path(bdf);
        if !path.is_dir() {
            return Err(BindError::NoDevice {
                bdf,
                candidates: self.sealnics(),
            });
        }
        Ok(Status {
            driver: link_name(&path.join("driver")),
            group: link_name(&path.join("iommu_group")).and_then(|name| name.parse().ok()),
            id: (read_hex(&path.join("vendor"))?, read_hex(&path.join("device"))?),
        })
    }

    /// Hands the function to the VFIO driver. Doing it again changes nothing.
    ///
    /// # Errors
    /// See [`BindError`]; after an error the function is where it was, as far as the kernel lets it.
    pub fn bind(&self, bdf: Bdf) -> Result<Outcome, BindError> {
        let status = self.status(bdf)?;
        let Some(group) = status.group else {
            return Err(BindError::NoGroup { bdf });
        };
        let others = self.others(bdf)?;
        if !others.is_empty() {
            return Err(BindError::GroupShared { bdf, group, others });
        }
        if status.driver.as_deref() == Some(VFIO_DRIVER) {
            return Ok(Outcome {
                is_changed: false,
                driver: status.driver,
                group: status.group,
            });
        }
        if !self.root.join("bus/pci/drivers").join(VFIO_DRIVER).is_dir() {
            return Err(BindError::NoModule);
        }
        let bound = self
            .give_to(bdf, Some(VFIO_DRIVER), status.driver.is_some())
            .and_then(|()| match link_name(&self.device_path(bdf).join("driver")) {
                Some(driver) if driver == VFIO_DRIVER => Ok(()),
                driver => Err(BindError::NotBound { bdf, driver }),
            });
        if let Err(error) = bound {
            // Back to whom it belonged; what fails now has failed for the reason that is told.
            let is_bound = link_name(&self.device_path(bdf).join("driver")).is_some();
            let _ = self.give_to(bdf, None, is_bound && status.driver.is_none());
            return Err(error);
        }
        tracing::info!(%bdf, group, "bound to vfio-pci");
        Ok(Outcome {
            is_changed: true,
            driver: Some(VFIO_DRIVER.into()),
            group: status.group,
        })
    }

    /// Takes the function from the VFIO driver and lets the kernel choose its driver.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn unbind(&self, bdf: Bdf) -> Result<Outcome, BindError> {
        let status = self.status(bdf)?;
        if status.driver.as_deref() != Some(VFIO_DRIVER) {
            return Err(BindError::NotOurs {
                bdf,
                driver: status.driver,
            });
        }
        self.give_to(bdf, None, true)?;
        tracing::info!(%bdf, "unbound from vfio-pci");
        Ok(Outcome {
            is_changed: true,
            driver: link_name(&self.device_path(bdf).join("driver")),
            group: status.group,
        })
    }

    /// Names the one driver that may have the function (`None`: any that fits), and has the kernel look again.
    fn give_to(&self, bdf: Bdf, driver: Option<&str>, is_bound: bool) -> Result<(), BindError> {
        let device = self.device_path(bdf);
        // A lone newline clears it.
        self.write(&device.join("driver_override"), driver.unwrap_or("\n"))?;
        let name = bdf.to_string();
        if is_bound {
            self.write(&device.join("driver/unbind"), &name)?;
        }
        self.write(&self.root.join("bus/pci/drivers_probe"), &name)
    }

    /// Who else is in the function's group and would stand in the way: not those without a driver, those of VFIO, or
    /// bridges (which the kernel tolerates).
    fn others(&self, bdf: Bdf) -> Result<Vec<GroupMember>, BindError> {
        let path = self.device_path(bdf).join("iommu_group/devices");
        let mut others = Vec::new();
        for name in names(&path)? {
            let Ok(other) = name.parse::<Bdf>() else { continue };
            let device = self.device_path(other);
            let Some(driver) = link_name(&device.join("driver")) else {
                continue;
            };
            let is_ours = other == bdf || driver.starts_with("vfio") || driver == "pcieport";
            if !is_ours {
                others.push(GroupMember { bdf: other, driver });
            }
        }
        others.sort_by_key(|member| member.bdf);
        Ok(others)
    }

    /// All SealNICs on the bus.
    #[must_use]
    pub fn sealnics(&self) -> Vec<Bdf> {
        let is_sealnic = |bdf: &Bdf| {
            let path = self.device_path(*bdf);
            let id = |file| read_hex(&path.join(file)).map_or(0, u32::from);
            id("vendor") | id("device") << 16 == crate::transport::SEALNIC_ID
        };
        let mut found: Vec<Bdf> = names(&self.devices())
            .unwrap_or_default()
            .iter()
            .filter_map(|name| name.parse().ok())
            .filter(is_sealnic)
            .collect();
        found.sort();
        found
    }

    fn devices(&self) -> PathBuf {
        self.root.join("bus/pci/devices")
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), BindError> {
        (self.write)(path, text).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => BindError::Permission { path: path.into() },
            _ => BindError::Refused {
                text: text.into(),
                path: path.into(),
                source,
            },
        })
    }
}

trait WriteText {
    fn write_text(&mut self, text: &str) -> io::Result<()>;
}

impl WriteText for fs::File {
    fn write_text(&mut self, text: &str) -> io::Result<()> {
        // Sysfs takes a value in one write.
        let written = io::Write::write(self, text.as_bytes())?;
        if written == text.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }
}

/// Last part of where a link points to.
fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_owned())
}

fn read_hex(path: &Path) -> Result<u16, BindError> {
    let unreadable = |source| BindError::Unreadable {
        path: path.into(),
        source,
    };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let digits = text.trim().trim_start_matches("0x");
    u16::from_str_radix(digits, 16).map_err(|_| unreadable(io::ErrorKind::InvalidData.into()))
}

fn names(path: &Path) -> Result<Vec<String>, BindError> {
    let unreadable = |source| BindError::Unreadable {
        path: path.into(),
        source,
    };
    fs::read_dir(path)
        .map_err(unreadable)?
        .map(|entry| Ok(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn candidates_text(candidates: &[Bdf]) -> String {
    if candidates.is_empty() {
        return "no SealNIC is on the bus; check the slot, then rescan (echo 1 > /sys/bus/pci/rescan)".into();
    }
    let list: Vec<String> = candidates.iter().map(Bdf::to_string).collect();
    format!("SealNICs are at {}", list.join(", "))
}

fn members_text(members: &[GroupMember]) -> String {
    let list: Vec<String> = members.iter().map(GroupMember::to_string).collect();
    list.join(", ")
}

fn driver_text(driver: &Option<String>) -> String {
    driver
        .as_ref()
        .map_or_else(|| "it has no driver".into(), |driver| format!("its driver is {driver}"))
}

#[cfg(test)]
mod tests;
