//! The tests.

mod attach;
mod bulk;
mod events;
mod frames;
mod life;
mod mailbox;
mod measure;
mod signals;

use crate::{Needs, Test};

const NOTHING: Needs = Needs {
    rings: false,
    interrupts: false,
    reset: false,
    exclusive: false,
};
const RINGS: Needs = Needs { rings: true, ..NOTHING };
const INTERRUPTS: Needs = Needs {
    interrupts: true,
    ..NOTHING
};
const RESET: Needs = Needs { reset: true, ..NOTHING };
const EXCLUSIVE: Needs = Needs {
    exclusive: true,
    ..NOTHING
};

macro_rules! tests {
    ($( $module:ident: $name:ident $needs:ident; )*) => {
        &[ $( Test { name: stringify!($name), needs: $needs, run: $module::$name }, )* ]
    };
}

/// All tests, from the simplest on.
pub const TESTS: &[Test] = tests! {
    attach: the_device_says_who_it_is NOTHING;
    attach: another_abi_is_refused NOTHING;
    attach: what_is_no_sealnic_is_refused NOTHING;
    attach: a_second_owner_is_refused EXCLUSIVE;
    mailbox: ten_thousand_commands_are_carried_out_once_each NOTHING;
    mailbox: a_storm_over_a_bad_link_carries_each_command_out_once NOTHING;
    mailbox: a_device_that_never_answers_is_given_up_in_time NOTHING;
    bulk: sixty_four_thousand_mappings_are_read_back NOTHING;
    bulk: four_thousand_sas_are_read_back NOTHING;
    bulk: many_commands_stand_in_the_ring RINGS;
    events: no_event_is_lost_by_the_mailbox NOTHING;
    events: no_event_is_lost_by_the_ring RINGS;
    frames: frames_come_back_as_they_were_sent RINGS;
    signals: commands_work_with_interrupts_and_by_polling INTERRUPTS;
    signals: each_command_interrupts INTERRUPTS;
    signals: a_dma_fault_is_an_error_that_names_the_address RINGS;
    signals: without_bus_mastering_nothing_reaches_memory RINGS;
    life: a_soft_reset_leaves_nothing_behind NOTHING;
    life: a_function_reset_leaves_nothing_behind RESET;
    life: function_resets_during_traffic_do_no_harm RINGS_AND_RESET;
    life: a_driver_that_left_is_followed_by_the_next NOTHING;
    life: a_device_that_restarts_is_attached_to_again NOTHING;
    measure: latencies NOTHING;
};

const RINGS_AND_RESET: Needs = Needs {
    rings: true,
    reset: true,
    ..NOTHING
};
