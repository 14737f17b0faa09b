//! `sealnic device`: the device as a whole.

use std::path::PathBuf;

use sealnic_driver::bind::{Bdf, Outcome, PciBus};
use sealnic_driver::control::view::{DeviceView, ReloadView};
use serde_json::json;

use super::CommandError;
use super::client::{Common, print};

/// Asks about the daemon's device, resets it, lets frames flow or stops them; hands cards to the kernel's VFIO driver and back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Says who and how the device is, and what its daemon keeps programmed.
    Info(Common),
    /// Resets the device: keys are wiped and tables emptied. What the daemon's scenario says is programmed again, but its keys: they belong to
    /// one life of the device, so both ends need a new run id.
    Reset(Common),
    /// Lets frames flow.
    Enable(Common),
    /// Stops frames.
    Disable(Common),
    /// Has the daemon load its scenario again and program what changed, as SIGHUP does.
    Reload(Common),
    /// Hands a PCI function to the kernel's vfio-pci driver, so that a daemon can own it. Needs no daemon.
    Bind(Binding),
    /// Takes a PCI function back from vfio-pci. Needs no daemon.
    Unbind(Binding),
}

#[derive(Debug, clap::Args)]
struct Binding {
    /// PCI address, domain:bus:device.function.
    bdf: Bdf,
    /// Where sysfs is mounted.
    #[arg(long, value_name = "DIR", default_value = "/sys")]
    sysfs: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        Command::Info(common) => {
            let info: DeviceView = common.connect()?.call("device-info", &json!({}))?;
            common.print_fields(&info)
        }
        Command::Reset(common) => program(common, "device-reset"),
        Command::Reload(common) => program(common, "reload"),
        Command::Enable(common) => common.act("device-enable", "device enabled", &json!({ "on": true })),
        Command::Disable(common) => common.act("device-enable", "device disabled", &json!({ "on": false })),
        Command::Bind(binding) => bind(binding, PciBus::bind),
        Command::Unbind(binding) => bind(binding, PciBus::unbind),
    }
}

fn bind(
    binding: &Binding,
    act: impl Fn(&PciBus, Bdf) -> Result<Outcome, sealnic_driver::bind::BindError>,
) -> Result<(), CommandError> {
    let done = act(&PciBus::at(&binding.sysfs), binding.bdf)?;
    let value = json!({
        "bdf": binding.bdf.to_string(),
        "changed": done.is_changed,
        "driver": done.driver,
        "iommu_group": done.group,
    });
    print(binding.json, &value, |out| {
        let driver = done.driver.as_deref().unwrap_or("no driver");
        let before = if done.is_changed { "now" } else { "already" };
        write!(out, "{} is {before} with {driver}", binding.bdf)?;
        match done.group {
            Some(group) => writeln!(out, ", IOMMU group {group}"),
            None => writeln!(out),
        }
    })
}

fn program(common: &Common, op: &str) -> Result<(), CommandError> {
    let done: ReloadView = common.connect()?.call(op, &json!({}))?;
    common.print(&done, |out| {
        for change in &done.changes {
            writeln!(out, "{change}")?;
        }
        writeln!(
            out,
            "{} added, {} changed, {} removed, {} keys installed",
            done.added, done.changed, done.removed, done.installed
        )?;
        match &done.problem {
            Some(problem) => writeln!(out, "But: {problem}"),
            None => Ok(()),
        }
    })
}
