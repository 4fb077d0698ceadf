//! Every integration test: one module a subject, and what they share in `support`.
//!
//! Those that need PHP are left out without the feature `php`.

mod support;

mod bailouts;
mod connections;
mod drop_in;
mod early_warnings;
mod faults;
mod fork;
mod fpm_restarts;
mod layers;
mod lock_crowd;
mod lock_fairness;
mod lock_interrupted;
mod lock_limits;
mod lock_loss;
mod lock_mixed_fleet;
mod lock_model;
mod lock_order;
mod lock_renewal;
mod lock_round_trips;
mod lock_torture;
mod lock_wait;
mod lock_windows;
mod lock_write;
mod log;
mod login;
mod logout;
mod metadata;
mod middlemen;
mod name_lookup;
mod one_name;
mod page_ends;
mod pages;
mod permissions;
mod round_trips;
mod save_path;
mod secrets;
mod signals;
mod soak;
mod store_conformance;
mod symfony;
mod tls;
mod tls_certificates;
mod topology_errors;
mod topology_failover;
mod topology_lost_lock;
mod topology_lost_release;
mod topology_moving_slot;
mod topology_round_trips;
mod topology_waiting;
mod worker;
