//! What the process needs to run at all: deadlines, threads that PHP does not
//! notice, and forks.

pub mod deadline;
pub mod fork;
pub mod threads;
