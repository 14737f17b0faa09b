//! The suite on models in this process, and its own tests.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail, and its runner shows what it prints when it does"
)]

use sealnic_driver::dma::{ArenaConfig, HugePages};
use sealnic_driver::transport::model::ModelTransport;
use sealnic_driver::transport::{Capabilities, Fired};
use sealnic_driver::{Transport, TransportError};
use sealnic_driver_suite::latency::table;
use sealnic_driver_suite::{AnyTransport, Failure, Outcome, Report, Stand, run};
use sealnic_hw_model::cycle::{CycleModel, HwConfig};
use sealnic_hw_model::{FunctionalModel, HwModel, ModelConfig};
use std::cell::RefCell;
use std::rc::Rc;

/// A model that outlives the drivers that come and go.
struct ModelStand {
    make: fn() -> Box<dyn HwModel>,
    shared: Rc<RefCell<ModelTransport>>,
    /// Drivers of before a restart reach nothing any more.
    life: Rc<RefCell<u32>>,
    with_dma: bool,
    name: &'static str,
}

struct Handle {
    shared: Rc<RefCell<ModelTransport>>,
    life: Rc<RefCell<u32>>,
    born: u32,
}

impl ModelStand {
    fn new(name: &'static str, with_dma: bool, make: fn() -> Box<dyn HwModel>) -> Self {
        Self {
            make,
            shared: Rc::new(RefCell::new(transport(make(), with_dma))),
            life: Rc::default(),
            with_dma,
            name,
        }
    }
}

fn transport(model: Box<dyn HwModel>, with_dma: bool) -> ModelTransport {
    let arena = ArenaConfig {
        len: 4 << 20,
        huge_pages: HugePages::Never,
        ..ArenaConfig::default()
    };
    if with_dma {
        ModelTransport::with_dma(model, arena)
    } else {
        ModelTransport::new(model)
    }
}

impl Stand for ModelStand {
    fn name(&self) -> String {
        self.name.into()
    }

    fn open(&mut self) -> Result<AnyTransport, TransportError> {
        Ok(Box::new(Handle {
            shared: self.shared.clone(),
            life: self.life.clone(),
            born: *self.life.borrow(),
        }))
    }

    fn is_exclusive(&self) -> bool {
        false
    }

    fn restart(&mut self) -> Result<(), Failure> {
        *self.life.borrow_mut() += 1;
        self.shared = Rc::new(RefCell::new(transport((self.make)(), self.with_dma)));
        Ok(())
    }
}

impl Handle {
    fn reach<V>(
        &self,
        access: impl FnOnce(&mut ModelTransport) -> Result<V, TransportError>,
    ) -> Result<V, TransportError> {
        if *self.life.borrow() != self.born {
            return Err(TransportError::Disconnected {
                what: "the model".into(),
                why: "it was replaced".into(),
            });
        }
        access(&mut self.shared.borrow_mut())
    }
}

impl Transport for Handle {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        self.reach(|t| t.read32(offset))
    }
    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.reach(|t| {
            t.write32(offset, value)?;
            // A model's time stands unless somebody lets it pass.
            while let Some(at_ns) = t.model_mut().next_event_ns() {
                t.model_mut().advance(at_ns);
            }
            Ok(())
        })
    }
    fn capabilities(&self) -> Capabilities {
        self.shared.borrow().capabilities()
    }
    fn dma_alloc(&mut self, len: usize) -> Result<sealnic_driver::dma::DmaBuffer, TransportError> {
        self.reach(|t| t.dma_alloc(len))
    }
    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        self.reach(|t| t.enable_interrupts(vectors))
    }
    fn wait(
        &mut self,
        at_most: std::time::Duration,
        clock: &mut dyn sealnic_driver::clock::Clock,
    ) -> Result<Fired, TransportError> {
        self.reach(|t| t.wait(at_most, clock))
    }
    fn reset(&mut self) -> Result<(), TransportError> {
        self.reach(Transport::reset)
    }
    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        self.reach(|t| t.set_bus_master(allowed))
    }
}

fn functional() -> Box<dyn HwModel> {
    Box::new(FunctionalModel::new(&ModelConfig::default()).unwrap())
}

fn cycle() -> Box<dyn HwModel> {
    let hardware = HwConfig::default_preset().unwrap();
    Box::new(CycleModel::new(&ModelConfig::default(), &hardware).unwrap())
}

/// Runs everything; `skipped` is what this stand can't carry, and nothing else may be left out.
#[track_caller]
fn all_pass(stand: &mut dyn Stand, skipped: &[&str]) -> Report {
    let report = run(stand, "", |line| println!("{line}"));
    println!("{}", table(&report.transport, &report.figures));
    assert_eq!(report.failed(), 0);
    let left_out: Vec<_> = report
        .lines
        .iter()
        .filter(|line| matches!(line.outcome, Outcome::Skipped(_)))
        .map(|line| line.name)
        .collect();
    assert_eq!(left_out, skipped);
    assert!(report.lines.len() > 15);
    report
}

#[test]
fn the_suite_passes_on_the_functional_model_with_dma() {
    all_pass(
        &mut ModelStand::new("functional model", true, functional),
        &["a_second_owner_is_refused"],
    );
}

#[test]
fn the_suite_passes_on_the_cycle_model_with_dma() {
    all_pass(
        &mut ModelStand::new("cycle model", true, cycle),
        &["a_second_owner_is_refused"],
    );
}

#[test]
fn the_suite_passes_on_the_functional_model_by_registers_alone() {
    all_pass(
        &mut ModelStand::new("functional model, registers alone", false, functional),
        &[
            "a_second_owner_is_refused",
            "many_commands_stand_in_the_ring",
            "no_event_is_lost_by_the_ring",
            "frames_come_back_as_they_were_sent",
            "commands_work_with_interrupts_and_by_polling",
            "each_command_interrupts",
            "a_dma_fault_is_an_error_that_names_the_address",
            "without_bus_mastering_nothing_reaches_memory",
            "a_function_reset_leaves_nothing_behind",
            "function_resets_during_traffic_do_no_harm",
        ],
    );
}
