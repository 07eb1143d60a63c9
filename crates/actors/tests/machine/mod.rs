//! What the tests of the machine share.
#![allow(dead_code, reason = "no test uses all of it")]

pub(crate) mod model;
pub(crate) mod named;
pub(crate) mod world;
